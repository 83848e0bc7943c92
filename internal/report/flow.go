package report

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// A flow is an incident as Attack Flow sees it: actions that lead to actions, and
// the assets they are about. Text in it is cleaned.
type flow struct {
	id, name, description string
	actions               []flowAction
	assets                []flowAsset
	omitted               int // steps that are not in it
}

// A flowAction is one step.
type flowAction struct {
	n         int // the step's number
	step      *model.Step
	name      string
	technique string
	text      string
	causes    []int // indexes of earlier actions
	assets    []int // indexes of assets
}

// A flowAsset is something that an action is done to, or with.
type flowAsset struct {
	kind  model.EntityType
	value string
	text  string
}

// flowOf makes the flow of an incident, of at most so many actions. Causes that are no earlier step of it are
// left out, so that a flow has a start and no circle.
func flowOf(inc *model.Incident, most int, o Options) flow {
	f := flow{id: inc.ID, name: Clean(inc.Title), description: flowText(inc)}
	steps := inc.Steps[:min(most, len(inc.Steps))]
	f.omitted = len(inc.Steps) - len(steps)
	at := make(map[int]int, len(steps))
	seen := make(map[model.EntityKey]int)
	roles := flowRoles(inc)
	for i := range steps {
		s := &steps[i]
		a := flowAction{n: s.N, step: s, technique: Clean(s.Technique), text: Clean(s.Summary)}
		if a.name = o.technique(s.Technique); a.name == "" {
			a.name = o.tactic(s.Tactic)
		}
		if a.name == "" {
			a.name = "Step " + strconv.Itoa(s.N)
		}
		for _, c := range s.CausedBy {
			if j, ok := at[c]; ok && !slices.Contains(a.causes, j) {
				a.causes = append(a.causes, j)
			}
		}
		for _, k := range stepAssets(inc, s) {
			j, ok := seen[k]
			if !ok {
				j = len(f.assets)
				seen[k] = j
				f.assets = append(f.assets, flowAsset{k.Type, Clean(k.Value), strings.ReplaceAll(string(k.Type), "_", " ") + roles[k.String()]})
			}
			if !slices.Contains(a.assets, j) {
				a.assets = append(a.assets, j)
			}
		}
		if _, ok := at[s.N]; !ok {
			at[s.N] = i
		}
		f.actions = append(f.actions, a)
	}
	return f
}

// flowText is what a flow says of itself: the story's sentences.
func flowText(inc *model.Incident) string {
	var text string
	for i, s := range inc.Summary {
		if i > 0 {
			text += " "
		}
		if text += Clean(s.Text); len(text) > 8<<10 {
			break
		}
	}
	return text
}

// flowRoles says of entities, by key, what the attack got of them.
func flowRoles(inc *model.Incident) map[string]string {
	roles := make(map[string]string)
	for _, g := range []struct {
		word string
		keys []string
	}{{"exposed", inc.Impact.Exposed}, {"touched", inc.Impact.Touched}, {"compromised", inc.Impact.Compromised}} {
		for _, k := range g.keys {
			roles[k] = ", " + g.word
		}
	}
	return roles
}

// stepAssets are the machine and the account of a step, and what it was done to
// where that is an entity of the incident.
func stepAssets(inc *model.Incident, s *model.Step) []model.EntityKey {
	var out []model.EntityKey
	if s.Host != "" {
		out = append(out, model.EntityKey{Type: model.Host, Value: s.Host})
	}
	if s.User != "" {
		out = append(out, model.EntityKey{Type: accountType(inc, s.User), Value: s.User})
	}
	if s.To == "" || s.To == s.Host || s.To == s.User {
		return out
	}
	for _, e := range inc.Entities {
		if e.Value != s.To {
			continue
		}
		switch e.Type {
		case model.Host, model.User, model.IAMRole, model.Resource, model.Container, model.Pod, model.Namespace, model.Mailbox, model.App, model.AccessKey, model.IP:
			return append(out, model.EntityKey{Type: e.Type, Value: e.Value})
		}
	}
	if ip, err := netip.ParseAddr(s.To); err == nil {
		out = append(out, model.EntityKey{Type: model.IP, Value: ip.String()})
	}
	return out
}

// accountType is what the incident knows the account of a step as.
func accountType(inc *model.Incident, account string) model.EntityType {
	for _, e := range inc.Entities {
		if e.Value == account && (e.Type == model.IAMRole || e.Type == model.App || e.Type == model.AccessKey) {
			return e.Type
		}
	}
	return model.User
}
