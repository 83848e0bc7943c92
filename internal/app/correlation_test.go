package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCorrelationRules runs a correlation over a log: the rule it counts does not
// alert by itself, the correlation does, once, with the records it counted.
func TestCorrelationRules(t *testing.T) {
	dir := t.TempDir()
	rule := `title: Refused
name: refused
id: 11111111-1111-4111-8111-111111111111
logsource: {product: linux, service: sshd}
detection:
  sel:
    message|contains: 'Failed password'
  condition: sel
level: low
---
title: Many refusals from one address
id: 22222222-2222-4222-8222-222222222222
correlation:
  type: event_count
  rules: [refused]
  group-by: [remote_ip]
  timespan: 10m
  condition: {gte: 10}
level: high
`
	var log strings.Builder
	for i := range 12 {
		fmt.Fprintf(&log, "2026-03-02T03:01:%02d+00:00 web sshd[%d]: Failed password for root from 203.0.113.77 port %d ssh2\n", i, 100+i, 40000+i)
	}
	for i := range 5 { // another address, too few
		fmt.Fprintf(&log, "2026-03-02T03:02:%02d+00:00 web sshd[%d]: Failed password for root from 198.51.100.9 port %d ssh2\n", i, 200+i, 40000+i)
	}
	rules, evidence := filepath.Join(dir, "rules.yml"), filepath.Join(dir, "auth.log")
	for path, text := range map[string]string{rules: rule, evidence: log.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := New(Options{NoBuiltin: true, RuleDirs: []string{rules}, AllAlerts: true})
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Analyze(context.Background(), []string{evidence})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, al := range r.Alerts {
		switch al.Rule.Title {
		case "Refused":
			t.Error("a rule that only a correlation uses alerted by itself")
		case "Many refusals from one address":
			n++
			if al.Count != 10 || len(al.Evidence) != 10 || al.Evidence[0].Event == nil {
				t.Errorf("count %d, %d records", al.Count, len(al.Evidence))
			}
		}
	}
	if n != 1 {
		t.Errorf("%d alerts of the correlation, want 1", n)
	}
}
