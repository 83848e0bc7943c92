package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Order is how a list of incidents is ordered.
type Order string

// The orders, each descending.
const (
	ByRank     Order = "rank"      // open ones first, then by severity, score and last act
	ByLastSeen Order = "last_seen" // by the last act
	ByUpdated  Order = "updated"   // by when they changed last, by the engine or a person
)

// IncidentFilter picks incidents: those that meet every field that is set, and of a list
// one of its values. Incidents that are merged or withdrawn are in no list.
type IncidentFilter struct {
	Status    []string         `json:"status,omitempty"`
	Open      *bool            `json:"open,omitempty"` // neither resolved nor closed
	Severity  []model.Severity `json:"severity,omitempty"`
	Owner     *string          `json:"owner,omitempty"` // empty: those of nobody
	Verdict   []string         `json:"verdict,omitempty"`
	Stage     []string         `json:"stage,omitempty"`
	CloudStep []string         `json:"cloud_step,omitempty"`
	Tactic    []string         `json:"tactic,omitempty"`
	Technique []string         `json:"technique,omitempty"` // one stands for its sub-techniques as well
	Source    []string         `json:"source,omitempty"`
	// Entities must all be part of it.
	Entities []model.EntityKey `json:"entities,omitempty"`
	// Text is looked for in id, title, summary, techniques and entities, without regard
	// to case.
	Text string `json:"text,omitempty"`
	// Since and Until pick incidents with an act in [Since, Until).
	Since        time.Time `json:"since,omitzero"`
	Until        time.Time `json:"until,omitzero"`
	UpdatedSince time.Time `json:"updated_since,omitzero"`
	Order        Order     `json:"order,omitempty"` // empty is ByRank

	Cursor string `json:"-"` // where the page before ended; empty for the first
	Limit  int    `json:"-"` // rows of a page; 0 is 50, MaxPage the most
}

func (f *IncidentFilter) check() error {
	switch f.Order {
	case "":
		f.Order = ByRank
	case ByRank, ByLastSeen, ByUpdated:
	default:
		return invalid("there is no order %q", f.Order)
	}
	for _, n := range []int{len(f.Status), len(f.Severity), len(f.Verdict), len(f.Stage), len(f.CloudStep), len(f.Tactic), len(f.Technique), len(f.Source), len(f.Entities)} {
		if n > maxValues {
			return invalid("a filter with more than %d values", maxValues)
		}
	}
	if len(f.Text) > maxText {
		return invalid("a text of more than %d bytes", maxText)
	}
	return nil
}

func (f *IncidentFilter) where() where {
	w := where{}
	w.and("gone = 0")
	if f.Open != nil {
		w.and("open = ?", *f.Open)
	}
	anyOf(&w, "status", f.Status)
	if len(f.Severity) > 0 {
		ranks := make([]any, len(f.Severity))
		for i, s := range f.Severity {
			ranks[i] = s.Rank()
		}
		w.and("severity IN (?"+strings.Repeat(", ?", len(ranks)-1)+")", ranks...)
	}
	if f.Owner != nil {
		w.and("owner = ?", *f.Owner)
	}
	anyOf(&w, "verdict", f.Verdict)
	for _, t := range []struct {
		kind   string
		values []string
	}{{tagStage, f.Stage}, {tagCloudStep, f.CloudStep}, {tagTactic, f.Tactic}, {tagSource, f.Source}} {
		if len(t.values) > 0 {
			tw := where{}
			tw.and("kind = ?", t.kind)
			anyOf(&tw, "value", t.values)
			w.and("num IN (SELECT incident FROM tag"+tw.sql()+")", tw.args...)
		}
	}
	if len(f.Technique) > 0 {
		var alts []string
		var args []any
		for _, id := range f.Technique {
			alts = append(alts, "value = ? OR value >= ? AND value < ?")
			args = append(args, id, id+".", id+"/") // "/" follows "."
		}
		w.and("num IN (SELECT incident FROM tag WHERE kind = 'technique' AND ("+strings.Join(alts, " OR ")+"))", args...)
	}
	for _, k := range f.Entities {
		w.and("num IN (SELECT incident FROM entity_incident WHERE entity = (SELECT num FROM entity WHERE type = ? AND value = ?))", string(k.Type), k.Value)
	}
	if f.Text != "" {
		w.and("instr((SELECT search FROM incident_doc WHERE incident = num), ?) > 0", strings.ToLower(f.Text))
	}
	if !f.Since.IsZero() {
		w.and("last_seen >= ?", clampMicro(f.Since))
	}
	if !f.Until.IsZero() {
		w.and("first_seen < ?", clampMicro(f.Until))
	}
	if !f.UpdatedSince.IsZero() {
		w.and("updated >= ?", clampMicro(f.UpdatedSince))
	}
	return w
}

// orderColumns are the columns that make the order, most significant first.
func (o Order) columns() []string {
	switch o {
	case ByLastSeen:
		return []string{"last_seen", "num"}
	case ByUpdated:
		return []string{"updated", "num"}
	}
	return []string{"open", "severity", "score", "last_seen", "num"}
}

// Brief is what a list shows of an incident beyond its columns, as it was last told.
type Brief struct {
	Stages     []model.Stage     `json:"stages"`
	CloudSteps []model.CloudStep `json:"cloud_steps"`
	Tactics    []string          `json:"tactics"`
	Techniques []string          `json:"techniques"`
	Sources    []string          `json:"sources"`
	Root       string            `json:"root"`   // "type:value" of where it started
	Impact     string            `json:"impact"` // in a sentence
	Alerts     int               `json:"alerts"`
	Steps      int               `json:"steps"`
	Entities   int               `json:"entities"`
}

// briefTechniques bounds the techniques of a Brief.
const briefTechniques = 100

func briefOf(in *Written) Brief {
	inc := &in.Incident
	return Brief{Stages: inc.Stages, CloudSteps: inc.CloudSteps, Tactics: inc.Tactics, Techniques: inc.Techniques[:min(len(inc.Techniques), briefTechniques)],
		Sources: in.Sources[:min(len(in.Sources), maxValues)], Root: clip(inc.Root.Entity), Impact: clip(inc.Impact.Summary),
		Alerts: len(inc.Alerts), Steps: len(inc.Steps), Entities: len(inc.Entities)}
}

// Listed is an incident as a list has it.
type Listed struct {
	ID         string           `json:"id"`
	Title      string           `json:"title"`
	Severity   model.Severity   `json:"severity"`
	Score      int              `json:"score"`
	Status     string           `json:"status"`
	Owner      string           `json:"owner,omitempty"`
	Verdict    string           `json:"verdict,omitempty"`
	FirstSeen  time.Time        `json:"first_seen"`
	LastSeen   time.Time        `json:"last_seen"`
	Created    time.Time        `json:"created"` // when it was first committed
	Updated    time.Time        `json:"updated"`
	Version    int64            `json:"version"` // grows with every change of the engine
	Edit       int64            `json:"edit"`    // grows with every decision about it
	Milestones model.Milestones `json:"milestones"`
	Brief
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // cursor of the next page, empty on the last
}

const listedColumns = "num, id, title, severity, score, status, owner, verdict, first_seen, last_seen, created, updated, version, edit, open, act, arrived, alerted, raised, noticed, acknowledged, contained, brief"

func scanListed(scan func(...any) error, l *Listed) (key map[string]int64, err error) {
	var num, severity, score, first, last, created, updated, open int64
	var m [7]sql.NullInt64
	var brief []byte
	if err := scan(&num, &l.ID, &l.Title, &severity, &score, &l.Status, &l.Owner, &l.Verdict, &first, &last, &created, &updated, &l.Version, &l.Edit, &open,
		&m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &m[6], &brief); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(brief, &l.Brief); err != nil {
		return nil, fmt.Errorf("%w: incident %s (%w)", ErrDamaged, l.ID, err)
	}
	l.Severity, l.Score = severityOf(severity), int(score)
	l.FirstSeen, l.LastSeen = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
	l.Created, l.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	l.Milestones = model.Milestones{Act: momentOf(m[0]), Arrived: momentOf(m[1]), Alerted: momentOf(m[2]), Raised: momentOf(m[3]), Noticed: momentOf(m[4]), Acknowledged: momentOf(m[5]), Contained: momentOf(m[6])}
	return map[string]int64{"num": num, "open": open, "severity": severity, "score": score, "last_seen": last, "updated": updated}, nil
}

// severityOf is the severity of a rank.
func severityOf(rank int64) model.Severity {
	l := []model.Severity{model.Informational, model.Low, model.Medium, model.High, model.Critical}
	if rank < 0 || rank >= int64(len(l)) {
		return ""
	}
	return l[rank]
}

// Incidents returns one page of the incidents that a filter picks.
func (c *Cases) Incidents(ctx context.Context, f IncidentFilter) (p Page[Listed], err error) {
	if err := f.check(); err != nil {
		return p, err
	}
	columns := f.Order.columns()
	of := digestOf(f)
	key, err := parseCursor(f.Cursor, of, len(columns))
	if err != nil {
		return p, err
	}
	w := f.where()
	w.after(strings.Join(columns, ", "), key)
	limit := bounded(f.Limit, 50, MaxPage)
	err = c.db.view(ctx, "list the incidents of", func(s *snapshot) error {
		p = Page[Listed]{Items: []Listed{}}
		var last map[string]int64
		more := false
		if err := s.each("SELECT "+listedColumns+" FROM incident"+w.sql()+" ORDER BY "+strings.Join(columns, " DESC, ")+" DESC LIMIT ?", append(w.args, limit+1), func(r *sql.Rows) error {
			if len(p.Items) == limit {
				more = true
				return nil
			}
			var l Listed
			k, err := scanListed(r.Scan, &l)
			p.Items, last = append(p.Items, l), k
			return err
		}); err != nil {
			return err
		}
		if more {
			c := cursor{Of: of}
			for _, col := range columns {
				c.Key = append(c.Key, last[col])
			}
			p.Next = c.String()
		}
		return nil
	})
	return p, err
}

// Count is how many incidents have a value.
type Count struct {
	Value string `json:"value"`
	N     int    `json:"n"`
}

// Facets says how the incidents that a filter picks divide.
type Facets struct {
	Total int                `json:"total"`
	By    map[string][]Count `json:"by"` // status, severity, owner, verdict, stage, cloud_step, tactic, technique, source: the most frequent first
}

// maxFacet bounds the values of each facet.
const maxFacet = 100

// IncidentFacets counts the incidents that a filter picks; Cursor, Limit and Order of it
// mean nothing here.
func (c *Cases) IncidentFacets(ctx context.Context, f IncidentFilter) (out Facets, err error) {
	if err := f.check(); err != nil {
		return out, err
	}
	w := f.where()
	err = c.db.view(ctx, "count the incidents of", func(s *snapshot) error {
		out = Facets{By: map[string][]Count{}}
		if err := s.get("SELECT count(*) FROM incident"+w.sql(), w.args, &out.Total); err != nil {
			return err
		}
		for _, col := range []string{"status", "severity", "owner", "verdict"} {
			if err := s.each(fmt.Sprintf("SELECT %[1]s, count(*) FROM incident%[2]s GROUP BY %[1]s ORDER BY 2 DESC, 1 LIMIT %[3]d", col, w.sql(), maxFacet), w.args, func(r *sql.Rows) error {
				var n Count
				if col == "severity" {
					var rank int64
					err := r.Scan(&rank, &n.N)
					n.Value = string(severityOf(rank))
					out.By[col] = append(out.By[col], n)
					return err
				}
				err := r.Scan(&n.Value, &n.N)
				out.By[col] = append(out.By[col], n)
				return err
			}); err != nil {
				return err
			}
		}
		return s.each(fmt.Sprintf("SELECT kind, value, n FROM (SELECT kind, value, count(*) AS n, row_number() OVER (PARTITION BY kind ORDER BY count(*) DESC, value) AS place FROM tag WHERE incident IN (SELECT num FROM incident%s) GROUP BY kind, value) WHERE place <= %d ORDER BY kind, place", w.sql(), maxFacet), w.args, func(r *sql.Rows) error {
			var kind string
			var n Count
			err := r.Scan(&kind, &n.Value, &n.N)
			out.By[kind] = append(out.By[kind], n)
			return err
		})
	})
	return out, err
}

// A Case is an incident as people see it.
type Case struct {
	Listed
	// Incident is as the engine told it last, with Status, Assignee and Verdict as people
	// said. Its History is what the engine knew; Decisions has all.
	Incident model.Incident `json:"incident"`
	Asked    string         `json:"asked,omitempty"` // the id by which it was asked for, if that leads here now
	Parts    []string       `json:"parts,omitempty"` // ids of incidents that are part of it now, at most 1000
	Gone     bool           `json:"gone,omitempty"`  // it was withdrawn: this is how it was last
}

// ETag identifies what a Case says: it changes with the engine's version and with every
// decision.
func (l *Listed) ETag() string { return fmt.Sprintf("%d-%d", l.Version, l.Edit) }

// Incident returns one incident, found by its id or by one that leads to it.
// ErrNotFound if there is none.
func (c *Cases) Incident(ctx context.Context, id string) (out Case, err error) {
	var doc []byte
	err = c.db.view(ctx, "read an incident of", func(s *snapshot) error {
		now, err := resolve(s, id)
		if err != nil {
			return err
		}
		if now != id {
			out.Asked = id
		}
		var gone int
		row := s.tx.QueryRowContext(ctx, "SELECT "+listedColumns+", gone, doc FROM incident JOIN incident_doc ON incident = num WHERE id = ?", now)
		_, err = scanListed(func(dest ...any) error { return row.Scan(append(dest, &gone, &doc)...) }, &out.Listed)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: incident %s", ErrNotFound, id)
		}
		if err != nil {
			return err
		}
		out.Gone = gone != 0
		out.Parts, err = column(s, "SELECT from_id FROM redirect WHERE to_id = ? ORDER BY at, from_id LIMIT 1000", now)
		return err
	})
	if err != nil {
		return Case{}, err
	}
	if err := c.undocument(doc, &out.Incident); err != nil {
		return Case{}, explain("read incident "+id+" of", c.db.path, err)
	}
	out.Incident.Status, out.Incident.Assignee, out.Incident.Verdict = out.Status, out.Owner, out.Verdict
	return out, nil
}

// A Version is how an incident stood at one time.
type Version struct {
	Incident string         `json:"incident"` // its id, which is another one for what was merged into it
	Version  int64          `json:"version"`
	Time     time.Time      `json:"time"`
	Title    string         `json:"title"`
	Severity model.Severity `json:"severity"`
	Score    int            `json:"score"`
	Alerts   int            `json:"alerts"`
	Why      string         `json:"why,omitempty"`
}

// History returns how an incident, and those that are part of it now, became what they
// are, the latest first. What people did beside it Decisions tells. Versions that differ
// in none of the fields here are one.
func (c *Cases) History(ctx context.Context, id, cursorText string, limit int) (p Page[Version], err error) {
	of := digestOf([]string{"history", id})
	key, err := parseCursor(cursorText, of, 2)
	if err != nil {
		return p, err
	}
	limit = bounded(limit, 100, MaxPage)
	err = c.db.view(ctx, "read the history of an incident of", func(s *snapshot) error {
		p = Page[Version]{Items: []Version{}}
		now, err := resolve(s, id)
		if err != nil {
			return err
		}
		skip := int64(0)
		w := where{}
		w.and("(incident = ? OR incident IN (SELECT from_id FROM redirect WHERE to_id = ?))", now, now)
		if key != nil {
			w.and("at <= ?", key[0])
			skip = key[1] // rows of that time that came before
		}
		rows := 0
		return s.each("SELECT incident, version, at, title, severity, score, alerts, why FROM history"+w.sql()+" ORDER BY at DESC, incident, version DESC LIMIT ? OFFSET ?", append(w.args, limit+1, max(skip, 0)), func(r *sql.Rows) error {
			var v Version
			var at, severity int64
			if err := r.Scan(&v.Incident, &v.Version, &at, &v.Title, &severity, &v.Score, &v.Alerts, &v.Why); err != nil {
				return err
			}
			if rows++; rows > limit {
				same, lastAt := int64(0), p.Items[len(p.Items)-1].Time.UnixMicro()
				for _, x := range p.Items {
					if x.Time.UnixMicro() == lastAt {
						same++
					}
				}
				if key != nil && key[0] == lastAt {
					same += skip
				}
				p.Next = cursor{Of: of, Key: []int64{lastAt, same}}.String()
				return nil
			}
			v.Time, v.Severity = time.UnixMicro(at).UTC(), severityOf(severity)
			p.Items = append(p.Items, v)
			return nil
		})
	})
	return p, err
}
