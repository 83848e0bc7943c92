package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// eachRow takes the record apart whose lists hold the rows of a mapping, and calls
// fn for each row when its fields stand in b: its own, and those of the record
// around it. fn emits or drops it. The record is read a second time, since its
// fields stand in b without telling which value belongs to which item; records
// that are lists of findings are few.
func (bm *boundMapping) eachRow(b *Batch, raw []byte, fn func(n int)) error {
	b.Drop()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var record map[string]any
	if err := dec.Decode(&record); err != nil {
		return fmt.Errorf("mapping %s: %w", bm.Name, errors.New("the record cannot be read again"))
	}
	l := lister{boundMapping: bm, b: b, fn: fn, wanted: map[model.FieldID]bool{}}
	for _, fields := range bm.fields {
		for _, f := range fields {
			l.wanted[f.id] = f.derived < 0 && f.id != model.Unnamed
		}
	}
	l.object(record, "", 0, nil)
	if l.n > maxListRows {
		return fmt.Errorf("mapping %s: record with more than %d rows: the rest of them is left out", bm.Name, maxListRows)
	}
	return nil
}

// What stands around a list is told with every item of it, so that a small record
// must not make much of it: only what the mapping reads goes along, cut to that
// many bytes, and so many rows are made of one record.
const (
	maxAround   = 1024
	maxListRows = 100_000
)

// A lister walks down to the items of the innermost list.
type lister struct {
	*boundMapping
	b  *Batch
	n  int
	fn func(n int)

	wanted map[model.FieldID]bool // the fields that the mapping reads
}

// object goes through an object at a path that is on the way to the list of that
// level; around are the fields of what stands around it.
func (l *lister) object(o map[string]any, path string, level int, around []model.Slot) {
	if level == len(l.form.lists) {
		if l.n++; l.n > maxListRows {
			return
		}
		for _, s := range around {
			l.b.Slot(s.Field, s.Kind, s.Text)
		}
		l.leaves(o, path, 0)
		l.fn(l.n)
		return
	}
	want := l.form.lists[level]
	way, inside := "", o
	rest := strings.TrimPrefix(strings.TrimPrefix(want, path), ".")
	segments := strings.Split(rest, ".")
	for _, seg := range segments[:len(segments)-1] { // objects between here and the list
		next, ok := inside[seg].(map[string]any)
		if !ok {
			return
		}
		way, inside = joinPath(way, seg), next
	}
	items, ok := inside[segments[len(segments)-1]].([]any)
	if !ok {
		return
	}
	// What stands beside the list belongs to each of its items.
	l.b.Drop()
	for _, key := range sortedKeys(o) {
		if key != segments[0] {
			l.leaf(o[key], joinPath(path, key), 0)
		}
	}
	if len(segments) > 1 {
		for _, key := range sortedKeys(inside) {
			if key != segments[len(segments)-1] {
				l.leaf(inside[key], joinPath(joinPath(path, way), key), 0)
			}
		}
	}
	around = slices.Clone(around)
	for _, s := range l.b.Open() {
		if l.wanted[s.Field] {
			if len(s.Text) > maxAround {
				s.Text = strings.ToValidUTF8(s.Text[:maxAround], "")
			}
			around = append(around, s)
		}
	}
	l.b.Drop()
	for _, item := range items {
		if o, ok := item.(map[string]any); ok {
			l.object(o, want, level+1, around)
		}
	}
}

func (l *lister) leaves(o map[string]any, path string, depth int) {
	for _, key := range sortedKeys(o) {
		l.leaf(o[key], joinPath(path, key), depth)
	}
}

// leaf adds the fields that a value is, as the flattener would.
func (l *lister) leaf(v any, path string, depth int) {
	if depth > MaxDepth {
		return
	}
	id := model.Unnamed
	if len(path) <= model.MaxNameLen {
		id = l.names.ID(path)
	}
	slot := func(k model.Kind, text string) { namedSlot(l.b, id, path, k, text) }
	switch v := v.(type) {
	case map[string]any:
		l.leaves(v, path, depth+1)
	case []any:
		for _, item := range v {
			l.leaf(item, path, depth+1)
		}
	case string:
		slot(model.String, v)
	case json.Number:
		slot(model.Number, v.String())
	case bool:
		slot(model.Bool, fmt.Sprint(v))
	case nil:
		slot(model.Null, "")
	}
}

func joinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func sortedKeys(o map[string]any) []string {
	keys := make([]string, 0, len(o))
	for k := range o {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
