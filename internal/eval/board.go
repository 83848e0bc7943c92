package eval

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// BoardSchema names the version of a board's JSON form.
const BoardSchema = "catena.scoreboard/v1"

// A Board is what was measured on every labelled set, by every way of putting alerts
// together.
type Board struct {
	Schema string `json:"schema"`
	Rows   []Row  `json:"rows"`
}

// A Row is one way on one set. A share is 0..1, and null where a set cannot tell it.
type Row struct {
	Set       string `json:"set"`
	Method    string `json:"method"`
	Campaigns int    `json:"campaigns"`
	Found     int    `json:"found"`
	// Fragments are the incidents that hold a campaign's alerts, for each one found: 1 is whole.
	Fragments float64 `json:"fragments"`
	Glued     int     `json:"glued"` // incidents that hold alerts of several campaigns
	// Precision is the share of members that belong, Recall that of what belongs
	// which is a member; both are means over the campaigns found.
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"`
	// RecallContext is the recall with what the incident shows beside its members.
	RecallContext *float64 `json:"recall_with_context,omitempty"`
	Steps         *float64 `json:"steps"` // share of all visible steps or phases
	Roots         *float64 `json:"roots"` // share of the campaigns with the right root
	Order         *float64 `json:"order_tau"`
	// FalsePerDay counts incidents of medium severity or above with nothing of a campaign.
	FalsePerDay float64 `json:"false_per_day"`
	// PlannedPerDay are those of them that are mostly of work which the truth names: a
	// test that was ordered, maintenance, a scan.
	PlannedPerDay float64 `json:"planned_per_day,omitempty"`
	// RaisedAfter is the median of seconds from a campaign's first alert to the moment
	// when what had come in was enough.
	RaisedAfter       *float64 `json:"raised_after_s"`
	PairF1            *float64 `json:"pair_f1"` // see AITResult
	AlertsPerIncident *float64 `json:"alerts_per_incident"`
	// TrueBits is the least that an incident which tells a campaign has in bits, FalseBits
	// the most that any other group of alerts has, raised or not: where the first is more,
	// a threshold between them would have made no mistake.
	TrueBits  *float64 `json:"true_bits,omitempty"`
	FalseBits *float64 `json:"false_bits,omitempty"`
	// NsPerAlert and BytesPerEntity depend on the machine and are not compared.
	NsPerAlert     *float64 `json:"ns_per_alert,omitempty"`
	BytesPerEntity *float64 `json:"bytes_per_entity,omitempty"`
}

// A Tally adds up the scores of one set to a row.
type Tally struct {
	Set, Method string

	row                      Row
	days                     float64
	incidents, false, alerts int
	fragments                int
	steps, visible           int
	roots, rooted            int
	precision, recall, order []float64
	recallContext            []float64
	pairs, raised            []float64
	ns, bytes                []float64
	planned                  int
}

// Add adds what a report came to; lasted is how long its evidence does.
func (t *Tally) Add(r *model.Report, res *Result, lasted time.Duration) {
	t.report(r, len(res.FalseIncidents), len(res.Glued), lasted, r.Totals.Alerts)
	t.planned += res.Planned()
	for i := range res.Campaigns {
		c := &res.Campaigns[i]
		t.row.Campaigns++
		t.steps, t.visible = t.steps+c.StepsFound, t.visible+c.StepsVisible
		if c.Root.Want != "" {
			t.rooted++
			if c.Root.Right {
				t.roots++
			}
		}
		if !c.Found {
			continue
		}
		t.row.Found++
		t.fragments += c.Fragments
		t.precision, t.recall, t.order = addShare(t.precision, c.Precision), addShare(t.recall, c.Recall), addShare(t.order, c.Order)
		t.recallContext = addShare(t.recallContext, c.RecallContext)
	}
}

// Margin adds the bits of the incidents that tell campaigns, and of the best group of
// alerts that tells none; 0 is none.
func (t *Tally) Margin(campaigns []float64, other float64) {
	least := func(to **float64, x float64, better bool) {
		if *to == nil || better == (x > **to) {
			*to = &x
		}
	}
	for _, bits := range campaigns {
		least(&t.row.TrueBits, round(bits), false)
	}
	if other > 0 {
		least(&t.row.FalseBits, round(other), true)
	}
}

// AddAIT adds what a report over labelled tables came to. Their steps are phases;
// precision is by time, and recall is of kinds of alert.
func (t *Tally) AddAIT(r *model.Report, res *AITResult, tables []*AITScenario) {
	records := 0
	for _, s := range tables {
		records += s.Records
	}
	t.report(r, len(res.False), len(res.Glued), time.Duration(days(tables)*24*float64(time.Hour)), records)
	t.pairs = addShare(t.pairs, res.PairF1)
	for i := range res.Scenarios {
		x := &res.Scenarios[i]
		t.row.Campaigns++
		t.steps, t.visible = t.steps+x.Steps, t.visible+x.StepsAll
		if x.Rank == 0 {
			continue
		}
		t.row.Found++
		t.fragments += x.Fragments
		t.precision, t.recall = addShare(t.precision, x.TimeAll), addShare(t.recall, x.Kinds)
		t.order = addShare(t.order, x.Order)
	}
}

func (t *Tally) report(r *model.Report, falseOnes, glued int, lasted time.Duration, alerts int) {
	t.days += max(lasted.Hours(), 1) / 24
	t.incidents += len(r.Incidents)
	t.false += falseOnes
	t.alerts += alerts
	t.row.Glued += glued
}

// Raised adds how long after its first alert a campaign was raised.
func (t *Tally) Raised(after time.Duration) { t.raised = append(t.raised, after.Seconds()) }

// Cost adds what fusing took, for each alert and for each entity; 0 is unknown. The row
// has the means.
func (t *Tally) Cost(ns, bytes float64) {
	if ns > 0 {
		t.ns = append(t.ns, ns)
	}
	if bytes > 0 {
		t.bytes = append(t.bytes, bytes)
	}
}

// Row returns the sum.
func (t *Tally) Row() Row {
	r := t.row
	r.Set, r.Method = t.Set, t.Method
	if r.Found > 0 {
		r.Fragments = round(float64(t.fragments) / float64(r.Found))
	}
	r.Precision, r.Recall, r.Order, r.PairF1 = mean(t.precision), mean(t.recall), mean(t.order), mean(t.pairs)
	r.RecallContext, r.NsPerAlert, r.BytesPerEntity = mean(t.recallContext), mean(t.ns), mean(t.bytes)
	r.Steps, r.Roots = rounded(ratio(t.steps, t.visible)), rounded(ratio(t.roots, t.rooted))
	if t.days > 0 {
		r.FalsePerDay, r.PlannedPerDay = round(float64(t.false)/t.days), round(float64(t.planned)/t.days)
	}
	r.AlertsPerIncident = rounded(ratio(t.alerts, t.incidents))
	if len(t.raised) > 0 {
		slices.Sort(t.raised)
		median := t.raised[len(t.raised)/2]
		r.RaisedAfter = &median
	}
	return r
}

func addShare(to []float64, x *float64) []float64 {
	if x == nil {
		return to
	}
	return append(to, *x)
}

func mean(x []float64) *float64 {
	if len(x) == 0 {
		return nil
	}
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	m := round(sum / float64(len(x)))
	return &m
}

// round keeps three decimals: more would say that the figures are known better.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

func rounded(x *float64) *float64 {
	if x == nil {
		return nil
	}
	r := round(*x)
	return &r
}

// Tolerances of Worse: figures that a reworded rule may move without harm.
const (
	boardShare  = 0.05 // of a share, and of Kendall's tau
	boardFalse  = 0.1  // false incidents a day
	boardRaised = 1.25 // times as long to raise, and a minute
)

// Worse compares a board with the last one and returns, in words, what became worse
// by more than the tolerances; counts (found, glued) have none. A row that only one
// of them has is not compared.
func (b *Board) Worse(last *Board) []string {
	var out []string
	for _, now := range b.Rows {
		i := slices.IndexFunc(last.Rows, func(r Row) bool { return r.Set == now.Set && r.Method == now.Method })
		if i < 0 {
			continue
		}
		was := last.Rows[i]
		say := func(what string, was, now float64) {
			out = append(out, fmt.Sprintf("%s, %s: %s was %.3g and is %.3g", last.Rows[i].Set, last.Rows[i].Method, what, was, now))
		}
		if now.Found < was.Found {
			say("campaigns found", float64(was.Found), float64(now.Found))
		}
		if now.Glued > was.Glued {
			say("glued incidents", float64(was.Glued), float64(now.Glued))
		}
		if now.Fragments > was.Fragments+boardShare {
			say("incidents a campaign", was.Fragments, now.Fragments)
		}
		if now.FalsePerDay > was.FalsePerDay+boardFalse {
			say("false incidents a day", was.FalsePerDay, now.FalsePerDay)
		}
		for _, x := range []struct {
			what     string
			was, now *float64
		}{{"precision", was.Precision, now.Precision}, {"recall", was.Recall, now.Recall}, {"steps", was.Steps, now.Steps}, {"roots", was.Roots, now.Roots}, {"order", was.Order, now.Order}, {"pair F1", was.PairF1, now.PairF1}} {
			if x.was != nil && (x.now == nil || *x.now < *x.was-boardShare) {
				say(x.what, *x.was, orZero(x.now))
			}
		}
		if was.RaisedAfter != nil && now.RaisedAfter != nil && *now.RaisedAfter > *was.RaisedAfter*boardRaised+60 {
			say("seconds to raise", *was.RaisedAfter, *now.RaisedAfter)
		}
	}
	return out
}

func orZero(x *float64) float64 {
	if x == nil {
		return 0
	}
	return *x
}

// WriteJSON writes the board as indented JSON.
func (b *Board) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(b)
}

// WriteMarkdown writes the board as a table for each set.
func (b *Board) WriteMarkdown(w io.Writer) error {
	var out strings.Builder
	set := ""
	for _, r := range b.Rows {
		if r.Set != set {
			set = r.Set
			fmt.Fprintf(&out, "\n## %s\n\n| | found | incidents each | glued | precision | recall | steps | root | order | pair F1 | false a day | raised after | alerts an incident | bits: least true / most false | ns an alert | bytes an entity |\n|%s\n",
				set, strings.Repeat("---|", 16))
		}
		recall := percent(r.Recall)
		if r.RecallContext != nil && *r.RecallContext != orZero(r.Recall) {
			recall += " (" + percent(r.RecallContext) + ")"
		}
		wrong := fmt.Sprintf("%.2f", r.FalsePerDay)
		if r.PlannedPerDay > 0 {
			wrong += fmt.Sprintf(" (%.2f planned)", r.PlannedPerDay)
		}
		fmt.Fprintf(&out, "| %s | %d of %d | %.2f | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.Method, r.Found, r.Campaigns, r.Fragments, r.Glued,
			percent(r.Precision), recall, percent(r.Steps), percent(r.Roots), number(r.Order), number(r.PairF1), wrong,
			whole(r.RaisedAfter, " s"), whole(r.AlertsPerIncident, ""), margin(&r), whole(r.NsPerAlert, ""), whole(r.BytesPerEntity, ""))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func margin(r *Row) string {
	if r.TrueBits == nil && r.FalseBits == nil {
		return "n/a"
	}
	return whole(r.TrueBits, "") + " / " + whole(r.FalseBits, "")
}

func whole(x *float64, unit string) string {
	if x == nil {
		return "n/a"
	}
	return fmt.Sprintf("%.0f%s", *x, unit)
}
