package store

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// encoded are the documents of a commit, made before its transaction begins. One that
// cannot be made is nil.
type encoded struct {
	alerts, incidents [][]byte
	refused           error // ErrInvalid, naming each
}

func (c *Cases) encode(in *Commit) (e encoded) {
	add := func(l *[][]byte, what, id string, bad error, v any) {
		var b []byte
		if bad == nil {
			b, bad = c.document(v)
		}
		*l = append(*l, b)
		if bad != nil {
			e.refused = errors.Join(e.refused, fmt.Errorf("%s %s: %w", what, clip(id), bad))
		}
	}
	for i := range in.Alerts {
		a := &in.Alerts[i]
		var bad error
		if a.ID == "" {
			bad = invalid("it has no id")
		}
		add(&e.alerts, "alert", a.ID, bad, a)
	}
	for i := range in.Incidents {
		inc := &in.Incidents[i].Incident
		var bad error
		if inc.ID == "" {
			bad = invalid("it has no id")
		}
		if n := len(inc.Alerts) + len(inc.Context); n > maxIncidentMembers {
			bad = invalid("it has %d alerts, more than %d", n, maxIncidentMembers)
		}
		add(&e.incidents, "incident", inc.ID, bad, inc)
	}
	return e
}

func (c *Cases) document(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, invalid("%v", err)
	}
	if len(b) > maxDocument {
		return nil, invalid("%d bytes of JSON, more than %d", len(b), maxDocument)
	}
	return c.zip.EncodeAll(b, nil), nil
}

func (c *Cases) undocument(b []byte, v any) error {
	text, err := c.unzip.DecodeAll(b, nil)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return nil
}

// A round is a commit at work.
type round struct {
	*tx
	at int64
}

// alert takes an alert in, or what became of one.
func (w *round) alert(a *model.Alert, doc []byte) error {
	keys := alertKeys(a)
	print := fingerprint(a, keys)
	in := a.Incident
	if in != nil { // its id of today
		id, err := resolve(w.tx, *in)
		if err != nil {
			return err
		}
		var gone int
		if err := w.get("SELECT count(*) FROM incident WHERE id = ? AND gone != 0", []any{id}, &gone); err != nil {
			return err
		}
		if in = &id; gone > 0 {
			in = nil // if this round brings it back, its list has the alert
		}
	}
	var num, known int64
	err := w.get("SELECT num, known FROM alert WHERE id = ?", []any{a.ID}, &num, &known)
	at, last := clampMicro(a.Time), clampMicro(a.End)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		num, err = w.insert("INSERT INTO alert (id, incident, time, last, count, severity, rule, title, product, stage, verdict, known, updated, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT json_extract(doc, '$.value') FROM decision JOIN decision_target ON decision = num WHERE target = ? AND kind = 'verdict' AND undone_by IS NULL ORDER BY at DESC, num DESC LIMIT 1), ?, ?, ?)",
			a.ID, in, at, last, a.Count, a.Severity.Rank(), clip(a.Rule.ID), clip(a.Rule.Title), clip(a.Product), string(a.Stage), a.ID, print, w.at, doc)
		if err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if _, err := w.exec("UPDATE alert SET incident = coalesce(?, incident), time = ?, last = ?, count = ?, severity = ?, rule = ?, title = ?, product = ?, stage = ?, known = ?, updated = ?, doc = ? WHERE num = ?",
			in, at, last, a.Count, a.Severity.Rank(), clip(a.Rule.ID), clip(a.Rule.Title), clip(a.Product), string(a.Stage), print, w.at, doc, num); err != nil {
			return err
		}
		if known == print {
			return w.seen(num, last)
		}
		if err := w.unlinkAlert(num); err != nil {
			return err
		}
	}
	for _, k := range keys {
		var e int64
		err := w.get("INSERT INTO entity (type, value, name, first_seen, last_seen, alerts, incidents) VALUES (?, ?, ?, ?, ?, 1, 0) ON CONFLICT (type, value) DO UPDATE SET "+
			"name = CASE excluded.name WHEN '' THEN name ELSE excluded.name END, first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen), alerts = alerts + 1 RETURNING num",
			[]any{string(k.Type), k.Value, k.Name, at, last}, &e)
		if err != nil {
			return err
		}
		if _, err := w.exec("INSERT INTO entity_alert (entity, time, alert) VALUES (?, ?, ?)", e, at, num); err != nil {
			return err
		}
	}
	return nil
}

// seen moves the last time at which the entities of an alert were seen.
func (w *round) seen(alert, last int64) error {
	_, err := w.exec("UPDATE entity SET last_seen = ?1 WHERE last_seen < ?1 AND num IN (SELECT entity FROM entity_alert WHERE alert = ?2)", last, alert)
	return err
}

func (t *tx) unlinkAlert(num int64) error {
	if _, err := t.exec("UPDATE entity SET alerts = alerts - 1 WHERE num IN (SELECT entity FROM entity_alert WHERE alert = ?)", num); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM entity_alert WHERE alert = ?", num)
	return err
}

// alertKeys are the entities by which an alert is found, each once. A sensor saw it and
// is no part of it.
func alertKeys(a *model.Alert) []model.Entity {
	var out []model.Entity
	for _, e := range a.Entities {
		if e.Role == model.Sensor || e.Value == "" || len(e.Value) > maxText || slices.ContainsFunc(out, func(o model.Entity) bool { return o.Key() == e.Key() }) {
			continue
		}
		if len(out) == maxAlertEntities {
			break
		}
		out = append(out, model.Entity{Type: e.Type, Value: e.Value, Name: clip(e.Name)})
	}
	return out
}

// fingerprint tells whether the rows of an alert's entities are still right.
func fingerprint(a *model.Alert, keys []model.Entity) int64 {
	h := sha256.New()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(clampMicro(a.Time)))
	h.Write(b[:])
	for _, k := range keys {
		for _, s := range []string{string(k.Type), k.Value, k.Name} {
			binary.LittleEndian.PutUint64(b[:], uint64(len(s)))
			h.Write(b[:])
			h.Write([]byte(s))
		}
	}
	return int64(binary.LittleEndian.Uint64(h.Sum(nil)))
}

// clip bounds a text of a column; the document has all of it.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "")
}

// incident takes an incident in, or what became of one.
func (w *round) incident(in *Written, doc []byte) error {
	inc := &in.Incident
	brief, err := json.Marshal(briefOf(in))
	if err != nil {
		return invalid("%v", err)
	}
	members := memberList(inc)
	m := &in.Milestones
	var (
		num                            int64
		version, severity, score, gone int64
		title, oldMembers              string
		oldDoc                         []byte
		oldBrief                       string
		first, last                    = clampMicro(inc.FirstSeen), clampMicro(inc.LastSeen)
		told                           = []any{inc.Status, clip(inc.Assignee), clip(inc.Verdict)}
		when                           = []any{stampOf(m.Act), stampOf(m.Arrived), stampOf(m.Alerted), stampOf(m.Raised), stampOf(m.Noticed), stampOf(m.Acknowledged), stampOf(m.Contained)}
	)
	err = w.get("SELECT num, version, severity, score, gone, title, brief, members, doc FROM incident JOIN incident_doc ON incident = num WHERE id = ?", []any{inc.ID},
		&num, &version, &severity, &score, &gone, &title, &oldBrief, &oldMembers, &oldDoc)
	known := err == nil
	switch {
	case errors.Is(err, sql.ErrNoRows):
		args := append([]any{inc.ID, inc.Severity.Rank(), inc.Score, first, last, w.at, w.at}, told...)
		args = append(append(args, when...), clip(inc.Title), string(brief))
		num, err = w.insert("INSERT INTO incident (id, version, severity, score, first_seen, last_seen, created, updated, told_status, told_owner, told_verdict, act, arrived, alerted, raised, noticed, acknowledged, contained, title, brief) VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", args...)
		version = 1
	case err == nil && gone == 0 && oldBrief == string(brief) && oldMembers == members && bytes.Equal(oldDoc, doc):
		_, err = w.exec(milestones+" WHERE num = ?", append(when, num)...)
		return err
	case err == nil:
		version++
		args := append([]any{version, inc.Severity.Rank(), inc.Score, first, last, w.at}, told...)
		if _, err = w.exec("UPDATE incident SET gone = 0, version = ?, severity = ?, score = ?, first_seen = ?, last_seen = ?, updated = ?, told_status = ?, told_owner = ?, told_verdict = ?, title = ?, brief = ? WHERE num = ?", append(args, clip(inc.Title), string(brief), num)...); err == nil {
			_, err = w.exec(milestones+" WHERE num = ?", append(when, num)...)
		}
	}
	if err != nil {
		return err
	}
	if _, err := w.exec("INSERT INTO incident_doc (incident, members, search, doc) VALUES (?, ?, ?, ?) ON CONFLICT (incident) DO UPDATE SET members = excluded.members, search = excluded.search, doc = excluded.doc", num, members, searchText(inc), doc); err != nil {
		return err
	}
	if _, err := w.exec("DELETE FROM redirect WHERE from_id = ?", inc.ID); err != nil { // it lives (again)
		return err
	}
	if gone != 0 {
		oldMembers = "" // they went elsewhere meanwhile
	}
	if err := w.members(inc.ID, oldMembers, members); err != nil {
		return err
	}
	if err := w.tags(num, in); err != nil {
		return err
	}
	if err := w.things(num, inc); err != nil {
		return err
	}
	if !known || gone != 0 {
		if err := refold(w.tx, inc.ID); err != nil { // decisions may have waited for it
			return err
		}
	}
	if n := strings.Count(members, "\n"); !known || in.Why != "" || gone != 0 || title != clip(inc.Title) || severity != int64(inc.Severity.Rank()) || score != int64(inc.Score) || n != strings.Count(oldMembers, "\n") {
		if _, err := w.exec("INSERT OR REPLACE INTO history (incident, version, at, title, severity, score, alerts, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", inc.ID, version, w.at, clip(inc.Title), inc.Severity.Rank(), inc.Score, n, clip(in.Why)); err != nil {
			return err
		}
		// The first version stays, and of the others the latest.
		_, err := w.exec("DELETE FROM history WHERE incident = ?1 AND version > 1 AND version <= (SELECT version FROM history WHERE incident = ?1 ORDER BY version DESC LIMIT 1 OFFSET ?2)", inc.ID, maxHistory)
		return err
	}
	return nil
}

const milestones = "UPDATE incident SET act = coalesce(?, act), arrived = coalesce(?, arrived), alerted = coalesce(?, alerted), raised = coalesce(?, raised), noticed = coalesce(noticed, ?), acknowledged = coalesce(acknowledged, ?), contained = coalesce(contained, ?)"

// memberList is the alerts of an incident, a line each.
func memberList(inc *model.Incident) string {
	var b strings.Builder
	for _, l := range [][]string{inc.Alerts, inc.Context} {
		for _, id := range l {
			b.WriteString(id)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// members gives the alerts that are new in an incident to it, and frees those that left.
func (w *round) members(id, before, after string) error {
	if before == after {
		return nil
	}
	had, has := set(strings.Fields(before)), set(strings.Fields(after))
	for _, a := range strings.Fields(after) {
		if !had[a] {
			if _, err := w.exec("UPDATE alert SET incident = ? WHERE id = ?", id, a); err != nil {
				return err
			}
		}
	}
	for _, a := range strings.Fields(before) {
		if !has[a] {
			// Another incident of this commit may have taken it already.
			if _, err := w.exec("UPDATE alert SET incident = NULL WHERE id = ? AND incident = ?", a, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func set[T comparable](l []T) map[T]bool {
	m := make(map[T]bool, len(l))
	for _, x := range l {
		m[x] = true
	}
	return m
}

// The kinds of tags.
const (
	tagStage     = "stage"
	tagCloudStep = "cloud_step"
	tagTactic    = "tactic"
	tagTechnique = "technique"
	tagSource    = "source"
)

type tagRow struct{ kind, value string }

// tags renews by what an incident is found, but for its entities.
func (w *round) tags(num int64, in *Written) error {
	inc := &in.Incident
	want := map[tagRow]bool{}
	var order []tagRow
	add := func(kind, value string) {
		t := tagRow{kind, clip(value)}
		if value != "" && !want[t] && len(want) < maxTags {
			want[t] = true
			order = append(order, t)
		}
	}
	for _, s := range inc.Stages {
		add(tagStage, string(s))
	}
	for _, s := range inc.CloudSteps {
		add(tagCloudStep, string(s))
	}
	for _, s := range inc.Tactics {
		add(tagTactic, s)
	}
	for _, s := range in.Sources {
		add(tagSource, s)
	}
	for _, s := range inc.Techniques {
		add(tagTechnique, s)
	}
	var drop []tagRow
	if err := w.each("SELECT kind, value FROM tag WHERE incident = ?", []any{num}, func(r *sql.Rows) error {
		var t tagRow
		err := r.Scan(&t.kind, &t.value)
		if want[t] {
			delete(want, t)
		} else {
			drop = append(drop, t)
		}
		return err
	}); err != nil {
		return err
	}
	for _, t := range drop {
		if _, err := w.exec("DELETE FROM tag WHERE kind = ? AND value = ? AND incident = ?", t.kind, t.value, num); err != nil {
			return err
		}
	}
	for _, t := range order {
		if want[t] {
			if _, err := w.exec("INSERT INTO tag (kind, value, incident) VALUES (?, ?, ?)", t.kind, t.value, num); err != nil {
				return err
			}
		}
	}
	return nil
}

// things renews the entities by which an incident is found.
func (w *round) things(num int64, inc *model.Incident) error {
	had := map[model.EntityKey]int64{}
	if err := w.each("SELECT num, type, value FROM entity_incident JOIN entity ON entity = num WHERE incident = ?", []any{num}, func(r *sql.Rows) error {
		var k model.EntityKey
		var e int64
		err := r.Scan(&e, &k.Type, &k.Value)
		had[k] = e
		return err
	}); err != nil {
		return err
	}
	n := 0
	for i := range inc.Entities {
		e := &inc.Entities[i]
		k := model.EntityKey{Type: e.Type, Value: e.Value}
		if e.Value == "" || len(e.Value) > maxText {
			continue
		}
		if n++; n > maxIncidentLinks {
			break
		}
		if _, ok := had[k]; ok {
			delete(had, k)
			continue
		}
		var row int64
		if err := w.get("INSERT INTO entity (type, value, name, first_seen, last_seen, alerts, incidents) VALUES (?, ?, ?, ?, ?, 0, 0) ON CONFLICT (type, value) DO UPDATE SET "+
			"name = CASE excluded.name WHEN '' THEN name ELSE excluded.name END, first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen) RETURNING num",
			[]any{string(e.Type), e.Value, clip(e.Name), clampMicro(e.FirstSeen), clampMicro(e.LastSeen)}, &row); err != nil {
			return err
		}
		added, err := w.exec("INSERT OR IGNORE INTO entity_incident (entity, incident) VALUES (?, ?)", row, num)
		if err != nil {
			return err
		}
		if added > 0 {
			if _, err := w.exec("UPDATE entity SET incidents = incidents + 1 WHERE num = ?", row); err != nil {
				return err
			}
		}
	}
	for _, e := range had {
		if _, err := w.exec("DELETE FROM entity_incident WHERE entity = ? AND incident = ?", e, num); err != nil {
			return err
		}
		if _, err := w.exec("UPDATE entity SET incidents = incidents - 1 WHERE num = ?", e); err != nil {
			return err
		}
	}
	return nil
}

// searchText is what the text of a filter is looked for in, lower case.
func searchText(inc *model.Incident) string {
	var b strings.Builder
	add := func(s string) {
		if b.Len() < maxSearch {
			b.WriteString(strings.ToLower(s[:min(len(s), maxText)]))
			b.WriteByte('\n')
		}
	}
	add(inc.ID)
	add(inc.Title)
	for _, s := range inc.Techniques {
		add(s)
	}
	for i := range inc.Entities {
		add(inc.Entities[i].Value)
		if inc.Entities[i].Name != "" {
			add(inc.Entities[i].Name)
		}
	}
	for i := range inc.Summary {
		add(inc.Summary[i].Text)
	}
	return strings.ToValidUTF8(b.String(), "")
}

// merge makes one incident part of another.
func (w *round) merge(m model.Redirect) error {
	into, err := resolve(w.tx, m.To)
	if err != nil {
		return err
	}
	if m.From == "" || into == "" || m.From == into {
		return nil
	}
	if _, err := w.exec("INSERT INTO redirect (from_id, to_id, why, at) VALUES (?, ?, ?, ?) ON CONFLICT (from_id) DO UPDATE SET to_id = excluded.to_id, why = excluded.why, at = excluded.at", m.From, into, clip(m.Why), w.at); err != nil {
		return err
	}
	// No chains: what led to the one leads to the other.
	if _, err := w.exec("UPDATE redirect SET to_id = ? WHERE to_id = ?", into, m.From); err != nil {
		return err
	}
	if _, err := w.exec("DELETE FROM redirect WHERE from_id = to_id"); err != nil {
		return err
	}
	num, err := w.bury(m.From, 1)
	if err != nil {
		return err
	}
	if num != 0 {
		// Into one that is withdrawn, or that nobody told of, nothing goes but the name.
		if _, err := w.exec("UPDATE alert SET incident = (SELECT id FROM incident WHERE id = ? AND gone = 0) WHERE incident = ?", into, m.From); err != nil {
			return err
		}
		// The other began when the first of the two did, and was known when one was.
		sets := make([]string, 0, 7)
		for _, col := range []string{"act", "arrived", "alerted", "raised", "noticed", "acknowledged", "contained"} {
			sets = append(sets, fmt.Sprintf("%[1]s = coalesce(min(incident.%[1]s, o.%[1]s), incident.%[1]s, o.%[1]s)", col))
		}
		if _, err := w.exec("UPDATE incident SET "+strings.Join(sets, ", ")+" FROM incident AS o WHERE incident.id = ? AND o.num = ?", into, num); err != nil {
			return err
		}
	}
	return refold(w.tx, into)
}

// withdraw takes an incident back that is part of no other.
func (w *round) withdraw(id string) error {
	if _, err := w.bury(id, 2); err != nil {
		return err
	}
	_, err := w.exec("UPDATE alert SET incident = NULL WHERE incident = ?", id)
	return err
}

// bury takes an incident out of every list, and returns its number, 0 if there is none.
func (w *round) bury(id string, gone int) (num int64, err error) {
	err = w.get("UPDATE incident SET gone = ?, version = version + 1, updated = ? WHERE id = ? RETURNING num", []any{gone, w.at, id}, &num)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return num, w.forget(num)
}

// forget drops by what an incident is found.
func (t *tx) forget(num int64) error {
	for _, q := range []string{
		"DELETE FROM tag WHERE incident = ?",
		"UPDATE entity SET incidents = incidents - 1 WHERE num IN (SELECT entity FROM entity_incident WHERE incident = ?)",
		"DELETE FROM entity_incident WHERE incident = ?",
	} {
		if _, err := t.exec(q, num); err != nil {
			return err
		}
	}
	return nil
}

// resolve returns the id under which an incident is found today.
func resolve(q querier, id string) (string, error) {
	var to string
	err := q.get("SELECT to_id FROM redirect WHERE from_id = ?", []any{id}, &to)
	if errors.Is(err, sql.ErrNoRows) {
		return id, nil
	}
	return to, err
}
