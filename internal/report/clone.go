package report

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

// copyOf returns a deep copy of v with str applied to every string, that any
// writer can write: nil slices and maps are empty ones, floats are finite, times
// are UTC in the years that RFC 3339 can say, and raw JSON is JSON. Raw JSON is
// shared with v where it needs no repair.
func copyOf[T any](v T, str func(string) string) T {
	var out T
	copyInto(reflect.ValueOf(&out).Elem(), reflect.ValueOf(&v).Elem(), str)
	return out
}

func copyInto(dst, src reflect.Value, str func(string) string) {
	switch v := src.Interface().(type) {
	case time.Time:
		dst.Set(reflect.ValueOf(sayable(v)))
		return
	case json.RawMessage:
		dst.Set(reflect.ValueOf(validJSON(v)))
		return
	}
	switch src.Kind() {
	case reflect.String:
		dst.SetString(str(src.String()))
	case reflect.Float64:
		if f := src.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			dst.SetFloat(f)
		}
	case reflect.Slice:
		dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
		for i := range src.Len() {
			copyInto(dst.Index(i), src.Index(i), str)
		}
	case reflect.Map:
		copyMap(dst, src, str)
	case reflect.Pointer:
		if !src.IsNil() {
			dst.Set(reflect.New(src.Type().Elem()))
			copyInto(dst.Elem(), src.Elem(), str)
		}
	case reflect.Struct:
		for i := range src.NumField() {
			copyInto(dst.Field(i), src.Field(i), str)
		}
	default:
		dst.Set(src)
	}
}

// copyMap copies in the order of the keys, so that keys which str makes equal
// always leave the same one.
func copyMap(dst, src reflect.Value, str func(string) string) {
	dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
	keys := src.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	for _, k := range keys {
		key, val := reflect.New(src.Type().Key()).Elem(), reflect.New(src.Type().Elem()).Elem()
		copyInto(key, k, str)
		copyInto(val, src.MapIndex(k), str)
		dst.SetMapIndex(key, val)
	}
}

// sayable moves t to UTC and into the years 0001 to 9999.
func sayable(t time.Time) time.Time {
	t = t.UTC()
	switch y := t.Year(); {
	case y < 1:
		return time.Time{}
	case y > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}

// validJSON returns b if it is JSON in UTF-8, else b as a JSON string.
func validJSON(b json.RawMessage) json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	if !utf8.Valid(b) {
		b = bytes.ToValidUTF8(b, []byte("\ufffd"))
	}
	if json.Valid(b) {
		return b
	}
	s, err := json.Marshal(string(b))
	if err != nil { // a string always marshals
		return nil
	}
	return s
}

func validUTF8(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
