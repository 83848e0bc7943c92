package decode

import (
	"bytes"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

const zeekTwoLogs = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n#open\t2024-01-01-00-00-00\n" +
	"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tquery\tanswers\trejected\n" +
	"#types\ttime\tstring\taddr\tport\taddr\tport\tstring\tvector[string]\tbool\n" +
	"1704067200.250000\tC1\t10.0.0.5\t5353\t10.0.0.1\t53\tEvil.Example.com\ta\\x2cb,10.9.9.9\tF\n" +
	"1704067201.000000\tC2\t10.0.0.5\t5354\t10.0.0.1\t53\t-\t(empty)\t-\n" +
	"1704067202.000000\ttoo\tfew\n" +
	"#close\t2024-01-01-01-00-00\n" +
	"#separator |\n#set_separator|;\n#empty_field|none\n#unset_field|?\n#path|dce_rpc\n#fields|ts|id.orig_h|id.resp_h|endpoint|operation\n#types|time|addr|addr|string|string\n" +
	"1704067203.5|10.0.0.5|10.0.0.9|svcctl|CreateServiceW\n" +
	"1704067204.5|10.0.0.5|10.0.0.9|svcctl|?\n"

func TestZeekTSV(t *testing.T) {
	names := model.NewNames()
	d := ZeekTSV(Options{Names: names})
	if n := d.Sniff([]byte(zeekTwoLogs)); n < 90 {
		t.Fatalf("sniffed %d", n)
	}
	b, bad := decodeAll(t, d, "dns.log", []byte(zeekTwoLogs))
	if len(b.Events) != 4 || b.Records != 5 || len(bad) != 1 || !strings.Contains(bad[0].Cause, "9 fields") || bad[0].Record != 11 {
		t.Fatalf("%d events of %d records, %+v", len(b.Events), b.Records, bad)
	}
	e := &b.Events[0]
	if got := e.Time.Format("2006-01-02T15:04:05.000Z"); got != "2024-01-01T00:00:00.250Z" || !e.Sensed.Equal(e.Time) {
		t.Errorf("time %s", got)
	}
	var answers []string
	for _, s := range e.Slots {
		if names.Name(s.Field) == "answers" {
			answers = append(answers, s.Text)
		}
	}
	if len(answers) != 2 || answers[0] != "a,b" || answers[1] != "10.9.9.9" || e.Text(names.ID("rejected")) != "false" {
		t.Errorf("answers %q rejected %q", answers, e.Text(names.ID("rejected")))
	}
	for i, want := range []string{
		"dns dns dns ip/src=10.0.0.5 ip/dst=10.0.0.1 domain/object=evil.example.com",
		"none dns dns ip/src=10.0.0.5 ip/dst=10.0.0.1",
		"remote_exec CreateServiceW dce_rpc ip/src=10.0.0.5 ip/dst=10.0.0.9",
		"none  dce_rpc ip/src=10.0.0.5 ip/dst=10.0.0.9",
	} {
		if got := describeEvent(&b.Events[i]); got != want {
			t.Errorf("event %d:\n got %s\nwant %s", i, got, want)
		}
	}
	if _, ok := b.Events[1].Get(model.FQueryLower); ok {
		t.Error("an unset field became a slot")
	}
}

// A chunk knows the header that stands in an earlier one.
func TestZeekHeaderIsCarried(t *testing.T) {
	var in strings.Builder
	in.WriteString("#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.resp_h\n#types\ttime\taddr\taddr\n")
	for range 60000 {
		in.WriteString("1704067200.250000\t10.0.0.5\t10.0.0.1\n")
	}
	b, bad := decodeAll(t, ZeekTSV(Options{Names: model.NewNames()}), "conn.log", []byte(in.String()))
	if len(b.Events) != 60000 || len(bad) != 0 || b.Events[59999].Ref.Record != 60004 {
		t.Fatalf("%d events, %v", len(b.Events), bad)
	}
}

func TestZeekData(t *testing.T) {
	for name, data := range dataFiles(t, "zeek_wrccdc2018/zeek-default/*.gz") {
		d := ZeekTSV(Options{Names: model.NewNames()})
		if d.Sniff(data[:min(len(data), SniffLen)]) < 90 {
			t.Errorf("%s is not known", name)
			continue
		}
		b, bad := decodeAll(t, d, name, data)
		if int64(len(b.Events)) != b.Records || b.Records == 0 {
			t.Errorf("%s: %d events of %d records: %v", name, len(b.Events), b.Records, bad)
		}
	}
}

func FuzzZeekTSV(f *testing.F) {
	f.Add([]byte(zeekTwoLogs))
	f.Add([]byte("#separator \\x\n#fields\n#path\n\t\n"))
	f.Add([]byte("#fields\tts\n#path\tx\n1e400\n\\x\n"))
	d := ZeekTSV(Options{Names: model.NewNames()})
	f.Fuzz(func(t *testing.T, in []byte) {
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(in), func(c Chunk) error { d.Decode(c, b); return nil }, func(model.InputError) {}); err != nil {
			t.Fatal(err)
		}
		if int64(len(b.Events))+b.Skipped != b.Records {
			t.Fatalf("%d events + %d skipped are not %d records", len(b.Events), b.Skipped, b.Records)
		}
		for i := range b.Events {
			zeekEntities(&b.Events[i])
		}
	})
}

func BenchmarkZeekTSV(b *testing.B) {
	line := "1704067200.250000\tC1AbCdEf\t10.0.0.5\t5353\t10.0.0.1\t53\twww.example.com\t10.9.9.9,10.9.9.8\tF\n"
	head, _, _ := strings.Cut(zeekTwoLogs, "1704067200")
	data := []byte(head + strings.Repeat(line, 8000))
	d := ZeekTSV(Options{Names: model.NewNames()})
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		batch := &Batch{}
		d.Decode(Chunk{Data: data}, batch)
		if len(batch.Events) != 8000 {
			b.Fatal("not decoded")
		}
	}
	b.ReportMetric(8000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
