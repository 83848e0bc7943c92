package report

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// What one HTML report holds at most; the page says what it leaves out.
const (
	htmlIncidents   = 100
	htmlSteps       = 500
	htmlEntities    = 300
	htmlLinks       = 150
	htmlAlerts      = 2000
	htmlRecords     = 2000
	htmlRecordBytes = 16 << 10 // of one record, as shown
	htmlTotalBytes  = 8 << 20  // of all records, as shown
	htmlCites       = 6        // links behind one sentence or step
)

//go:embed web/report.gohtml web/report.css web/report.js
var webFiles embed.FS

// HTML returns the writer of report.html: one file to read, print and send. It
// needs no network and no script to be read; its content security policy allows
// nothing but its own style and its own small script, by their hashes.
func HTML(o Options) Writer { return htmlWriter{o} }

type htmlWriter struct{ names Options }

func (htmlWriter) Name() string { return "html" }
func (htmlWriter) File() string { return "report.html" }

func (h htmlWriter) Write(w io.Writer, r *model.Report) error {
	css, err := webFiles.ReadFile("web/report.css")
	if err != nil {
		return fmt.Errorf("write report.html: %w", err)
	}
	js, err := webFiles.ReadFile("web/report.js")
	if err != nil {
		return fmt.Errorf("write report.html: %w", err)
	}
	tmpl, err := template.New("report.gohtml").Funcs(h.funcs()).ParseFS(webFiles, "web/report.gohtml")
	if err != nil {
		return fmt.Errorf("write report.html: %w", err)
	}
	v := h.view(r)
	v.CSS, v.JS = template.CSS(css), template.JS(js) //nolint:gosec // our own files, no evidence in them
	v.Policy = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src '" + hashSource(css) + "'; script-src '" + hashSource(js) + "'"
	buf := bufio.NewWriterSize(w, 1<<16)
	if err := tmpl.Execute(buf, v); err != nil {
		return fmt.Errorf("write report.html: %w", err)
	}
	return buf.Flush()
}

// hashSource names a script or style in a content security policy by its hash.
func hashSource(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (h htmlWriter) funcs() template.FuncMap {
	return template.FuncMap{
		"stamp":     stamp,
		"clock":     clock,
		"span":      span,
		"thousands": thousands,
		"count":     func(n int) string { return thousands(int64(n)) },
		"percent":   percent,
		"title":     title,
		"technique": h.names.technique,
		"tactic":    h.names.tactic,
		"words":     keyWords,
		"base":      baseName,
		"bits":      func(f float64) string { return fmt.Sprintf("%+.1f", f) },
		"offset":    offset,
		"problem":   errorText,
		"clip":      func(n int, s string) string { return clip(s, n) },
		"add":       func(a, b int) int { return a + b },
		"rank":      func(s model.Severity) int { return max(s.Rank(), 0) },
		"spaces":    func(s model.Reason) string { return strings.ReplaceAll(string(s), "_", " ") },
		"join":      func(s []string) string { return strings.Join(s, ", ") },
		"techURL":   techniqueURL,
		"glyph":     glyph,
		"fit":       fit,
		"where":     whereOf,
		"chapter":   chapterSpan,
		"kind":      typeWord,
		"standing":  func(inc model.Incident) string { return standing(&inc) },
		"decision":  decisionLine,
		"taken":     func(t model.Taken) string { return takenLine(&t) },
		"assurance": assuranceWords,
		"facts":     func(a model.AssetState) string { return assetFacts(&a) },
	}
}

// techniqueURL is where ATT&CK describes a technique; a reader may follow it,
// the page itself never does. Empty for what is no technique id.
func techniqueURL(id string) string {
	digits := strings.ReplaceAll(strings.TrimPrefix(id, "T"), ".", "")
	if !strings.HasPrefix(id, "T") || len(digits) < 4 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return "https://attack.mitre.org/techniques/" + strings.ReplaceAll(id, ".", "/")
}

// glyph is a sign for an entity type, so that a picture's nodes can be told
// apart without colour. All are from one Unicode block that every font has.
func glyph(t model.EntityType) string {
	switch t {
	case model.Host:
		return "▣"
	case model.User, model.Mailbox:
		return "◉"
	case model.Process:
		return "▷"
	case model.File:
		return "▤"
	case model.IP, model.Domain, model.URL:
		return "◎"
	case model.AccessKey, model.IAMRole, model.Session:
		return "◈"
	case model.Resource:
		return "◆"
	}
	return "●"
}

// fit shortens a label to about that many pixels in the picture's bold 12 px
// font: no font is at hand to measure with, so letters have one of three widths.
func fit(px int, s string) string {
	used := 0
	for i, r := range s {
		switch {
		case strings.ContainsRune("iljtfrI.,:;'|!()[]/- ", r):
			used += 5
		case r >= 'A' && r <= 'Z' || r > 0x2e80 || strings.ContainsRune("mw@%<>=+", r):
			used += 10
		default:
			used += 8
		}
		if used > px {
			return strings.TrimRight(s[:i], " .-_") + "…"
		}
	}
	return s
}

// htmlView is what the template shows; all strings in it are clean.
type htmlView struct {
	Policy     string
	CSS        template.CSS
	JS         template.JS
	Engine     model.Engine
	Totals     model.Totals
	Severities []severityCount
	Failed     int
	Incidents  []incidentView
	MoreInc    int
	Alone      []alertView
	Alerts     []alertView
	MoreAlerts int
	Records    []recordView
	MoreRecs   int
	Inputs     []model.Input
	Notes      []string
	Redirects  []model.Redirect
	Decisions  []model.Decision // with their Effect; at most shownDecisions
	Suppressed []model.Suppressed
}

type incidentView struct {
	model.Incident
	N           int // 1-based; names the anchors
	Story       []citedText
	Strips      []strip
	Graph       Graph
	Timeline    Timeline
	Rows        []stepView
	MoreSteps   int
	Shown       []model.EntityView
	MoreEnts    int
	Strong      []linkView
	MoreLinks   int
	Members     []cite
	MoreMembers int
	RootCites   []cite
	Lately      []model.Decision // the end of its history
	MoreHist    int
	Beside      []besideView
	Assets      []assetView
}

// A besideView is a kind of context with its first alert on the page.
type besideView struct {
	contextLine
	Cite cite
}

type assetView struct {
	model.AssetState
	Shown []cite
}

type citedText struct {
	Text  string
	Cites []cite
}

// A cite leads to an alert or record on the page; without Href it is not there.
type cite struct{ Label, Href, Title string }

type strip struct {
	Name, ID string
	Cells    []stripCell
}

type stripCell struct {
	Label, First string
	Steps        int
}

type stepView struct {
	model.Step
	Cites   []cite
	Chapter *model.Chapter // that begins with it
	Late    string
}

type linkView struct {
	model.Link
	FromCite, ToCite cite
	Parts            []model.Term
}

type alertView struct {
	model.Alert
	Anchor  string
	Place   string
	Records []cite
	Inc     int // number of its incident on the page, 0 if none
}

type recordView struct {
	Anchor, Input, ID, Text string
	Record                  int64
	Cut                     bool
}

// anchors says where on the page an alert or event stands.
type anchors struct {
	alerts, records map[string]string
	titles          map[string]string
}

func (h htmlWriter) view(r *model.Report) htmlView {
	v := htmlView{Engine: copyOf(r.Engine, Clean), Totals: r.Totals, Severities: severities(r.Incidents), Failed: failed(r.Inputs),
		Inputs: copyOf(r.Inputs, Clean), Notes: copyOf(r.Notes, Clean)}
	_, v.Decisions = latest(copyOf(r.Decisions, Clean))
	v.Redirects = copyOf(r.Redirects[:min(len(r.Redirects), shownRedirects)], Clean)
	v.Suppressed = copyOf(r.Suppressed[:min(len(r.Suppressed), shownDecisions)], Clean)
	byID := alertsByID(r)
	shown := shownAlerts(r, byID)
	v.MoreAlerts = max(0, len(r.Alerts)-len(shown))
	at := anchors{make(map[string]string), make(map[string]string), make(map[string]string)}
	for i, a := range shown {
		at.alerts[a.ID] = "a" + strconv.Itoa(i+1)
		at.titles[a.ID] = Clean(a.Rule.Title)
	}
	v.Records, v.MoreRecs = records(r, shown, at.records)
	incidents := r.Incidents
	if len(incidents) > htmlIncidents {
		v.MoreInc = len(incidents) - htmlIncidents
		incidents = incidents[:htmlIncidents]
	}
	number := make(map[string]int, len(incidents))
	for i := range incidents {
		number[incidents[i].ID] = i + 1
		v.Incidents = append(v.Incidents, h.incident(i+1, &incidents[i], byID, at))
	}
	alone := make(map[string]bool, len(r.Alone))
	for _, id := range r.Alone {
		alone[id] = true
	}
	for _, a := range shown {
		av := alertView{Anchor: at.alerts[a.ID], Place: Clean(alertPlace(a))}
		for _, e := range a.Evidence {
			if href := at.records[e.ID]; href != "" && len(av.Records) < htmlCites {
				av.Records = append(av.Records, cite{Clean(place(e)), "#" + href, ""})
			}
		}
		bare := *a // the records stand elsewhere on the page
		bare.Evidence = nil
		av.Alert = copyOf(bare, Clean)
		if a.Incident != nil {
			av.Inc = number[*a.Incident]
		}
		if alone[a.ID] {
			v.Alone = append(v.Alone, av)
		}
		v.Alerts = append(v.Alerts, av)
	}
	return v
}

// shownAlerts returns the alerts the page lists: those of incidents, worst
// first, then those alone, then the others, as many as fit.
func shownAlerts(r *model.Report, byID map[string]*model.Alert) []*model.Alert {
	var out []*model.Alert
	seen := make(map[string]bool)
	take := func(a *model.Alert) {
		if a != nil && !seen[a.ID] && len(out) < htmlAlerts {
			seen[a.ID] = true
			out = append(out, a)
		}
	}
	for _, id := range r.Alone[:min(len(r.Alone), htmlAlerts/4)] {
		take(byID[id])
	}
	n := len(out)
	for i := range r.Incidents {
		for _, id := range r.Incidents[i].Alerts {
			take(byID[id])
		}
	}
	for i := range r.Alerts {
		take(&r.Alerts[i])
	}
	return append(out[n:len(out):len(out)], out[:n]...)
}

// records picks the raw records that fit, those that stories cite first, and
// notes their anchors. It returns them and how many did not fit.
func records(r *model.Report, shown []*model.Alert, at map[string]string) (out []recordView, more int) {
	total := 0
	known := make(map[string]bool)
	take := func(e *model.Evidence) {
		if e.ID == "" || known[e.ID] || len(e.Event) == 0 {
			return
		}
		known[e.ID] = true
		if len(out) == htmlRecords || total >= htmlTotalBytes {
			more++
			return
		}
		v := recordView{Anchor: "r" + strconv.Itoa(len(out)+1), Input: Clean(e.Input), ID: Clean(e.ID), Record: e.Record}
		v.Text, v.Cut = prettyJSON(e.Event)
		total += len(v.Text)
		at[e.ID] = v.Anchor
		out = append(out, v)
	}
	for i := range r.Events {
		take(&r.Events[i])
	}
	for first := range 3 { // the first records of every alert before the many of one
		for _, a := range shown {
			if first < 2 && first < len(a.Evidence) {
				take(&a.Evidence[first])
			} else if first == 2 {
				for i := range a.Evidence {
					take(&a.Evidence[i])
				}
			}
		}
	}
	return out, more
}

// prettyJSON indents a record for reading, as far as the page has room for it.
func prettyJSON(raw json.RawMessage) (text string, cut bool) {
	if len(raw) > 4*htmlRecordBytes { // indenting may double it; do not start on a giant
		raw, cut = raw[:htmlRecordBytes], true
	}
	var b bytes.Buffer
	if cut || json.Indent(&b, raw, "", "  ") != nil {
		b.Reset()
		b.Write(raw)
	}
	if b.Len() > htmlRecordBytes {
		b.Truncate(htmlRecordBytes)
		cut = true
	}
	return CleanBlock(strings.ToValidUTF8(b.String(), "")), cut
}

func (h htmlWriter) incident(n int, raw *model.Incident, alerts map[string]*model.Alert, at anchors) incidentView {
	inc := copyOf(*raw, Clean)
	v := incidentView{Incident: inc, N: n, Graph: cleanGraph(LayoutGraph(raw, alerts)), Timeline: cleanTimeline(LayoutTimeline(raw)), Strips: h.strips(n, &inc)}
	for i, s := range inc.Summary {
		v.Story = append(v.Story, citedText{s.Text, at.cites(raw.Summary[i].Cites)})
	}
	v.RootCites = at.cites([]string{raw.Root.Alert, raw.Root.Event})
	for i := range inc.Impact.Assets {
		v.Assets = append(v.Assets, assetView{inc.Impact.Assets[i], at.cites(raw.Impact.Assets[i].Cites)})
	}
	begins := map[int]*model.Chapter{}
	for i := range inc.Chapters {
		begins[inc.Chapters[i].From] = &inc.Chapters[i]
	}
	for i := range inc.Steps[:min(len(inc.Steps), htmlSteps)] {
		s := inc.Steps[i]
		v.Rows = append(v.Rows, stepView{s, at.cites(append(slices.Clone(raw.Steps[i].Alerts), raw.Steps[i].Events...)), begins[s.N], late("", &s)})
	}
	for _, l := range contextLines(raw, alerts) {
		v.Beside = append(v.Beside, besideView{l, at.cite(l.Alert)})
	}
	v.MoreSteps = len(inc.Steps) - len(v.Rows)
	v.Shown = inc.Entities[:min(len(inc.Entities), htmlEntities)]
	v.MoreEnts = len(inc.Entities) - len(v.Shown)
	for _, l := range strongest(raw.Links, htmlLinks) {
		lv := linkView{Link: copyOf(l, Clean), FromCite: at.cite(l.From), ToCite: at.cite(l.To)}
		for what, b := range lv.Terms {
			lv.Parts = append(lv.Parts, model.Term{What: what, Bits: b})
		}
		slices.SortFunc(lv.Parts, func(a, b model.Term) int {
			return cmp.Or(cmp.Compare(b.Bits, a.Bits), strings.Compare(a.What, b.What))
		})
		v.Strong = append(v.Strong, lv)
	}
	v.MoreLinks = len(raw.Links) - len(v.Strong)
	for _, id := range raw.Alerts[:min(len(raw.Alerts), 60)] {
		v.Members = append(v.Members, at.cite(id))
	}
	v.MoreMembers = len(raw.Alerts) - len(v.Members)
	v.MoreHist, v.Lately = latest(inc.History)
	return v
}

// cite returns the place of an alert or event.
func (at anchors) cite(id string) cite {
	c := cite{Label: Clean(id), Title: at.titles[id]}
	if t := at.titles[id]; t != "" {
		c.Label = t
	}
	if a := cmp.Or(at.alerts[id], at.records[id]); a != "" {
		c.Href = "#" + a
	}
	return c
}

// cites returns short numbered references to those of the ids that stand on the
// page: "A3" an alert, "R12" a record.
func (at anchors) cites(ids []string) []cite {
	var out []cite
	for _, id := range ids {
		c := at.cite(id)
		if id == "" || c.Href == "" || len(out) == htmlCites {
			continue
		}
		c.Title = cmp.Or(c.Title, "record "+c.Label)
		c.Label = strings.ToUpper(c.Href[1:])
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// strips shows the incident in each of the four vocabularies, whole chains with
// what was reached.
func (h htmlWriter) strips(n int, inc *model.Incident) []strip {
	stage := strip{Name: "8 stages", ID: fmt.Sprintf("k%d-stages", n)}
	for _, s := range model.Stages {
		stage.Cells = append(stage.Cells, cellOf(title(string(s)), inc.Steps, func(x *model.Step) bool { return x.Stage == s }))
	}
	tactics := strip{Name: "ATT&CK tactics", ID: fmt.Sprintf("k%d-tactics", n)}
	for _, t := range tacticOrder() {
		tactics.Cells = append(tactics.Cells, cellOf(h.names.tactic(t), inc.Steps, func(x *model.Step) bool { return x.Tactic == t }))
	}
	intents := strip{Name: "Defender intents", ID: fmt.Sprintf("k%d-intents", n)}
	for _, in := range intentOrder() {
		intents.Cells = append(intents.Cells, cellOf(camelWords(string(in)), inc.Steps, func(x *model.Step) bool { return currentIntent(x.Intent) == in }))
	}
	cloud := strip{Name: "4 cloud steps", ID: fmt.Sprintf("k%d-cloud", n)}
	for _, c := range model.CloudSteps {
		cloud.Cells = append(cloud.Cells, cellOf(title(string(c)), inc.Steps, func(x *model.Step) bool { return x.CloudStep == c }))
	}
	return []strip{stage, tactics, intents, cloud}
}

func cellOf(label string, steps []model.Step, in func(*model.Step) bool) stripCell {
	c := stripCell{Label: label}
	for i := range steps {
		if in(&steps[i]) {
			if c.Steps == 0 {
				c.First = stamp(steps[i].Time)
			}
			c.Steps++
		}
	}
	return c
}

// tacticOrder lists ATT&CK's Enterprise tactics, v19, in the order of its matrix.
func tacticOrder() []string {
	return []string{"reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation", "stealth",
		"defense-impairment", "credential-access", "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact"}
}

// intentOrder lists Defender's intents in the order of an attack, without
// Unknown and the older names.
func intentOrder() []model.Intent {
	return []model.Intent{model.IntentPreAttack, model.IntentInitialAccess, model.IntentExecution, model.IntentPersistence, model.IntentPrivilegeEscalation,
		model.IntentDefenseEvasion, model.IntentCredentialAccess, model.IntentDiscovery, model.IntentLateralMovement, model.IntentCollection,
		model.IntentCommandAndControl, model.IntentExfiltration, model.IntentImpact}
}

// currentIntent maps the older names to the present ones.
func currentIntent(in model.Intent) model.Intent {
	switch in {
	case model.IntentProbing:
		return model.IntentPreAttack
	case model.IntentExploitation:
		return model.IntentInitialAccess
	}
	return in
}

// camelWords writes "CommandAndControl" as "Command And Control".
func camelWords(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cleanGraph cleans after layout, since layout looks alerts up by their ids.
func cleanGraph(g Graph) Graph {
	g = copyOf(g, CleanBlock)
	for i := range g.Nodes {
		g.Nodes[i].Label = Clean(g.Nodes[i].Label)
	}
	return g
}

func cleanTimeline(t Timeline) Timeline { return copyOf(t, Clean) }
