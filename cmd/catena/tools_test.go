package main

import (
	"strings"
	"testing"
)

func TestDecodeReport(t *testing.T) {
	const whole = `{"schema":"catena.report/v1","incidents":[{"id":"i"}]}`
	r, err := decodeReport(strings.NewReader(whole), int64(len(whole)))
	if err != nil || len(r.Incidents) != 1 {
		t.Errorf("a report as large as may be: %v, %+v", err, r)
	}
	for in, want := range map[string]string{
		whole:            "larger than 20 bytes",
		`{"schema":`:     "unexpected EOF",
		`{"schema":"a"}`: `schema "a"`,
	} {
		if _, err := decodeReport(strings.NewReader(in), 20); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", in, err, want)
		}
	}
}
