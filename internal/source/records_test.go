package source

import (
	"strings"
	"testing"
)

func TestCutRecords(t *testing.T) {
	const (
		syscall = "type=SYSCALL msg=audit(1700000000.1:7): a0=1\n"
		path    = "type=PATH msg=audit(1700000000.1:7): name=\"/x\"\n"
		eoe     = "type=EOE msg=audit(1700000000.1:7): \n"
		login   = "type=USER_LOGIN msg=audit(1700000000.2:8): pid=1\n"
	)
	for _, c := range []struct {
		name, format, in string
		final            bool
		whole            string
	}{
		{"lines", "", "a\nb\nc", false, "a\nb\n"},
		{"lines, final", "", "a\nb\nc", true, "a\nb\n"},
		{"no line end", "", "abc", true, ""},
		{"audit: an event under way waits", "auditd", login + syscall + path, false, login},
		{"audit: an event that ended", "auditd", syscall + path + eoe, false, syscall + path + eoe},
		{"audit: the next event began", "auditd", syscall + path + login, false, syscall + path + login},
		{"audit: final", "auditd", login + syscall, true, login + syscall},
		{"csv: quoted line end", "csv", "1,\"a\nb\",2\n3,\"x\ny", false, "1,\"a\nb\",2\n"},
		{"csv: a quote inside a field", "csv", "1,5\" disk\n2,x\n", false, "1,5\" disk\n2,x\n"},
		{"csv: doubled quotes", "csv", "1,\"a\"\"\n\"\n2", false, "1,\"a\"\"\n\"\n"},
		{"csv: a stray quote hides no more than its bound", "csv", "1,\"x\n" + strings.Repeat("2,y\n", maxQuoted/2), false, "1,\"x\n" + strings.Repeat("2,y\n", maxQuoted/2)},
		{"xml", "windows-xml", "<Event>\n<a/>\n</Event>\r\n<Event>\n<b/>", false, "<Event>\n<a/>\n</Event>\r\n"},
		{"xml under way", "windows-xml", "<Event>\n<a/>\n", true, ""},
		{"json lines", "json", "{\"a\":1}\n{\"b\":2}\n", false, "{\"a\":1}\n{\"b\":2}\n"},
		{"json over lines", "json", "{\"a\":1}\n{\n \"b\":2,\n", false, "{\"a\":1}\n"},
		{"windows text", "windows-text", "01/02/2026 03:04:05 AM\nLogName=Security\nMessage=x\n01/02/2026 03:04:06 AM\nLogName=Sec", false, "01/02/2026 03:04:05 AM\nLogName=Security\nMessage=x\n"},
	} {
		if n := cutRecords(c.format, []byte(c.in), c.final); c.in[:n] != c.whole {
			t.Errorf("%s: whole are the first %d bytes, want %d", c.name, n, len(c.whole))
		}
	}
}

func TestHeadLen(t *testing.T) {
	for _, c := range []struct {
		format, in, head string
		ok               bool
	}{
		{"csv", "a,b\n1,2\n", "a,b\n", true},
		{"csv", "\"a\nx\",b\n1,2\n", "\"a\nx\",b\n", true},
		{"csv", "a,b", "", false},
		{"zeek", "#separator \\x09\n#fields\tts\n#types\ttime\n1.0\n", "#separator \\x09\n#fields\tts\n#types\ttime\n", true},
		{"zeek", "#separator \\x09\n#fields\tts\n", "#separator \\x09\n#fields\tts\n", false},
		{"zeek", "1.0\tx\n", "", true},
		{"w3c", "#Fields: date time\n2026-01-02 03:04:05\n", "#Fields: date time\n", true},
		{"w3c", "version account-id\n2 1\n", "version account-id\n", true},
		{"json", "{}\n", "", true},
		{"evtx", "ElfFile\x00", "", false},
		{"evtx", "ElfFile\x00" + strings.Repeat("\x00", 5000), "ElfFile\x00" + strings.Repeat("\x00", 4088), true},
	} {
		n, ok := headLen(c.format, []byte(c.in))
		if ok != c.ok || (ok && c.in[:n] != c.head) {
			t.Errorf("headLen(%s, %.30q) = %d, %v; want %d, %v", c.format, c.in, n, ok, len(c.head), c.ok)
		}
	}
}

func TestNewHead(t *testing.T) {
	const data = "1 a\n#Software: x\n#Fields: date\n2 b\n"
	if at, n, names := newHead("w3c", []byte(data)); data[at:at+n] != "#Software: x\n#Fields: date\n" || !names {
		t.Errorf("new head %q, %v", data[at:at+n], names)
	}
	if at, n, names := newHead("zeek", []byte("1\n#close\t2026\n")); at != 2 || n != 12 || names {
		t.Errorf("the line that closes a log: %d, %d, %v", at, n, names)
	}
	if at, _, _ := newHead("syslog", []byte("# a comment\nx\n")); at != 14 {
		t.Errorf("a comment in a format without heads: %d", at)
	}
}

func FuzzCutRecords(f *testing.F) {
	for _, format := range []string{"", "auditd", "csv", "json", "windows-xml", "windows-text", "zeek", "w3c", "evtx"} {
		f.Add(format, []byte("#Fields: a\n1,\"a\nb\",2\n{\"a\":1}\n<Event>\n</Event>\ntype=PATH msg=audit(1:2): x\n"), true)
	}
	f.Fuzz(func(t *testing.T, format string, data []byte, final bool) {
		if n := cutRecords(format, data, final); n < 0 || n > len(data) {
			t.Fatalf("%d of %d bytes", n, len(data))
		}
		if n, _ := headLen(format, data); n < 0 || n > len(data) && n > 1<<16 {
			t.Fatalf("a head of %d of %d bytes", n, len(data))
		}
		if at, n, _ := newHead(format, data); at < 0 || n < 0 || at+n > len(data) {
			t.Fatalf("a head at %d of %d bytes of %d", at, n, len(data))
		}
	})
}
