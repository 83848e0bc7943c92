package decode

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Text logs are written by whoever can make a program log. None of these may
// cost more than its length, or lose what stands beside it.
func TestHostileTextLogs(t *testing.T) {
	var parts, fields, headers strings.Builder
	parts.WriteString("node=h type=EXECVE msg=audit(1709460000.1:1):")
	for i := range 200_000 {
		fmt.Fprintf(&parts, " a1[%d]=41", i)
	}
	parts.WriteString(" a4294967296=x a999999=y\nnode=h type=USER_END msg=audit(1709460001.1:2): pid=1\n")
	fields.WriteString("#separator \\x09\n#path\tx\n#fields\tts")
	for i := range 20_000 {
		fmt.Fprintf(&fields, "\tfield%d", i)
	}
	fields.WriteString("\n1709460000.1\t1\n#fields\tts\ta\n1709460000.1\t1\n")
	headers.WriteString("#separator \\x09\n#path\tx\n#fields\tts" + strings.Repeat("\ta", 4000) + "\n")
	headers.WriteString(strings.Repeat("#types\ttime\n#types\tcount\n", 50_000) + "#fields\tts\ta\n1709460000.1\t1\n")
	for _, c := range []struct {
		name    string
		d       Decoder
		in      string
		events  int
		skipped int64
	}{
		{"one argument in many parts", Auditd(Options{Names: model.NewNames()}), parts.String(), 2, 0},
		{"a header of too many fields", ZeekTSV(Options{Names: model.NewNames()}), fields.String(), 1, 1},
		{"types that change all the time", ZeekTSV(Options{Names: model.NewNames()}), headers.String(), 1, 0},
		{"a line over the limit", Syslog(Options{Names: model.NewNames(), Year: 2024}), "Mar  3 10:00:00 h p: " + strings.Repeat("A", MaxRecord+1<<20) + "\nMar  3 10:00:00 h p: m\n", 1, 0},
		{"one serial without end", Auditd(Options{Names: model.NewNames()}), strings.Repeat("type=PATH msg=audit(1.1:1): name=\"/a\"\n", 20_000), 20, 0},
		{"sudo keys over and over", Syslog(Options{Names: model.NewNames(), Year: 2024}), "Mar  3 10:00:00 h sudo: b : " + strings.Repeat("PWD= USER= TTY= ", 50_000) + "\n", 1, 0},
	} {
		start := time.Now()
		b, bad := decodeAll(t, c.d, c.name, []byte(c.in))
		if len(b.Events) != c.events || b.Skipped != c.skipped {
			t.Errorf("%s: %d events, %d skipped, %v", c.name, len(b.Events), b.Skipped, bad)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", c.name, took)
		}
	}
}
