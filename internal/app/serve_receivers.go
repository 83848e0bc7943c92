package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/respond"
	"github.com/catena-sec/catena/internal/source"
	"github.com/catena-sec/catena/internal/store"
)

// A listening is one receiver that runs.
type listening struct {
	receiver source.Receiver
	kind     string
	tenant   string // empty if its senders say whose evidence it is
	failed   atomic.Pointer[string]
}

func (l *listening) failure() string {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return ""
}

// sink hands a batch to the engine of its tenant.
func (s *Service) sink(ctx context.Context, b model.Batch) error {
	t, err := s.tenant(b.Tenant)
	if err != nil {
		return err
	}
	return t.live.Sink(ctx, b)
}

// authenticate tells what an ingest token gives.
func (s *Service) authenticate(ctx context.Context, token string) (source.Grant, error) {
	tenant, name, err := s.server.IngestToken(ctx, token)
	if errors.Is(err, store.ErrNotFound) {
		return source.Grant{}, source.ErrToken
	}
	return source.Grant{Tenant: tenant, Source: name}, err
}

func (s *Service) limits(c config.Config) source.Limits {
	return source.Limits{
		Body: int64(c.Limits.Body), Record: int(c.Limits.Line),
		Connections: c.Limits.Connections, PeerConnections: c.Limits.PerPeer,
	}
}

// mounts are the handlers of receivers that share the server's address.
func (s *Service) mounts(c config.Config) (map[string]http.Handler, error) {
	log := s.log
	push := source.NewPush(source.PushOptions{Name: "http", Limits: s.limits(c), Authenticate: s.authenticate, Format: s.format, Now: s.o.Now, Log: log})
	s.listen = append(s.listen, &listening{receiver: passive{push}, kind: "http"})
	out := map[string]http.Handler{
		"/ingest/":   http.StripPrefix("/ingest", push.Handler(s.sink)),
		"/services/": push.Handler(s.sink),
	}
	// OTLP over HTTP is served here, and over gRPC at an address of its own.
	o := source.OTLPOptions{Name: "otlp", Listen: c.Receivers.OTLP.GRPC, Authenticate: s.authenticate, Now: s.o.Now, Log: s.log}
	var err error
	if o.TLS, err = s.certificate(c.Receivers.OTLP.TLS, o.Listen); err != nil {
		return nil, fmt.Errorf("receivers.otlp.tls: %w", err)
	}
	otlp := source.NewOTLP(o)
	out["/v1/logs"] = otlp.Handler(s.sink)
	var r source.Receiver = otlp
	if o.Listen == "" {
		r = passive{otlp}
	}
	s.listen = append(s.listen, &listening{receiver: r, kind: "otlp"})
	for _, w := range c.Receivers.Webhook {
		secret, err := w.Secret.Value()
		if err != nil {
			return nil, fmt.Errorf("receivers.webhooks %s: %w", w.Name, err)
		}
		o := source.WebhookOptions{Name: w.Name, Tenant: w.Tenant, Kind: source.WebhookKind(w.Kind), Secret: secret, Now: s.o.Now, Log: s.log}
		if w.Topic != "" {
			o.Topics = []string{w.Topic}
		}
		h, err := source.NewWebhook(o)
		if err != nil {
			return nil, fmt.Errorf("receivers.webhooks %s: %w", w.Name, err)
		}
		s.listen = append(s.listen, &listening{receiver: passive{h}, kind: "webhook", tenant: w.Tenant})
		out["/hooks/"+w.Name] = h.Handler(s.sink)
	}
	return out, nil
}

// mounted is a receiver whose handler the server serves.
type mounted interface {
	Name() string
	Stats() source.Stats
}

// passive is a mounted one, which has nothing to run.
type passive struct{ mounted }

func (p passive) Run(ctx context.Context, _ source.Sink) error {
	<-ctx.Done()
	return nil
}

// format names the decoder of what begins so; empty if none is sure.
func (s *Service) format(head []byte) string {
	if d := s.app.registry.Detect(head); d != nil {
		return d.Name()
	}
	return ""
}

// kept is the file in which a receiver keeps how far it has come.
func kept(c config.Config, kind, name string) (string, error) {
	dir := filepath.Join(c.Data, "cursors")
	sum := sha256.Sum256([]byte(kind + "\x00" + name)) // a name need not be one of a file
	return filepath.Join(dir, kind+"-"+hex.EncodeToString(sum[:8])), os.MkdirAll(dir, 0o700)
}

// active makes the receivers that listen, follow or fetch by themselves.
func (s *Service) active(c config.Config) error {
	x := &c.Receivers
	add := func(kind, tenant string, r source.Receiver) {
		s.listen = append(s.listen, &listening{receiver: r, kind: kind, tenant: tenant})
	}
	for _, y := range x.Syslog {
		r, err := s.syslog(c, y)
		if err != nil {
			return fmt.Errorf("receivers.syslog %s: %w", y.Name, err)
		}
		add("syslog", y.Tenant, r)
	}
	for _, y := range x.Follow {
		cursors, err := kept(c, "follow", y.Name)
		if err != nil {
			return err
		}
		add("follow", y.Tenant, source.NewFollow(source.FollowOptions{
			Name: y.Name, Tenant: y.Tenant, Paths: y.Paths, Cursors: cursors, Tail: y.Begin == "end", FileFormat: y.Format,
			Format: s.format, Limits: s.limits(c), Now: s.o.Now, Log: s.log,
		}))
	}
	for _, y := range x.NATS {
		t, err := clientTLS(y.TLS)
		if err != nil {
			return fmt.Errorf("receivers.nats %s: %w", y.Name, err)
		}
		r, err := source.NewNATS(source.NATSOptions{
			Name: y.Name, Tenant: y.Tenant, URLs: y.URLs, Stream: y.Stream, Subject: y.Subject, Credentials: y.Credentials, TLS: t,
			Limits: s.limits(c), Now: s.o.Now, Log: s.log,
		})
		if err != nil {
			return fmt.Errorf("receivers.nats %s: %w", y.Name, err)
		}
		add("nats", y.Tenant, r)
	}
	for _, y := range x.Kafka {
		r, err := s.kafka(c, y)
		if err != nil {
			return fmt.Errorf("receivers.kafka %s: %w", y.Name, err)
		}
		add("kafka", y.Tenant, r)
	}
	for _, y := range x.S3 {
		r, err := s.bucket(c, y)
		if err != nil {
			return fmt.Errorf("receivers.s3 %s: %w", y.Name, err)
		}
		add("s3", y.Tenant, r)
	}
	return nil
}

func (s *Service) syslog(c config.Config, y config.Syslog) (source.Receiver, error) {
	o := source.SyslogOptions{Name: y.Name, Tenant: y.Tenant, Limits: s.limits(c), Now: s.o.Now, Log: s.log}
	o.Limits.Record = 0 // its own default
	var err error
	if o.Allow, err = respond.Networks(y.Allow); err != nil {
		return nil, err
	}
	switch y.Network {
	case "udp":
		o.UDP = y.Listen
	case "tcp":
		o.TCP = y.Listen
	case "tls":
		cert, err := s.certificate(y.TLS, y.Listen)
		if err != nil {
			return nil, err
		}
		o.TLSListen, o.TLS = y.Listen, cert
	}
	return source.NewSyslog(o), nil
}

func (s *Service) kafka(c config.Config, y config.Kafka) (source.Receiver, error) {
	password, err := y.Password.Value()
	if err != nil {
		return nil, err
	}
	o := source.KafkaOptions{
		Name: y.Name, Tenant: y.Tenant, Brokers: y.Brokers, Topics: y.Topics, Group: y.Group, FromStart: y.Begin == "start",
		Limits: s.limits(c), Now: s.o.Now, Log: s.log,
	}
	if y.User != "" {
		o.SASL, o.User, o.Password = y.SASL, y.User, password
	}
	if y.UseTLS {
		if o.TLS, err = clientTLS(y.TLS); err != nil {
			return nil, err
		}
		if o.TLS == nil {
			o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	return source.NewKafka(o)
}

func (s *Service) bucket(c config.Config, y config.S3) (source.Receiver, error) {
	secret, err := y.SecretKey.Value()
	if err != nil {
		return nil, err
	}
	cursor, err := kept(c, "s3", y.Name)
	if err != nil {
		return nil, err
	}
	l := s.limits(c)
	l.Body, l.Unpacked = 0, 0 // its own defaults: objects are read as a stream
	return source.NewS3(source.S3Options{
		Name: y.Name, Tenant: y.Tenant, Endpoint: y.Endpoint, Region: y.Region, Bucket: y.Bucket, Prefix: y.Prefix, AccessKey: y.AccessKey, SecretKey: secret,
		PlainHTTP: y.PlainHTTP, Every: time.Duration(y.Every), Cursor: cursor, Format: s.format, Limits: l, Now: s.o.Now, Log: s.log,
	})
}

// runReceiver runs one receiver until ctx ends. One that fails says so in its health;
// the others go on.
func (s *Service) runReceiver(ctx context.Context, l *listening) {
	err := l.receiver.Run(ctx, s.sink)
	if err == nil || ctx.Err() != nil {
		return
	}
	text := err.Error()
	l.failed.Store(&text)
	s.log.Error("a receiver stopped", "receiver", l.receiver.Name(), "cause", err)
}
