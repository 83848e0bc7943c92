package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
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
		Unpacked: int64(c.Limits.Body), Body: int64(c.Limits.Body), Record: int(c.Limits.Line),
		Connections: c.Limits.Connections, PeerConnections: c.Limits.PerPeer,
	}
}

// mounts are the handlers of receivers that share the server's address.
func (s *Service) mounts(c config.Config) (map[string]http.Handler, error) {
	log := s.log
	push := source.NewPush(source.PushOptions{Name: "http", Limits: s.limits(c), Authenticate: s.authenticate, Now: s.o.Now, Log: log})
	s.listen = append(s.listen, &listening{receiver: passive{push, "http"}, kind: "http"})
	return map[string]http.Handler{
		"/ingest/":   http.StripPrefix("/ingest", push.Handler(s.sink)),
		"/_bulk":     push.Handler(s.sink),
		"/services/": push.Handler(s.sink),
	}, nil
}

// statistics are what all that takes evidence counts.
type statistics interface{ Stats() source.Stats }

// passive is a receiver whose handler the server serves: it has nothing to run.
type passive struct {
	statistics
	name string
}

func (p passive) Name() string { return p.name }
func (p passive) Run(ctx context.Context, _ source.Sink) error {
	<-ctx.Done()
	return nil
}

// active makes the receivers that listen, follow or fetch by themselves.
func (s *Service) active(c config.Config) error {
	add := func(kind, tenant string, r source.Receiver, err error) error {
		if err != nil {
			return err
		}
		s.listen = append(s.listen, &listening{receiver: r, kind: kind, tenant: tenant})
		return nil
	}
	x := &c.Receivers
	for _, y := range x.Syslog {
		o := source.SyslogOptions{Name: y.Name, Tenant: y.Tenant, Limits: s.limits(c), Now: s.o.Now, Log: s.log}
		o.Limits.Record = 0 // its own default
		switch y.Network {
		case "udp":
			o.UDP = y.Listen
		case "tcp":
			o.TCP = y.Listen
		case "tls":
			cert, err := s.certificate(y.TLS, y.Listen)
			if err != nil {
				return fmt.Errorf("receivers.syslog %s: %w", y.Name, err)
			}
			o.TLSListen, o.TLS = y.Listen, cert
		}
		if err := add("syslog", y.Tenant, source.NewSyslog(o), nil); err != nil {
			return err
		}
	}
	return nil
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
