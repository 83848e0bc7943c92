package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Limits bound what Read takes of one report, so that a file made to be read
// badly costs little. The zero value of a field is its default.
type Limits struct {
	Bytes     int64 // of the file; default 8 GiB
	Element   int64 // bytes of one incident or alert; default 64 MiB
	Incidents int   // default 100,000
	Alerts    int   // default 2,000,000
	Places    int   // places of evidence, in all; default 8,000,000
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 8 << 30
	}
	if l.Element == 0 {
		l.Element = 64 << 20
	}
	if l.Incidents == 0 {
		l.Incidents = 100_000
	}
	if l.Alerts == 0 {
		l.Alerts = 2_000_000
	}
	if l.Places == 0 {
		l.Places = 8_000_000
	}
	return l
}

// A Report is what comparing needs of a report.json: who belongs with whom, and
// the places of evidence that show it. Records, links and stories are left out.
type Report struct {
	Engine    model.Engine
	Totals    model.Totals
	inputs    []input
	incidents []incident
	alerts    []alert
	alone     []string
	byAlert   map[string]int
	byInc     map[string]int
}

type input struct {
	Path   string `json:"path"`
	Events int64  `json:"events"`
}

type incident struct {
	ID       string         `json:"id"`
	Title    string         `json:"title"`
	Severity model.Severity `json:"severity"`
	Score    int            `json:"score"`
	Root     struct {
		Time      time.Time `json:"time"`
		Entity    string    `json:"entity"`
		Host      string    `json:"host"`
		Process   string    `json:"process"`
		Technique string    `json:"technique"`
	} `json:"root"`
	Alerts []string `json:"alerts"`
}

type alert struct {
	ID   string `json:"id"`
	Rule struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	} `json:"rule"`
	Incident *string `json:"incident"`
	Evidence []place `json:"evidence"`
}

// A place is where a record stands.
type place struct {
	Input  string `json:"input"`
	Record int64  `json:"record"`
}

// Read reads a report.json. Errors say where in the document the fault is; a
// report of another schema, one with two incidents or alerts of one id, or one
// beyond the limits is refused.
func Read(src io.Reader, limits Limits) (*Report, error) {
	limits = limits.withDefaults()
	b := &budget{r: io.LimitReader(src, limits.Bytes+1), total: limits.Bytes}
	d := &reader{budget: b, dec: json.NewDecoder(b), limits: limits,
		r: &Report{byAlert: map[string]int{}, byInc: map[string]int{}}}
	b.left = limits.Element
	if err := d.document(); err != nil {
		if b.err != nil { // what the decoder makes of it says less
			err = b.err
		}
		return nil, fmt.Errorf("at byte %d: %w", d.dec.InputOffset(), err)
	}
	return d.r, nil
}

// A budget lets through a bounded number of bytes between two renewals: a decoder
// holds one value whole, so this bounds the memory a value takes.
type budget struct {
	r           io.Reader
	left        int64
	read, total int64
	err         error
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.err = errors.New("one value is larger than a report holds")
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.read += int64(n); b.read > b.total {
		b.err = fmt.Errorf("larger than %d bytes", b.total)
		return 0, b.err
	}
	return n, err
}

type reader struct {
	*budget
	dec    *json.Decoder
	limits Limits
	places int
	schema string
	r      *Report
}

func (d *reader) document() error {
	if t, err := d.dec.Token(); err != nil {
		return fmt.Errorf("the document: %w", err)
	} else if t != json.Delim('{') {
		return errors.New("the document: want an object")
	}
	for d.dec.More() {
		d.left = d.limits.Element
		t, err := d.dec.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		if err := d.field(name); err != nil {
			return err
		}
	}
	if _, err := d.dec.Token(); err != nil {
		return err
	}
	if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the report")
	}
	if d.schema != model.ReportSchema {
		return fmt.Errorf("schema %q, want %q", d.schema, model.ReportSchema)
	}
	return d.members()
}

func (d *reader) field(name string) error {
	switch name {
	case "schema":
		return d.value(name, &d.schema)
	case "engine":
		return d.value(name, &d.r.Engine)
	case "totals":
		return d.value(name, &d.r.Totals)
	case "alone":
		return d.list(name, d.limits.Alerts, func(at string) error {
			var id string
			err := d.value(at, &id)
			d.r.alone = append(d.r.alone, id)
			return err
		})
	case "inputs":
		return d.list(name, d.limits.Alerts, func(at string) error {
			var in input
			err := d.value(at, &in)
			d.r.inputs = append(d.r.inputs, in)
			return err
		})
	case "incidents":
		return d.list(name, d.limits.Incidents, d.incident)
	case "alerts":
		return d.list(name, d.limits.Alerts, d.alert)
	}
	return d.skip()
}

// maxDepth bounds the nesting of what is skipped.
const maxDepth = 1000

// skip reads over a value without holding it.
func (d *reader) skip() error {
	for depth := 0; ; {
		d.left = d.limits.Element
		t, err := d.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return fmt.Errorf("depth above %d", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (d *reader) incident(at string) error {
	var inc incident
	if err := d.value(at, &inc); err != nil {
		return err
	}
	if inc.ID == "" {
		return fmt.Errorf("%s: no id", at)
	}
	if _, ok := d.r.byInc[inc.ID]; ok {
		return fmt.Errorf("%s: a second incident %q", at, inc.ID)
	}
	if inc.Severity.Rank() < 0 {
		return fmt.Errorf("%s: severity %q is none", at, inc.Severity)
	}
	if inc.Score < 0 || inc.Score > 100 {
		return fmt.Errorf("%s: score %d, want 0 to 100", at, inc.Score)
	}
	if d.places += len(inc.Alerts); d.places > d.limits.Places {
		return fmt.Errorf("%s: more than %d members and places of evidence", at, d.limits.Places)
	}
	d.r.byInc[inc.ID] = len(d.r.incidents)
	d.r.incidents = append(d.r.incidents, inc)
	return nil
}

func (d *reader) alert(at string) error {
	var a alert
	if err := d.value(at, &a); err != nil {
		return err
	}
	if a.ID == "" {
		return fmt.Errorf("%s: no id", at)
	}
	if _, ok := d.r.byAlert[a.ID]; ok {
		return fmt.Errorf("%s: a second alert %q", at, a.ID)
	}
	if d.places += len(a.Evidence); d.places > d.limits.Places {
		return fmt.Errorf("%s: more than %d members and places of evidence", at, d.limits.Places)
	}
	d.r.byAlert[a.ID] = len(d.r.alerts)
	d.r.alerts = append(d.r.alerts, a)
	return nil
}

// members holds incidents to what the alerts say of themselves. An incident has the
// places of its members, so an alert with many that many incidents name would make
// much of a small file: those are counted as often as they are named.
func (d *reader) members() error {
	places := 0
	for i := range d.r.incidents {
		inc := &d.r.incidents[i]
		for j, id := range inc.Alerts {
			k, ok := d.r.byAlert[id]
			if !ok {
				return fmt.Errorf("incidents[%d].alerts[%d]: alert %q is not in the report", i, j, id)
			}
			if places += len(d.r.alerts[k].Evidence); places > d.limits.Places {
				return fmt.Errorf("incidents[%d].alerts[%d]: the incidents have more than %d places of evidence", i, j, d.limits.Places)
			}
		}
	}
	return nil
}

func (d *reader) value(at string, v any) error {
	if err := d.dec.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// list calls each for every element, naming it, after renewing the budget.
func (d *reader) list(name string, most int, each func(at string) error) error {
	t, err := d.dec.Token()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if t == nil { // null, an empty list
		return nil
	}
	if t != json.Delim('[') {
		return fmt.Errorf("%s: want a list", name)
	}
	for i := 0; d.dec.More(); i++ {
		if i >= most {
			return fmt.Errorf("%s: more than %d", name, most)
		}
		d.left = d.limits.Element
		if err := each(fmt.Sprintf("%s[%d]", name, i)); err != nil {
			return err
		}
	}
	_, err = d.dec.Token()
	return err
}
