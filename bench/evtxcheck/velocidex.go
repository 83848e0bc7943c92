package main

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/evtx"
)

// velocidexEach calls fn for each record that the library reads. It panics on some
// damaged files.
func velocidexEach(f file, fn func(*evtx.EventRecord)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	chunks, err := evtx.GetChunks(bytes.NewReader(f.data))
	if err != nil {
		return err
	}
	for _, c := range chunks {
		records, cerr := c.Parse(0)
		if cerr != nil {
			err = cerr
		}
		for _, r := range records {
			fn(r)
		}
	}
	return err
}

func velocidexCount(f file) (n int) {
	_ = velocidexEach(f, func(*evtx.EventRecord) { n++ })
	return n
}

func velocidexRecords(f file) (out []record, err error) {
	err = velocidexEach(f, func(r *evtx.EventRecord) {
		rec := record{id: strconv.FormatUint(r.Header.RecordID, 10)}
		if d, ok := r.Event.(*ordereddict.Dict); ok {
			flatten(d, "", false, func(name, value string) {
				if name == "EventRecordID" {
					rec.id = value
				}
				rec.fields = append(rec.fields, field{name, value})
			})
		}
		out = append(out, rec)
	})
	return out, err
}

// flatten names the leaves of a record as Catena does. The library holds
// attributes and elements alike, under their names, and an element's own text
// under "Value" or "".
func flatten(d *ordereddict.Dict, parent string, rendering bool, add func(name, value string)) {
	for _, k := range d.Keys() {
		v, _ := d.Get(k)
		leaf(parent, k, v, rendering, add)
	}
}

func leaf(parent, k string, v any, rendering bool, add func(name, value string)) {
	switch v := v.(type) {
	case *ordereddict.Dict:
		name, named := v.Get("Name")
		value, _ := v.Get("Value")
		if k == "Data" && named {
			if s, ok := name.(string); ok {
				leaf("", s, value, rendering, add)
				return
			}
		}
		flatten(v, k, rendering || k == "RenderingInfo", add)
	case []any:
		for _, x := range v {
			leaf(parent, k, x, rendering, add)
		}
	case []string:
		for _, x := range v {
			leaf(parent, k, x, rendering, add)
		}
	default:
		name := k
		switch {
		case k == "Value" || k == "":
			name = parent
		case isAttribute(parent, k):
			name = parent + "_" + k
		}
		if rendering && name != "Message" && parent != "" && !isAttribute(parent, k) {
			name = "RenderingInfo_" + name
		}
		add(name, text(v))
	}
}

// isAttribute tells the attributes of an event from its elements, which the
// library's form does not: those of System by name, others by having a text
// beside them.
func isAttribute(parent, k string) bool {
	switch parent {
	case "Provider", "EventID", "TimeCreated", "Correlation", "Execution", "Security":
		return true
	case "EventData":
		return k == "Name"
	case "RenderingInfo":
		return k == "Culture"
	}
	return false
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return fmt.Sprintf("%X", v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32)
	}
	return fmt.Sprint(v)
}
