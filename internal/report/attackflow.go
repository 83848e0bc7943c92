package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/catena-sec/catena/internal/model"
)

// AttackFlow returns the writer of a file of the Attack Flow Builder (.afb, the
// form that Builder 3 saves, "attack_flow_v2"): the steps of incidents as actions,
// with arrows from what caused them and to the assets they are about, laid out so
// that time runs down and each host has a column. Unlike a STIX bundle such a file
// keeps arrows and places when the Builder opens it.
// https://github.com/center-for-threat-informed-defense/attack-flow
func AttackFlow(o Options) Writer { return flowWriter{o} }

type flowWriter struct{ o Options }

func (flowWriter) Name() string { return "attack-flow" }
func (flowWriter) File() string { return "attack-flow.afb" }

// Bounds of the canvas, which a person looks at and a browser draws.
const (
	canvasIncidents = 20
	canvasActions   = 100 // of one incident
)

// Distances on the canvas, in its units.
const (
	laneWidth   = 420
	stepHeight  = 320
	betweenRuns = 2 * laneWidth
)

// afbFile is the whole document.
type afbFile struct {
	Schema  string            `json:"schema"`
	Objects []any             `json:"objects"`
	Layout  map[string][2]int `json:"layout"`
	Camera  struct {
		X int     `json:"x"`
		Y int     `json:"y"`
		K float64 `json:"k"`
	} `json:"camera"`
}

type afbFlow struct {
	ID         string    `json:"id"`
	Instance   string    `json:"instance"`
	Properties []afbPair `json:"properties"`
	Objects    []string  `json:"objects"`
}

type afbBlock struct {
	ID         string            `json:"id"`
	Instance   string            `json:"instance"`
	Properties []afbPair         `json:"properties"`
	Anchors    map[string]string `json:"anchors"` // by angle, 0 is right and 90 up
}

type afbAnchor struct {
	ID       string   `json:"id"`
	Instance string   `json:"instance"`
	Latches  []string `json:"latches"` // ends of lines
}

type afbLine struct {
	ID       string   `json:"id"`
	Instance string   `json:"instance"`
	Source   string   `json:"source"` // a latch
	Target   string   `json:"target"`
	Handles  []string `json:"handles"`
}

type afbPoint struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
}

// An afbPair is a property: its name and its value, null if it has none.
type afbPair [2]any

// Angles of the anchors that lines use.
const (
	right  = 0
	top    = 90
	left   = 180
	bottom = 270
)

// A canvas collects blocks and lines; ids of things are made of what they are.
type canvas struct {
	blocks  []afbBlock
	anchors map[string]*afbAnchor // by id of its block and angle
	order   []string              // keys of anchors, block by block
	lines   []any
	inFlow  []string
	layout  map[string][2]int
}

func (c *canvas) block(kind, id string, x, y int, properties ...afbPair) {
	b := afbBlock{ID: kind, Instance: id, Properties: properties, Anchors: make(map[string]string)}
	for angle := 0; angle < 360; angle += 30 {
		a := &afbAnchor{ID: "horizontal_anchor", Instance: catenaSpace.of("anchor", id, strconv.Itoa(angle)), Latches: []string{}}
		if angle%180 >= 60 && angle%180 <= 120 {
			a.ID = "vertical_anchor"
		}
		b.Anchors[strconv.Itoa(angle)] = a.Instance
		key := anchorKey(id, angle)
		c.anchors[key] = a
		c.order = append(c.order, key)
	}
	c.blocks = append(c.blocks, b)
	c.layout[id] = [2]int{x, y}
}

func anchorKey(block string, angle int) string { return block + "/" + strconv.Itoa(angle) }

// line draws an arrow between anchors of two blocks.
func (c *canvas) line(from string, out int, to string, in int) {
	id := func(part string) string { return catenaSpace.of(part, from, to) }
	l := afbLine{ID: "dynamic_line", Instance: id("line"), Source: id("source"), Target: id("target"), Handles: []string{id("handle")}}
	c.lines = append(c.lines, l, afbPoint{"generic_latch", l.Source}, afbPoint{"generic_latch", l.Target}, afbPoint{"generic_handle", l.Handles[0]})
	c.inFlow = append(c.inFlow, l.Instance)
	a, b := c.anchors[anchorKey(from, out)], c.anchors[anchorKey(to, in)]
	a.Latches = append(a.Latches, l.Source)
	b.Latches = append(b.Latches, l.Target)
}

func (f flowWriter) Write(w io.Writer, r *model.Report) error {
	c := &canvas{anchors: make(map[string]*afbAnchor), layout: make(map[string][2]int)}
	shown := r.Incidents[:min(canvasIncidents, len(r.Incidents))]
	x, steps := 0, 0
	for i := range shown {
		width, omitted := f.incident(c, &shown[i], i, x)
		x += width + betweenRuns
		steps += omitted
	}
	doc := afbFile{Schema: "attack_flow_v2", Layout: c.layout}
	doc.Camera.K = 1
	doc.Objects = append(doc.Objects, f.page(c, r, shown, steps))
	doc.Objects = append(doc.Objects, c.lines...)
	perBlock := 12
	for i, b := range c.blocks {
		doc.Objects = append(doc.Objects, b)
		for _, key := range c.order[i*perBlock : (i+1)*perBlock] {
			doc.Objects = append(doc.Objects, *c.anchors[key])
		}
	}
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return fmt.Errorf("write Attack Flow Builder file: %w", err)
	}
	_, err = w.Write(append(escapeHidden(b), '\n'))
	return err
}

// page is the flow itself, which lists what stands on it.
func (f flowWriter) page(c *canvas, r *model.Report, shown []model.Incident, omitted int) afbFlow {
	name, text, created := "Catena: no incident", "", model.Incident{}.FirstSeen
	if len(shown) > 0 {
		name, text, created = Clean(shown[0].Title), flowText(&shown[0]), shown[0].FirstSeen
	}
	if more := len(r.Incidents) - 1; more > 0 {
		name = fmt.Sprintf("%s, and %s", name, plural(int64(more), "further incident"))
	}
	if n := len(r.Incidents) - len(shown); n > 0 {
		text += fmt.Sprintf(" (%s not drawn)", plural(int64(n), "further incident"))
	}
	if omitted > 0 {
		text += fmt.Sprintf(" (%s not drawn)", plural(int64(omitted), "further step"))
	}
	objects := append([]string{}, c.inFlow...)
	for _, b := range c.blocks {
		objects = append(objects, b.Instance)
	}
	ids := []string{"flow"}
	for i := range r.Incidents {
		ids = append(ids, r.Incidents[i].ID)
	}
	return afbFlow{ID: "flow", Instance: catenaSpace.of(ids...), Objects: objects, Properties: []afbPair{
		{"name", name}, {"description", orNull(text)},
		{"author", []afbPair{{"name", "Catena"}, {"identity_class", "system"}, {"contact_information", nil}}},
		{"scope", "incident"}, {"external_references", []any{}}, {"created", afbDate(stixTime(created))}}}
}

// incident draws one incident from x on; it returns how wide that is, and how many
// steps are left out.
func (f flowWriter) incident(c *canvas, inc *model.Incident, n, x int) (width, omitted int) {
	fl := flowOf(inc, canvasActions, f.o)
	id := func(kind string, i int) string {
		return catenaSpace.of("afb", kind, inc.ID, strconv.Itoa(n), strconv.Itoa(i))
	}
	columns := make(map[string]int)
	for i, a := range fl.actions {
		col, ok := columns[a.step.Host]
		if !ok {
			col = len(columns)
			columns[a.step.Host] = col
		}
		s := a.step
		end := s.End
		if end.Before(s.Time) {
			end = s.Time
		}
		c.block("action", id("action", i), x+col*laneWidth, i*stepHeight,
			afbPair{"name", a.name},
			afbPair{"ttp", []afbPair{{"tactic", orNull(Clean(f.o.tacticID(s.Tactic)))}, {"technique", orNull(a.technique)}}},
			afbPair{"description", orNull(a.text)}, afbPair{"confidence", nil},
			afbPair{"execution_start", afbDate(stixTime(s.Time))}, afbPair{"execution_end", afbDate(stixTime(end))})
	}
	f.assets(c, &fl, id, x+len(columns)*laneWidth)
	for i, a := range fl.actions {
		to := id("action", i)
		if len(a.causes) > 1 { // each of them did happen, and led here
			op := id("operator", i)
			at := c.layout[to]
			c.block("AND_operator", op, at[0], at[1]-stepHeight/2, afbPair{"operator", "AND"})
			c.line(op, bottom, to, top)
			to = op
		}
		for _, cause := range a.causes {
			c.line(id("action", cause), bottom, to, top)
		}
		for _, k := range a.assets {
			c.line(id("action", i), right, id("asset", k), left)
		}
	}
	return (len(columns) + 1) * laneWidth, fl.omitted
}

// assets draws assets in a column at x, each beside the first action about it or
// below the one before.
func (f flowWriter) assets(c *canvas, fl *flow, id func(string, int) string, x int) {
	const height = stepHeight / 2
	y, drawn := 0, 0
	for i, a := range fl.actions {
		for _, k := range a.assets {
			if k != drawn { // assets are numbered by first sight
				continue
			}
			y = max(y, i*stepHeight)
			c.block("asset", id("asset", k), x, y, afbPair{"name", fl.assets[k].value}, afbPair{"description", orNull(fl.assets[k].text)})
			y += height
			drawn++
		}
	}
}

func afbDate(t string) map[string]string { return map[string]string{"time": t, "zone": "UTC"} }

// orNull is how the Builder writes a text that is not there.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
