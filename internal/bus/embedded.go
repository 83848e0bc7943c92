package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embedded is a nats-server inside this process that listens nowhere.
type embedded struct {
	o    Options
	log  *slog.Logger
	lock *os.File

	mu  sync.Mutex
	srv *server.Server

	broken atomic.Pointer[string] // what write failed: only a restart mends the stream
	disk   sync.Mutex
	free   int64 // bytes free on the disk when asked, less what was written since
	asked  time.Time
}

func startEmbedded(o Options, log *slog.Logger) (*embedded, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	// nats-server does not keep a second process out of its folder, and two would
	// destroy the streams.
	lock, err := lockFile(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("another process uses it, stop that one or give another folder: %w", err)
	}
	e := &embedded{o: o, log: log, lock: lock}
	if err := e.start(); err != nil {
		lock.Close()
		return nil, err
	}
	return e, nil
}

func (e *embedded) start() error {
	logger := &natsLog{log: e.log, failed: func(text string) { e.broken.Store(&text) }}
	srv, err := server.NewServer(&server.Options{
		ServerName: "catena",
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   e.o.Dir,
		SyncAlways: !e.o.NoSync,
		MaxPayload: maxFrame + 64<<10, // and its headers
		// The limits of a stream are reserved: with the default, a part of what is free
		// at start, the tenth tenant could be refused on a disk that is almost empty.
		JetStreamMaxStore:  1 << 60,
		JetStreamMaxMemory: 64 << 20,
	})
	if err != nil {
		return err
	}
	srv.SetLoggerV2(logger, false, false, false)
	e.broken.Store(nil)
	go srv.Start()
	if !srv.ReadyForConnections(30*time.Second) || !srv.JetStreamEnabled() {
		srv.Shutdown()
		srv.WaitForShutdown()
		if why := logger.fatal.Load(); why != nil {
			return errors.New(*why)
		}
		return errors.New("the embedded nats-server did not become ready within 30 s")
	}
	e.mu.Lock()
	e.srv = srv
	e.mu.Unlock()
	return nil
}

// InProcessConn is what the client calls to connect, and again after a restart.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	srv := e.srv
	e.mu.Unlock()
	if srv == nil {
		return nil, errors.New("the embedded nats-server is not running")
	}
	return srv.InProcessConn()
}

func (e *embedded) shutdown() {
	e.mu.Lock()
	srv := e.srv
	e.srv = nil
	e.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

func (e *embedded) stop() {
	e.shutdown()
	e.lock.Close()
}

func (e *embedded) restart() error {
	e.shutdown()
	return e.start()
}

func (e *embedded) healthy() bool {
	e.mu.Lock()
	srv := e.srv
	e.mu.Unlock()
	return srv != nil && srv.JetStreamEnabled() && e.broken.Load() == nil
}

// trouble returns why the server stores nothing, nil if it knows of no reason.
func (e *embedded) trouble() error {
	if text := e.broken.Load(); text != nil {
		return errors.New(*text)
	}
	return nil
}

// roomy tells whether the disk has MinFree bytes after n more are written. The system
// is asked a few times a second at most.
func (e *embedded) roomy(n int) bool {
	e.disk.Lock()
	defer e.disk.Unlock()
	e.free -= int64(n)
	if e.free < e.o.MinFree || time.Since(e.asked) > 250*time.Millisecond {
		free, err := freeSpace(e.o.Dir)
		if err != nil {
			free = 1 << 62 // a system that cannot say is not held up
		}
		e.free, e.asked = free-int64(n), time.Now()
	}
	return e.free >= e.o.MinFree
}

// natsLog is nats-server's logger.
type natsLog struct {
	log    *slog.Logger
	fatal  atomic.Pointer[string]
	failed func(text string) // a stream cannot write any more
}

func (l *natsLog) Noticef(format string, v ...any) {
	l.log.Debug("queue: " + fmt.Sprintf(format, v...))
}
func (l *natsLog) Debugf(string, ...any) {}
func (l *natsLog) Tracef(string, ...any) {}

func (l *natsLog) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") {
		return // a frame is that large only for the largest of batches; all others end at 1 MiB
	}
	l.log.Warn("queue: " + fmt.Sprintf(format, v...))
}

func (l *natsLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	// Of a failed write nats-server tells its log and nobody else: the stream answers
	// no publisher from then on.
	if strings.Contains(text, "critical write error") {
		l.failed(text)
	}
	l.log.Error("queue: " + text)
}

func (l *natsLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.fatal.Store(&text)
	l.log.Error("queue: " + text)
}
