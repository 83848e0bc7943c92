package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/catena-sec/catena/internal/model"
)

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func pair(k string, v *common.AnyValue) *common.KeyValue { return &common.KeyValue{Key: k, Value: v} }

// otlpRequest has all kinds of values, for n records in each of two resources.
func otlpRequest(n int) *collogs.ExportLogsServiceRequest {
	r := new(collogs.ExportLogsServiceRequest)
	for host := range 2 {
		rl := &logs.ResourceLogs{Resource: &resource.Resource{Attributes: []*common.KeyValue{pair("host.name", text(fmt.Sprintf("h%d \"quoted\"\n", host)))}}}
		for scope := range 2 {
			sl := &logs.ScopeLogs{Scope: &common.InstrumentationScope{Name: fmt.Sprint("scope", scope), Version: "1", Attributes: []*common.KeyValue{pair("a", text("b"))}}}
			for i := range n {
				sl.LogRecords = append(sl.LogRecords, &logs.LogRecord{
					TimeUnixNano: 1_700_000_000_000_000_000 + uint64(i), ObservedTimeUnixNano: 5, SeverityNumber: 9, SeverityText: "INFO", EventName: "e", Flags: 1,
					Body: &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{
						pair("s", text("line\x1f\\ of text é")), pair("i", &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: -5}}),
						pair("b", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}), pair("d", &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 1.5e-9}}),
						pair("y", &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{0, 1, 255}}}), pair("n", &common.AnyValue{}),
						pair("l", &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{text("x"), text("")}}}}),
					}}}},
					Attributes: []*common.KeyValue{pair("n", &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(i)}})},
				})
			}
			rl.ScopeLogs = append(rl.ScopeLogs, sl)
		}
		r.ResourceLogs = append(r.ResourceLogs, rl)
	}
	return r
}

// otlpLinesOf is what becomes of a message: the lines, and the records they hold.
func otlpLinesOf(message []byte, limit int) (lines []string, w *otlpLines, err error) {
	w = &otlpLines{max: limit, line: func(l []byte) error { lines = append(lines, string(l)); return nil }}
	return lines, w, w.request(message)
}

func TestOTLPLinesSayTheSame(t *testing.T) {
	want := otlpRequest(3)
	message, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	w := otlpLines{max: 4 << 20, line: func(l []byte) error { lines = append(lines, string(l)); return nil }}
	if err := w.request(message); err != nil || len(lines) != 2 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	got := new(collogs.ExportLogsServiceRequest)
	for _, l := range lines {
		one := new(collogs.ExportLogsServiceRequest)
		if err := protojson.Unmarshal([]byte(l), one); err != nil {
			t.Fatalf("%v in %s", err, l)
		}
		got.ResourceLogs = append(got.ResourceLogs, one.ResourceLogs...)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	traced := &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{TraceId: []byte{0xab, 1}, SpanId: []byte{2}}}}}}}}
	message, err = proto.Marshal(traced)
	if err != nil {
		t.Fatal(err)
	}
	lines = nil
	if err := w.request(message); err != nil || len(lines) != 1 || !strings.Contains(lines[0], `"traceId":"ab01","spanId":"02"`) {
		t.Errorf("ids are not hexadecimal: %q, %v", lines, err)
	}
}

func TestOTLPLinesAreBounded(t *testing.T) {
	long := text(strings.Repeat("x", 3000))
	deep := text("x")
	for range 2 * otlpDepth {
		deep = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{deep}}}}
	}
	small := &logs.LogRecord{Body: text("small")}
	records := []*logs.LogRecord{small, {Body: long}, {Body: deep}, small}
	for range 1000 {
		records = append(records, small)
	}
	wide := &resource.Resource{Attributes: []*common.KeyValue{pair("x", text(strings.Repeat("x", otlpResource)))}}
	message, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{
		{ScopeLogs: []*logs.ScopeLogs{{LogRecords: records}}},
		{Resource: wide, ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{small, small}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	w := otlpLines{max: 2000, line: func(l []byte) error {
		if len(l) > 2000 || !json.Valid(l) {
			t.Errorf("a line of %d bytes, valid %v", len(l), json.Valid(l))
		}
		taken += strings.Count(string(l), `"body"`)
		return nil
	}}
	if err := w.request(message); err != nil {
		t.Fatal(err)
	}
	if taken != 1002 || w.rejected != 4 {
		t.Errorf("%d taken, %d rejected: %s", taken, w.rejected, w.cause)
	}
	// Two bytes a record do not become more than a few.
	empty := []byte{0x0a, 0, 0x12, 0}
	var many []byte
	for range 100_000 {
		many = append(many, 0x12, 0)
	}
	inner := append([]byte{0x12}, varint(len(many))...)
	inner = append(inner, many...)
	outer := append(append([]byte{0x0a}, varint(len(inner))...), inner...)
	if lines, _, err := otlpLinesOf(append(outer, empty[:2]...), 4<<20); err != nil || len(strings.Join(lines, "")) > 30*len(outer) {
		t.Errorf("%d bytes became %d, %v", len(outer), len(strings.Join(lines, "")), err)
	}
}

func varint(n int) (out []byte) {
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

func newTestOTLP(listen string) *OTLP {
	return NewOTLP(OTLPOptions{Name: "otlp", Listen: listen, Authenticate: oneToken, Now: fixedNow})
}

func TestOTLPOverHTTP(t *testing.T) {
	message, err := proto.Marshal(otlpRequest(1))
	if err != nil {
		t.Fatal(err)
	}
	asJSON := protojson.Format(otlpRequest(1))
	for _, c := range []struct {
		name, kind, encoding, body string
		status, lines              int
	}{
		{"protobuf", otlpProto, "", string(message), 200, 2},
		{"gzip", otlpProto, "gzip", gzipped(string(message)), 200, 2},
		{"json", otlpJSON + "; charset=utf-8", "", asJSON, 200, 1},
		{"empty", otlpProto, "", "", 200, 0},
		{"empty json", otlpJSON, "", "{}", 200, 0},
		{"damaged", otlpProto, "", "\x0a\xff", 400, 0},
		{"damaged json", otlpJSON, "", "{", 400, 0},
		{"no object", otlpJSON, "", "[]", 400, 0},
		{"something else", "text/plain", "", "x", 415, 0},
		{"too large", otlpProto, "gzip", gzipped(strings.Repeat("\x00", 9<<20)), 413, 0},
	} {
		m := &memorySink{}
		w := send(newTestOTLP("").Handler(m.take), http.MethodPost, "/v1/logs", c.body, "Content-Type", c.kind, "Content-Encoding", c.encoding)
		if w.Code != c.status || strings.Count(m.data(), "\n") != c.lines {
			t.Errorf("%s: %d, %d lines, %q", c.name, w.Code, strings.Count(m.data(), "\n"), w.Body)
		}
		for _, b := range m.all() {
			for line := range strings.Lines(string(b.Data)) {
				if !json.Valid([]byte(line)) {
					t.Errorf("%s: %.100q is no JSON", c.name, line)
				}
			}
		}
	}
	full := func(context.Context, model.Batch) error { return Later(errFull, 2*time.Second) }
	if w := send(newTestOTLP("").Handler(full), http.MethodPost, "/v1/logs", string(message), "Content-Type", otlpProto); w.Code != 429 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("push-back: %d %v", w.Code, w.Header())
	}
}

func TestOTLPOverGRPC(t *testing.T) {
	m := &memorySink{fail: func(n int, _ model.Batch) error {
		if n == 0 {
			return Later(errFull, 2*time.Second)
		}
		return nil
	}}
	o := newTestOTLP("127.0.0.1:0")
	stop := running(t, o, m.take)
	c, err := grpc.NewClient(o.Addr(t.Context()).String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	if err != nil {
		t.Fatal(err)
	}
	client := collogs.NewLogsServiceClient(c)
	if _, err := client.Export(t.Context(), otlpRequest(1)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer right")
	_, err = client.Export(ctx, otlpRequest(1))
	var retry *errdetails.RetryInfo
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			retry = info
		}
	}
	if status.Code(err) != codes.ResourceExhausted || retry.GetRetryDelay().AsDuration() != 2*time.Second {
		t.Errorf("push-back: %v, %v", err, retry)
	}
	answer, err := client.Export(ctx, otlpRequest(100))
	if err != nil || answer.GetPartialSuccess().GetRejectedLogRecords() != 0 {
		t.Fatalf("%v, %v", answer, err)
	}
	if n := strings.Count(m.data(), `"body"`); n != 400 {
		t.Errorf("%d records of 400", n)
	}
	wide := &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: []*common.KeyValue{pair("x", text(strings.Repeat("x", otlpResource+1)))}},
		ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{}}}},
	}}}
	if answer, err := client.Export(ctx, wide); err != nil || answer.GetPartialSuccess().GetRejectedLogRecords() != 1 {
		t.Errorf("partial success: %v, %v", answer, err)
	}
	huge := &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{SchemaUrl: strings.Repeat("x", 9<<20)}}}
	if _, err := client.Export(ctx, huge); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a request that unpacks to 9 MiB: %v", err)
	}
	if b := m.all(); len(b) == 0 || b[0].Tenant != "acme" || b[0].Peer != "127.0.0.1" || b[0].Format != formatJSON {
		t.Errorf("batches %+v", b)
	}
	c.Close()
	stop()
}

func FuzzOTLPLines(f *testing.F) {
	message, err := proto.Marshal(otlpRequest(2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message, 4<<20)
	f.Add(message, 300)
	f.Add([]byte("\x0a\x02\x12\x00"), 100)
	f.Fuzz(func(t *testing.T, message []byte, limit int) {
		limit = 200 + max(0, limit)%(1<<20)
		w := otlpLines{max: limit, line: func(l []byte) error {
			if !json.Valid(l) || len(l) > limit+2*otlpResource {
				t.Fatalf("a line of %d bytes: %.200q", len(l), l)
			}
			return nil
		}}
		if err := w.request(message); err != nil && !errors.Is(err, errOTLPDamaged) && !errors.Is(err, errTooLarge) && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
}

func BenchmarkOTLP(b *testing.B) {
	r := otlpRequest(500)
	message, err := proto.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	h := newTestOTLP("").Handler(func(context.Context, model.Batch) error { return nil })
	b.ReportAllocs()
	for b.Loop() {
		if w := send(h, http.MethodPost, "/v1/logs", string(message), "Content-Type", otlpProto); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
	b.ReportMetric(float64(b.N)*2000/b.Elapsed().Seconds(), "records/s")
}
