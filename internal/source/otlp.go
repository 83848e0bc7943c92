package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	spb "google.golang.org/genproto/googleapis/rpc/status"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // senders compress with it unless told otherwise
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/catena-sec/catena/internal/model"
)

// OTLPOptions are those of an OTLP.
type OTLPOptions struct {
	Name string
	// Listen is where gRPC is served, by custom port 4317; empty for HTTP alone.
	Listen string
	TLS    *tls.Config // of Listen; nil: plain
	// Limits.Unpacked is 8 MiB by default here, and Limits.Requests 16: a request is
	// held in memory.
	Limits       Limits
	Authenticate Authenticate
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: none
}

// OTLP takes logs of OpenTelemetry, over gRPC and over HTTP (protobuf and JSON). Log
// records are kept in OTLP's encoding as JSON, a line for those of one resource,
// which decode reads. What cannot be taken is told as partial success, and
// push-back with the time to come back after.
type OTLP struct {
	Counters
	o     OTLPOptions
	in    *intake
	ready chan struct{}
	addr  net.Addr
}

// NewOTLP returns a receiver of OpenTelemetry's logs.
func NewOTLP(o OTLPOptions) *OTLP {
	orDefault(&o.Limits.Unpacked, 8<<20)
	orDefault(&o.Limits.Requests, 16)
	o.Limits.Unpacked = min(o.Limits.Unpacked, maxHeld)
	r := &OTLP{o: o, ready: make(chan struct{})}
	r.in = newIntake(o.Limits, o.Authenticate, o.Now, o.Log, &r.Counters)
	return r
}

// Name is the receiver's name in the configuration.
func (o *OTLP) Name() string { return o.o.Name }

// Addr waits until the receiver listens and returns where, nil if ctx ends before.
func (o *OTLP) Addr(ctx context.Context) net.Addr {
	select {
	case <-o.ready:
		return o.addr
	case <-ctx.Done():
		return nil
	}
}

// Handler answers POST /v1/logs.
func (o *OTLP) Handler(sink Sink) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/logs", func(w http.ResponseWriter, r *http.Request) { o.http(w, r, sink) })
	return mux
}

const (
	otlpProto = "application/x-protobuf"
	otlpJSON  = "application/json"
)

func (o *OTLP) http(w http.ResponseWriter, r *http.Request, sink Sink) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != otlpProto && kind != otlpJSON {
		o.refuse(w, otlpJSON, &refusal{status: http.StatusUnsupportedMediaType, cause: "logs are taken as " + otlpProto + " or " + otlpJSON})
		return
	}
	t, err := o.in.begin(w, r)
	if err != nil {
		o.refuse(w, kind, refusalOf(err))
		return
	}
	defer t.end()
	body, err := io.ReadAll(io.LimitReader(t.body, o.in.limits.Unpacked+1))
	if err == nil && int64(len(body)) > o.in.limits.Unpacked {
		err = fmt.Errorf("more than %d bytes: %w", o.in.limits.Unpacked, errTooLarge)
	}
	if err != nil {
		o.refuse(w, kind, refusalOf(err))
		return
	}
	pack := t.packer(sink, formatJSON)
	answer, err := o.take(r.Context(), pack, body, kind == otlpJSON)
	if err != nil {
		var failed *sinkError
		if errors.As(err, &failed) {
			o.in.log.Warn("evidence not taken", "receiver", o.o.Name, "peer", t.peer, "error", failed.err)
			o.refuse(w, kind, sinkRefusal(failed.err))
			return
		}
		o.refuse(w, kind, refusalOf(err))
		return
	}
	if kind == otlpJSON {
		partial := map[string]any{}
		if p := answer.PartialSuccess; p != nil {
			partial["partialSuccess"] = map[string]any{"rejectedLogRecords": fmt.Sprint(p.RejectedLogRecords), "errorMessage": p.ErrorMessage}
		}
		writeJSON(w, http.StatusOK, partial)
		return
	}
	o.writeProto(w, http.StatusOK, answer)
}

func (o *OTLP) writeProto(w http.ResponseWriter, code int, m proto.Message) {
	body, err := proto.Marshal(m)
	if err != nil { // a text that is no UTF-8, and ours are
		o.in.log.Error("answer not encoded", "receiver", o.o.Name, "error", err)
		code = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", otlpProto)
	w.WriteHeader(code)
	_, _ = w.Write(body) // a sender that is gone has no use for its answer
}

// refuse answers with a google.rpc.Status, as OTLP asks.
func (o *OTLP) refuse(w http.ResponseWriter, kind string, ref *refusal) {
	o.in.refused(ref)
	ref.header(w.Header())
	if kind == otlpProto {
		o.writeProto(w, ref.status, &spb.Status{Message: ref.cause})
		return
	}
	writeJSON(w, ref.status, map[string]any{"message": ref.cause})
}

// take hands on the log records of a request.
func (o *OTLP) take(ctx context.Context, pack *packer, body []byte, isJSON bool) (*collogs.ExportLogsServiceResponse, error) {
	if isJSON {
		body = bytes.TrimSpace(body)
		switch {
		case len(body) > o.in.limits.Record:
			return nil, &refusal{status: http.StatusRequestEntityTooLarge, cause: fmt.Sprintf("a request of JSON has at most %d bytes: send less at once, or protobuf", o.in.limits.Record)}
		case !json.Valid(body) || body[0] != '{':
			return nil, &refusal{status: http.StatusBadRequest, cause: "the request is no JSON object"}
		case bytes.Contains(body, []byte(`"resourceLogs"`)):
			if err := pack.add(ctx, body); err != nil {
				return nil, err
			}
		}
		return new(collogs.ExportLogsServiceResponse), pack.flush(ctx)
	}
	w := otlpLines{max: o.in.limits.Record, line: func(line []byte) error { return pack.add(ctx, line) }}
	if err := w.request(body); err != nil {
		var failed *sinkError
		if errors.As(err, &failed) {
			return nil, err
		}
		return nil, &refusal{status: http.StatusBadRequest, cause: "the request cannot be read: " + err.Error()}
	}
	answer := new(collogs.ExportLogsServiceResponse)
	if w.rejected > 0 {
		o.Refused(w.rejected, fmt.Errorf("%s: otlp: %s", pack.base.Peer, w.cause))
		answer.PartialSuccess = &collogs.ExportLogsPartialSuccess{RejectedLogRecords: int64(w.rejected), ErrorMessage: w.cause}
	}
	return answer, pack.flush(ctx)
}

// Run serves gRPC until ctx ends.
func (o *OTLP) Run(ctx context.Context, sink Sink) error {
	if o.o.Listen == "" {
		close(o.ready)
		<-ctx.Done()
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.o.Listen)
	if err != nil {
		return fmt.Errorf("%s: cannot listen on %s: %w: choose another port or stop what listens there", o.o.Name, o.o.Listen, err)
	}
	o.addr = l.Addr()
	close(o.ready)
	limits := o.in.limits
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(int(limits.Unpacked)), grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(32), grpc.ConnectionTimeout(headerTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: limits.Idle, Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if o.o.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(o.o.TLS)))
	}
	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: collogs.LogsService_ServiceDesc.ServiceName,
		Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return o.export(ctx, dec, sink)
		}}},
	}, nil)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(&limitedListener{l, newConnLimit(limits, &o.Counters)}) }()
	select {
	case err := <-failed:
		return fmt.Errorf("%s: %w", o.o.Name, err)
	case <-ctx.Done():
	}
	stop := time.AfterFunc(shutdownTimeout, server.Stop)
	defer stop.Stop()
	server.GracefulStop()
	if err := <-failed; err != nil {
		return fmt.Errorf("%s: %w", o.o.Name, err)
	}
	return nil
}

// A rawRequest is a request as it came: OTLP's messages are read as they stand, since
// an empty log record of two bytes would become a hundred times as many.
type rawRequest struct{ body []byte }

// rawCodec hands requests on undecoded, and encodes answers.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*rawRequest)
	if !ok {
		return fmt.Errorf("a request cannot become a %T", v)
	}
	r.body = data.Materialize()
	return nil
}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("a %T is no message", v)
	}
	body, err := proto.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(body)}, err
}

// export takes one request of gRPC. It is read only once its sender is known.
func (o *OTLP) export(ctx context.Context, dec func(any) error, sink Sink) (any, error) {
	from := ""
	if p, ok := peer.FromContext(ctx); ok {
		from = peerName(p.Addr)
	}
	g, err := o.grpcGrant(ctx)
	if err != nil {
		return nil, o.grpcRefuse(refusalOf(err))
	}
	select {
	case o.in.slots <- struct{}{}:
		defer func() { <-o.in.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(retryAtLeast):
		return nil, o.grpcRefuse(&refusal{http.StatusServiceUnavailable, "too many requests at once: send again later", retryAtLeast})
	}
	slow := time.AfterFunc(o.in.limits.Slow, func() {
		o.in.log.Warn("a request takes long", "receiver", o.o.Name, "peer", from)
	})
	defer slow.Stop()
	var r rawRequest
	if err := dec(&r); err != nil {
		return nil, err // in gRPC's own words: too large, damaged, gone
	}
	pack := &packer{sink: sink, limits: o.in.limits, counts: o.in.counts, now: o.in.now,
		base: model.Batch{Tenant: g.Tenant, Source: g.Source, Peer: from, Format: formatJSON}}
	answer, err := o.take(ctx, pack, r.body, false)
	var failed *sinkError
	switch {
	case errors.As(err, &failed):
		o.in.log.Warn("evidence not taken", "receiver", o.o.Name, "peer", from, "error", failed.err)
		return nil, o.grpcRefuse(sinkRefusal(failed.err))
	case err != nil:
		return nil, o.grpcRefuse(refusalOf(err))
	}
	return answer, nil
}

func (o *OTLP) grpcGrant(ctx context.Context) (Grant, error) {
	h := http.Header{}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		for _, key := range [...]string{"authorization", "x-api-key"} {
			if v := md.Get(key); len(v) > 0 {
				h.Set(key, v[0])
			}
		}
	}
	return o.in.grantOf(ctx, h)
}

// grpcRefuse is a refusal in the words of gRPC.
func (o *OTLP) grpcRefuse(ref *refusal) error {
	o.in.refused(ref)
	code := codes.InvalidArgument
	switch ref.status {
	case http.StatusUnauthorized:
		code = codes.Unauthenticated
	case http.StatusTooManyRequests:
		code = codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	case http.StatusInternalServerError:
		code = codes.Internal
	}
	s := status.New(code, ref.cause)
	if ref.after > 0 {
		if with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(ref.after)}); err == nil {
			s = with
		}
	}
	return s.Err()
}
