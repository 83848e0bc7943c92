package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// readEVTX decodes a whole file; fields are "name=text" in order.
type readEVTX struct {
	events []model.Event
	fields [][]string
	bad    []model.InputError // of the framer
	errs   []model.InputError // of the records
	err    error
}

func evtxRead(r io.Reader) (out readEVTX) {
	names := model.NewNames()
	d := EVTX(Options{Names: names})
	out.err = d.Frame(r, func(c Chunk) error {
		var b Batch
		c.Input = "test.evtx"
		d.Decode(c, &b)
		for _, e := range b.Events {
			var fields []string
			for _, s := range e.Slots {
				fields = append(fields, names.Name(s.Field)+"="+s.Text)
			}
			out.fields = append(out.fields, fields)
		}
		out.events = append(out.events, b.Events...)
		out.errs = append(out.errs, b.Errors...)
		return nil
	}, func(e model.InputError) { out.bad = append(out.bad, e) })
	return out
}

func (r readEVTX) clean(t *testing.T, events int) {
	t.Helper()
	if r.err != nil || len(r.bad) > 0 || len(r.errs) > 0 {
		t.Errorf("errors: %v, %v, %v", r.err, r.bad, r.errs)
	}
	if len(r.events) != events {
		t.Fatalf("%d events, want %d", len(r.events), events)
	}
}

// has fails the test unless event i has the field, as it stands.
func (r readEVTX) has(t *testing.T, i int, want ...string) {
	t.Helper()
	for _, f := range want {
		if !slices.Contains(r.fields[i], f) {
			t.Errorf("event %d has no %q in %q", i, f, r.fields[i])
		}
	}
}

func (r readEVTX) hasNone(t *testing.T, i int, names ...string) {
	t.Helper()
	for _, n := range names {
		for _, f := range r.fields[i] {
			if strings.HasPrefix(f, n+"=") {
				t.Errorf("event %d has %q", i, f)
			}
		}
	}
}

func logonData() binXML {
	return el("EventData", nil,
		el("Data", attrs(attr("Name", lit("TargetUserName"))), sub(0, typeString)),
		el("Data", attrs(attr("Name", lit("TargetLogonId"))), sub(1, typeHex64)),
		el("Data", attrs(attr("Name", lit("Empty"))), sub(2, typeString)),
		el("Data", attrs(attr("Name", lit("Absent"))), opt(3, typeString)),
	)
}

func logonEvent(user string) binXML {
	return instance("logon", logonData(), str(user), binValue{typeHex64, u64le(0x3e7)}, null(), null())
}

func TestEVTXEvent(t *testing.T) {
	var w evtxWriter
	w.event(4624, logonEvent("ALICE"))
	w.event(4624, logonEvent("grüße 𝄞"))
	r := evtxRead(bytes.NewReader(w.bytes()))
	r.clean(t, 2)
	r.has(t, 0, "Provider_Name=Microsoft-Windows-Security-Auditing", "Provider_Guid={0CCE9217-69AE-11D9-BED3-505054503030}",
		"EventID=4624", "Version=2", "Keywords=0x8020000000000000", "TimeCreated_SystemTime=2024-02-29T23:59:58.1234567Z",
		"EventRecordID=1", "Execution_ProcessID=744", "Execution_ThreadID=5000", "Channel=Security", "Computer=dc01.example.org",
		"TargetUserName=ALICE", "TargetLogonId=0x3e7", "Empty=")
	r.hasNone(t, 0, "Absent", "EventID_Qualifiers", "Correlation", "Correlation_ActivityID", "Security", "Event_xmlns", "EventData")
	r.has(t, 1, "EventRecordID=2", "TargetUserName=grüße 𝄞")
	e := r.events[1]
	if want := (model.Ref{Input: "test.evtx", Record: 2, Offset: evtxHeaderBlock + int64(evtxChunkHeader+len(r.events[0].Raw))}); e.Ref != want {
		t.Errorf("Ref %+v, want %+v", e.Ref, want)
	}
	if want := time.Date(2024, 2, 29, 23, 59, 58, 123456700, time.UTC); !e.Recorded.Equal(want) || e.Format != "evtx" {
		t.Errorf("Recorded %v, Format %q", e.Recorded, e.Format)
	}
	if string(e.Raw[:4]) != evtxRecordMagic || int(binary.LittleEndian.Uint32(e.Raw[4:])) != len(e.Raw) {
		t.Error("Raw is not the record")
	}
}

// A field of EventData may have the name of one of System. System's comes first.
func TestEVTXNameOfSystem(t *testing.T) {
	var w evtxWriter
	w.event(104, instance("cleared", el("UserData", nil, el("auto-ns2:LogFileCleared", attrs(attr("xmlns:auto-ns2", lit("urn:x"))),
		el("Channel", nil, sub(0, typeString)), el("BackupPath", nil), el("Detail", attrs(attr("Kind", lit("a"))), lit("b")))), str("Application")))
	r := evtxRead(bytes.NewReader(w.bytes()))
	r.clean(t, 1)
	r.has(t, 0, "Channel=Security", "Channel=Application", "BackupPath=", "Detail_Kind=a", "Detail=b")
	r.hasNone(t, 0, "UserData", "LogFileCleared", "LogFileCleared_xmlns:auto-ns2")
	if got := r.events[0].Text(model.FChannel); got != "Security" {
		t.Errorf("Channel %q", got)
	}
}

func TestEVTXNames(t *testing.T) {
	var w evtxWriter
	w.event(1, instance("names", el("EventData", nil,
		el("Data", nil, sub(0, typeString|typeArray)),
		el("Data", attrs(attr("Name", sub(1, typeString))), sub(2, typeInt32)),
		el("Data", attrs(attr("Name", lit("Parts"))), lit("a"), entityRef("lt"), lit("b"), sub(2, typeInt32), sub(3, typeUint16|typeArray)),
		el("Data", attrs(attr("Name", lit(strings.Repeat("n", model.MaxNameLen+1)))), lit("long")),
		el("Binary", nil, sub(4, typeBinary)),
	), binValue{typeString | typeArray, utf16le("one\x00two\x00")}, str("Dynamic"), binValue{typeInt32, u32le(math.MaxUint32)},
		binValue{typeUint16 | typeArray, []byte{1, 0, 2, 0}}, binValue{typeBinary, []byte{0xde, 0xad}}))
	r := evtxRead(bytes.NewReader(w.bytes()))
	r.clean(t, 1)
	r.has(t, 0, "Data=one", "Data=two", "Dynamic=-1", "Parts=a<b-11, 2", "Binary=DEAD",
		"="+strings.Repeat("n", model.MaxNameLen+1)+"\x00long")
}

// A forwarded event may be plain elements without a template, with the rendered
// message, and with its time as a text.
func TestEVTXForwarded(t *testing.T) {
	var w evtxWriter
	w.add(testTime, func(w *evtxWriter) {
		w.put(tokFragment, 1, 1, 0)
		plain("Event", nil,
			plain("System", nil, plain("EventID", nil, lit("7")), plain("TimeCreated", attrs(attr("SystemTime", lit("2021-11-19T16:52:33.833733500Z"))))),
			plain("EventData", nil, plain("Data", nil, lit("x"))),
			plain("RenderingInfo", attrs(attr("Culture", lit("en-US"))), plain("Message", nil, lit("It happened.")), plain("Level", nil, lit("Error"))),
		)(w)
	})
	r := evtxRead(bytes.NewReader(w.bytes()))
	r.clean(t, 1)
	r.has(t, 0, "EventID=7", "Data=x", "Message=It happened.", "RenderingInfo_Level=Error", "RenderingInfo_Culture=en-US")
	e := r.events[0]
	if !e.Recorded.Equal(time.Date(2021, 11, 19, 16, 52, 33, 833733500, time.UTC)) || !e.Received.Equal(filetime(testTime)) {
		t.Errorf("Recorded %v, Received %v", e.Recorded, e.Received)
	}
}

// Elements follow each other as values, too: EventData and RenderingInfo.
func TestEVTXSiblings(t *testing.T) {
	var w evtxWriter
	w.event(1, func(w *evtxWriter) {
		plain("EventData", nil, plain("Data", nil, lit("x")))(w)
		plain("RenderingInfo", nil, plain("Message", nil, lit("m")))(w)
	})
	r := evtxRead(bytes.NewReader(w.bytes()))
	r.clean(t, 1)
	r.has(t, 0, "Data=x", "Message=m")
}

func TestEVTXValues(t *testing.T) {
	sid := []byte{1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0}
	for _, c := range []struct {
		typ  byte
		data []byte
		want string
		kind model.Kind
	}{
		{typeString, append(utf16le("x"), 0, 0), "x", model.String},
		{typeString, []byte{0x00, 0xd8, 'a', 0}, "\ufffda", model.String},
		{typeString, []byte{0x00, 0xd8}, "\ufffd", model.String},
		{typeString, utf16le("0123456789abcdef-ä"), "0123456789abcdef-ä", model.String},
		{typeAnsi, []byte("caf\xe9\x00"), "café", model.String},
		{typeInt8, []byte{0xff}, "-1", model.Number},
		{typeUint8, []byte{0xff}, "255", model.Number},
		{typeInt16, []byte{0xfe, 0xff}, "-2", model.Number},
		{typeUint32, u32le(math.MaxUint32), "4294967295", model.Number},
		{typeInt64, u64le(1 << 63), "-9223372036854775808", model.Number},
		{typeUint64, u64le(math.MaxUint64), "18446744073709551615", model.Number},
		{typeFloat32, u32le(math.Float32bits(1.5)), "1.5", model.Number},
		{typeFloat64, u64le(math.Float64bits(-0.1)), "-0.1", model.Number},
		{typeBool, u32le(1), "true", model.Bool},
		{typeBool, u32le(0), "false", model.Bool},
		{typeBinary, []byte{0, 0xab}, "00AB", model.String},
		{typeSize, u64le(0xABC), "0xabc", model.String},
		{typeHex32, u32le(0xC000006D), "0xc000006d", model.String},
		{typeHex64, u64le(0), "0x0", model.String},
		{typeFiletime, u64le(0), "1601-01-01T00:00:00.0000000Z", model.String},
		{typeFiletime, u64le(maxFiletime), "9999-12-31T23:59:59.9999999Z", model.String},
		{typeFiletime, u64le(math.MaxUint64), "60056-05-28T05:36:10.9551615Z", model.String},
		{typeSystime, []byte{0xe8, 7, 2, 0, 4, 0, 29, 0, 23, 0, 59, 0, 58, 0, 7, 0}, "2024-02-29T23:59:58.0070000Z", model.String},
		{typeSID, sid, "S-1-5-32-544", model.String},
		{typeSID, sid[:13], "S-1-5-32", model.String},
		{typeUint32, []byte{1, 2}, "0102", model.String}, // too short
		{0x7a, []byte{0x0f}, "0F", model.String},
	} {
		got, kind := appendValue(nil, c.typ, c.data)
		if string(got) != c.want || kind != c.kind {
			t.Errorf("type 0x%02x % x: %q kind %d, want %q kind %d", c.typ, c.data, got, kind, c.want, c.kind)
		}
	}
}

// twoChunks is a file of two chunks with n events each.
func twoChunks(n int) []byte {
	var w evtxWriter
	for range 2 {
		for i := range n {
			w.event(4624, logonEvent(fmt.Sprint("user", i)))
		}
		w.close()
	}
	return w.bytes()
}

func TestEVTXDamage(t *testing.T) {
	const second = evtxHeaderBlock + evtxChunkLen
	for _, c := range []struct {
		name   string
		damage func(f []byte) []byte
		events int
		want   string // in an error, empty for none
		offset int64
	}{
		{"none", func(f []byte) []byte { return f }, 10, "", 0},
		{"bare chunks", func(f []byte) []byte { return f[evtxHeaderBlock:] }, 10, "", 0},
		{"header says nothing", func(f []byte) []byte { clear(f[8:128]); return f }, 10, "", 0},
		{"unused chunk between", func(f []byte) []byte { return slices.Insert(f, second, make([]byte, evtxChunkLen)...) }, 10, "", 0},
		{"chunk without magic", func(f []byte) []byte { f[second] = 'X'; return f }, 10, "chunk without its magic", second},
		{"chunk overwritten", func(f []byte) []byte {
			copy(f[second:second+evtxChunkLen], bytes.Repeat([]byte{0xaa}, evtxChunkLen))
			return f
		}, 5, "chunk without its magic", second},
		{"bytes lost before a chunk", func(f []byte) []byte { return slices.Delete(f, second-1000, second-7) }, 10, "another one begins", evtxHeaderBlock},
		{"cut in the second chunk", func(f []byte) []byte { return f[:second+600] }, 5, "chunk cut short", second},
		{"cut in the header", func(f []byte) []byte { return f[:100] }, 0, "file header cut short", 100},
		{"rubbish at the end", func(f []byte) []byte { return append(f, "rubbish"...) }, 10, "no chunk", second + evtxChunkLen},
		{"record size", func(f []byte) []byte {
			binary.LittleEndian.PutUint32(f[evtxHeaderBlock+evtxChunkHeader+4:], 1<<30)
			return f
		}, 9, "bad size (the chunk's checksum is wrong)", evtxHeaderBlock + evtxChunkHeader},
		{"record magic", func(f []byte) []byte { f[evtxHeaderBlock+evtxChunkHeader] = 0; return f }, 9, "bad magic", evtxHeaderBlock + evtxChunkHeader},
		{"stale header", func(f []byte) []byte { // of a file that Windows had open
			binary.LittleEndian.PutUint32(f[evtxHeaderBlock+48:], evtxChunkHeader)
			return f
		}, 10, "", 0},
		{"template elsewhere", func(f []byte) []byte {
			at := evtxHeaderBlock + evtxChunkHeader + evtxRecordHeader + 10
			binary.LittleEndian.PutUint32(f[at:], math.MaxUint32)
			return f
		}, 9, "template definition outside", evtxHeaderBlock + evtxChunkHeader},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := evtxRead(bytes.NewReader(c.damage(twoChunks(5))))
			if r.err != nil {
				t.Error(r.err)
			}
			if len(r.events) != c.events {
				t.Errorf("%d events, want %d", len(r.events), c.events)
			}
			all := slices.Concat(r.bad, r.errs)
			if c.want == "" {
				if len(all) > 0 {
					t.Errorf("errors %+v", all)
				}
				return
			}
			if !slices.ContainsFunc(all, func(e model.InputError) bool {
				return strings.Contains(e.Cause, c.want) && e.Offset == c.offset && e.Count == 1
			}) {
				t.Errorf("no error %q at %d in %+v", c.want, c.offset, all)
			}
		})
	}
}

// What can be read of an input that fails is decoded, and the failure is told.
func TestEVTXReadError(t *testing.T) {
	f := twoChunks(5)
	broken := errors.New("cable cut")
	r := evtxRead(io.MultiReader(bytes.NewReader(f[:evtxHeaderBlock+evtxChunkLen]), iotest.ErrReader(broken)))
	if !errors.Is(r.err, broken) || len(r.events) != 5 {
		t.Errorf("%v, %d events", r.err, len(r.events))
	}
	one := evtxRead(iotest.OneByteReader(bytes.NewReader(f)))
	one.clean(t, 10)
}

func TestEVTXRecordNumbersAcrossChunks(t *testing.T) {
	var w evtxWriter
	for range 40 {
		w.event(1, logonEvent("a"))
		w.event(2, logonEvent("b"))
		w.close()
	}
	f := w.bytes()
	r := evtxRead(bytes.NewReader(f))
	r.clean(t, 80)
	for i, e := range r.events {
		if e.Ref.Record != int64(i+1) || !bytes.HasPrefix(f[e.Ref.Offset:], e.Raw) {
			t.Fatalf("event %d: %+v", i, e.Ref)
		}
	}
}

// Events must stay as they are when their decoder goes on to other chunks.
func TestEVTXKeepsNothing(t *testing.T) {
	f := twoChunks(5)
	names := model.NewNames()
	d := EVTX(Options{Names: names})
	decode := func() *Batch {
		var b Batch
		d.Decode(Chunk{Data: f[evtxHeaderBlock:]}, &b)
		return &b
	}
	first := decode()
	text := func(b *Batch) (s string) {
		for _, e := range b.Events {
			for _, slot := range e.Slots {
				s += slot.Text + "|"
			}
		}
		return s
	}
	before := text(first)
	for range 20 {
		if got := text(decode()); got != before {
			t.Fatal("another text for the same chunk")
		}
	}
	if text(first) != before {
		t.Error("events changed after they were decoded")
	}
}

// Few bytes may ask for much: the chunk's bounds end that with an error.
func TestEVTXBombs(t *testing.T) {
	t.Run("one long value, many fields", func(t *testing.T) {
		var w evtxWriter
		long := make([]byte, 20_000)
		for i := range long {
			long[i] = 'a' * byte(1-i%2)
		}
		var fields []binXML
		for range 1000 {
			fields = append(fields, el("D", nil, sub(0, typeString)))
		}
		w.add(testTime, instance("bomb", el("EventData", nil, fields...), binValue{typeString, long}))
		r := evtxRead(bytes.NewReader(w.bytes()))
		if len(r.events) != 0 || len(r.errs) != 1 || !strings.Contains(r.errs[0].Cause, "expands") {
			t.Errorf("%d events, %v", len(r.events), r.errs)
		}
	})
	t.Run("BinXML in BinXML", func(t *testing.T) {
		// Each level names the next one ten times: 10^8 instances, were there no bound.
		var w evtxWriter
		w.open()
		var level func(n int) binXML
		level = func(n int) binXML {
			if n == 0 {
				return plain("Leaf", nil, lit("x"))
			}
			return func(w *evtxWriter) {
				var fields []binXML
				for range 10 {
					fields = append(fields, sub(0, typeBinXML))
				}
				inner := func(data []byte) binXML {
					return instance(fmt.Sprint("level", n), el("E", nil, fields...), binValue{typeBinXML, data})
				}
				scratch := evtxWriter{chunk: append(make([]byte, 0, evtxChunkLen), w.chunk...), templates: cloneMap(w.templates), names: cloneMap(w.names)}
				inner(nil)(&scratch)
				at := len(scratch.chunk)
				level(n - 1)(&scratch)
				scratch.put(tokEnd)
				inner(append([]byte(nil), scratch.chunk[at:]...))(w)
				w.templates, w.names = scratch.templates, scratch.names
			}
		}
		w.add(testTime, level(8))
		start := time.Now()
		r := evtxRead(bytes.NewReader(w.bytes()))
		if len(r.events) != 0 || len(r.errs) != 1 {
			t.Errorf("%d events, %v", len(r.events), r.errs)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
	t.Run("deep elements", func(t *testing.T) {
		var w evtxWriter
		deep := el("E", nil, lit("x"))
		for range 2 * MaxDepth {
			deep = el("E", nil, deep)
		}
		w.add(testTime, instance("deep", deep))
		r := evtxRead(bytes.NewReader(w.bytes()))
		if len(r.errs) != 1 || !strings.Contains(r.errs[0].Cause, "deeper") {
			t.Errorf("%v", r.errs)
		}
	})
}

func TestEVTXSniff(t *testing.T) {
	d := EVTX(Options{Names: model.NewNames()})
	if d.Sniff(twoChunks(1)[:512]) == 0 || d.Sniff([]byte(evtxChunkMagic+"...")) == 0 {
		t.Error("does not know its own")
	}
	for _, s := range []string{"", "ElfFil", `{"EventID": 1}`, "PK\x03\x04"} {
		if d.Sniff([]byte(s)) != 0 {
			t.Errorf("takes %q", s)
		}
	}
}

func FuzzEVTX(f *testing.F) {
	// Seeds end where their records do: the fuzzer is slow on long inputs.
	f.Add(twoChunks(2)[:evtxHeaderBlock+4096])
	f.Add(twoChunks(1)[evtxHeaderBlock : evtxHeaderBlock+2560])
	var w evtxWriter
	w.event(104, instance("u", el("UserData", nil, el("X", nil, sub(0, typeString|typeArray), entityRef("amp"))), binValue{typeString | typeArray, utf16le("a\x00b")}))
	w.add(0, plain("Event", nil, plain("System", nil, plain("EventID", nil, lit("7")))))
	f.Add(w.bytes()[evtxHeaderBlock : evtxHeaderBlock+4096])
	f.Fuzz(func(t *testing.T, data []byte) {
		r := evtxRead(bytes.NewReader(data))
		if r.err != nil {
			t.Fatal(r.err)
		}
		for _, e := range r.events {
			if !bytes.HasPrefix(data[e.Ref.Offset:], e.Raw) {
				t.Fatalf("%+v does not say where its record stands", e.Ref)
			}
			if _, err := e.Recorded.MarshalJSON(); err != nil {
				t.Fatal(err)
			}
		}
		// A chunk on its own: also where the fuzzer did not make a file around it.
		var b Batch
		EVTX(Options{Names: model.NewNames()}).Decode(Chunk{Data: data}, &b)
		again := evtxRead(bytes.NewReader(data))
		if !slices.EqualFunc(r.fields, again.fields, slices.Equal[[]string]) {
			t.Fatal("not the same twice")
		}
	})
}
