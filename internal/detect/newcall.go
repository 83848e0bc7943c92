package detect

import (
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// What must be known of an identity before a new call of it says anything; see
// newimage.go for the share that is expected to be new.
const (
	callCount     = 60            // calls, one a kind and five minutes
	callHistory   = 6 * time.Hour // since the identity's first
	callUnseen    = .05           // share of its calls that are expected to be new
	callSlot      = 5 * 60        // seconds in which equal calls count once
	maxCallers    = 1 << 14       // identities remembered
	maxCallKinds  = 512           // kinds of calls of one identity
	maxFleetCalls = 1 << 15       // kinds of calls remembered of all
)

// newCall finds an identity that makes a call of a management API that it never
// made, when the call changes who may do what, what is logged, or what is there, or
// when nobody ever made it.
type newCall struct {
	def     Definition
	callers *table[caller]
	fleet   *table[struct{}] // calls that anyone made
}

type caller struct {
	first time.Time
	calls int
	once  int
	kinds map[string]callSeen
}

type callSeen struct {
	slot int64
	n    int
}

// NewNewCall finds a sensitive or rare call by an identity that has a history and
// never made it.
func NewNewCall() Detector {
	return &newCall{callers: newTable[caller](maxCallers), fleet: newTable[struct{}](maxFleetCalls), def: Definition{
		Rule: model.RuleInfo{ID: "b8a0e3d4-90c7-4c31-8d5a-7a4b1c6f2d14", Title: "Management call that the identity never made before", Level: model.Low, Source: "builtin"},
		Tags: []string{"attack.t1078.004"}}}
}

func (n *newCall) Definition() Definition { return n.def }

func (n *newCall) Observe(o *model.Observation) []*model.Alert {
	if o.Host != "" || o.Code == "" || !callActs[o.Act] {
		return nil
	}
	who, ok := o.Find(model.IAMRole, model.Actor)
	if !ok {
		if who, ok = o.Find(model.User, model.Actor); !ok {
			return nil
		}
	}
	kind := o.Source.Product + "\x00" + o.Source.Service + "\x00" + o.Code
	rare := n.fleet.get(kind) == nil
	n.fleet.at(kind, o.Time)
	c := n.callers.at(who.Key().String(), o.Time)
	if c.kinds == nil {
		c.first, c.kinds = o.Time, map[string]callSeen{}
	}
	seen, known := c.kinds[kind]
	if !known && len(c.kinds) >= maxCallKinds {
		return nil // who does everything does nothing new
	}
	slot := o.Time.Unix() / callSlot
	if known && seen.slot == slot {
		return nil
	}
	learned := c.calls >= callCount && o.Time.Sub(c.first) >= callHistory && float64(c.once) <= callUnseen*float64(c.calls)
	c.calls++
	switch seen.n {
	case 0:
		c.once++
	case 1:
		c.once--
	}
	c.kinds[kind] = callSeen{slot, seen.n + 1}
	if known || !learned || !rare && !sensitiveActs[o.Act] {
		return nil
	}
	return []*model.Alert{alertOf(n.def, o)}
}

// callActs are what calls of a management API do, and of those sensitiveActs what
// an attacker needs and a service does seldom.
var callActs = map[model.Act]bool{model.ActAPICall: true, model.ActAssumeRole: true, model.ActKeyIssued: true, model.ActAccountChange: true, model.ActConfigChange: true,
	model.ActLogCleared: true, model.ActRemoteExec: true, model.ActObjectList: true, model.ActObjectRead: true, model.ActObjectWrite: true, model.ActObjectDelete: true,
	model.ActMailAccess: true}

var sensitiveActs = map[model.Act]bool{model.ActAssumeRole: true, model.ActKeyIssued: true, model.ActAccountChange: true, model.ActConfigChange: true,
	model.ActLogCleared: true, model.ActRemoteExec: true, model.ActObjectDelete: true, model.ActMailAccess: true}
