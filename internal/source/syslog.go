package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// SyslogOptions are those of a Syslog. At least one address is given.
type SyslogOptions struct {
	Name, Tenant string
	UDP, TCP     string // host:port, or empty
	TLSListen    string
	TLS          *tls.Config // of TLSListen; its ClientAuth says whether senders need a certificate
	// Allow are the networks that may send; none means all. Over UDP a sender can claim
	// any address.
	Allow []netip.Prefix
	// Limits.Record is 128 KiB by default here, and Limits.BatchBytes 256 KiB: each
	// connection may hold as much.
	Limits Limits
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: none
}

// Syslog receives messages over UDP (RFC 5426), TCP (RFC 6587, with octet counts or
// line ends) and TLS (RFC 5425). What the messages are, RFC 3164 or 5424 or a line
// of any kind, shows when they are decoded.
//
// Syslog has no acknowledgements. Over TCP a sender is slowed down by not being read;
// what UDP loses is counted, in the kernel too where it tells. On the end of ctx what
// was read is still handed on.
type Syslog struct {
	Counters
	o     SyslogOptions
	ready chan struct{}
	addrs []net.Addr
	held  atomic.Int64 // bytes that connections keep
}

// syslogHeld is how many bytes connections may keep together before those with the
// most unfinished are closed.
const syslogHeld = 256 << 20

// NewSyslog returns a receiver of syslog messages.
func NewSyslog(o SyslogOptions) *Syslog {
	orDefault(&o.Limits.Record, 128<<10)
	orDefault(&o.Limits.BatchBytes, 256<<10)
	o.Limits = o.Limits.WithDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Syslog{o: o, ready: make(chan struct{})}
}

// Name is the receiver's name in the configuration.
func (s *Syslog) Name() string { return s.o.Name }

// Addrs waits until the receiver listens and returns where: UDP, TCP, TLS, as far as
// asked for.
func (s *Syslog) Addrs(ctx context.Context) []net.Addr {
	select {
	case <-s.ready:
		return s.addrs
	case <-ctx.Done():
		return nil
	}
}

// grace is for how long after the end of its context a receiver tries to hand on
// what it read.
const grace = 5 * time.Second

// graceful returns a context that ends some time after ctx.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-late.Done():
		}
	})
	return late, func() { stop(); cancel() }
}

// Run listens until ctx ends.
func (s *Syslog) Run(ctx context.Context, sink Sink) error {
	late, cancel := graceful(ctx)
	defer cancel()
	config := new(net.ListenConfig)
	var packets net.PacketConn
	var listeners []net.Listener
	failed := func(addr string, err error) error {
		if packets != nil {
			_ = packets.Close() // nothing was received
		}
		for _, l := range listeners {
			_ = l.Close() // nothing was received
		}
		return fmt.Errorf("%s: cannot listen on %s: %w: choose another port, or allow this one (below 1024 only with the capability CAP_NET_BIND_SERVICE)", s.o.Name, addr, err)
	}
	if s.o.UDP != "" {
		p, err := config.ListenPacket(ctx, "udp", s.o.UDP)
		if err != nil {
			return failed(s.o.UDP, err)
		}
		packets = p
		s.addrs = append(s.addrs, p.LocalAddr())
	}
	limit := newConnLimit(s.o.Limits, &s.Counters)
	for _, a := range [...]struct {
		addr string
		tls  *tls.Config
	}{{s.o.TCP, nil}, {s.o.TLSListen, s.o.TLS}} {
		if a.addr == "" {
			continue
		}
		l, err := config.Listen(ctx, "tcp", a.addr)
		if err != nil {
			return failed(a.addr, err)
		}
		s.addrs = append(s.addrs, l.Addr())
		l = &limitedListener{l, limit}
		if a.tls != nil {
			l = tls.NewListener(l, a.tls)
		}
		listeners = append(listeners, l)
	}
	lost := 0
	if packets != nil {
		lost = kernelDrops(packets.LocalAddr()) // of other sockets on this port: none of ours
	}
	close(s.ready)
	var all sync.WaitGroup
	if packets != nil {
		all.Go(func() { s.udp(ctx, late, packets.(*net.UDPConn), lost, sink) })
	}
	for _, l := range listeners {
		all.Go(func() { s.accept(ctx, late, l, sink) })
	}
	all.Wait()
	return nil
}

// accept serves the connections of a listener until ctx ends.
func (s *Syslog) accept(ctx, late context.Context, l net.Listener, sink Sink) {
	var all sync.WaitGroup
	defer all.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // ends Accept
	defer stop()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close() // came too late
			}
			return
		}
		if err != nil { // out of file descriptors, most likely: others will close
			s.o.Log.Error("connection not accepted", "receiver", s.o.Name, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if from, err := netip.ParseAddrPort(c.RemoteAddr().String()); err != nil || !s.allowed(from.Addr()) {
			s.Refused(1, fmt.Errorf("%s: closed: its network may not send", peerName(c.RemoteAddr())))
			_ = c.Close() // nothing was read
			continue
		}
		all.Go(func() {
			defer func() { _ = c.Close() }() // all of it was read
			if err := s.connection(ctx, late, c, sink); err != nil {
				s.Refused(1, err)
				s.o.Log.Warn("connection closed", "receiver", s.o.Name, "error", err)
			}
		})
	}
}

// allowed tells whether an address may send.
func (s *Syslog) allowed(from netip.Addr) bool {
	from = from.Unmap().WithZone("")
	return len(s.o.Allow) == 0 || slices.ContainsFunc(s.o.Allow, func(p netip.Prefix) bool { return p.Contains(from) })
}

// connection reads the messages of one connection. Its error is why it ended before
// the sender ended it.
func (s *Syslog) connection(ctx, late context.Context, c net.Conn, sink Sink) error {
	peer := peerName(c.RemoteAddr())
	if t, ok := c.(*tls.Conn); ok {
		handshake, cancel := context.WithTimeout(ctx, headerTimeout)
		err := t.HandshakeContext(handshake)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: TLS: %w", peer, err)
		}
		if chain := t.ConnectionState().VerifiedChains; len(chain) > 0 {
			peer += " (" + clip(chain[0][0].Subject.CommonName, 100) + ")"
		}
	}
	// The end of ctx ends a read that waits.
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	retry := func(_ context.Context, b model.Batch) error { return deliver(late, sink, b, &s.Counters) }
	p := &packer{sink: retry, limits: s.o.Limits, counts: &s.Counters, now: s.o.Now, base: model.Batch{Tenant: s.o.Tenant, Source: s.o.Name, Peer: peer}}
	f := syslogFramer{max: s.o.Limits.Record}
	flush := func() error {
		n := p.records
		if err := p.flush(late); err != nil {
			s.Dropped(n, err)
			return fmt.Errorf("%s: evidence not taken: %w", peer, err)
		}
		return nil
	}
	mine := 0
	defer func() { s.held.Add(int64(-mine)) }()
	heard, begun := time.Now(), time.Time{} // when the last bytes came, and the message under way began
	var gathered time.Time                  // when the first message of the batch under way came
	for {
		if ctx.Err() != nil {
			return flush()
		}
		until := heard.Add(s.o.Limits.Idle)
		if !begun.IsZero() {
			until = begun.Add(s.o.Limits.Slow)
		}
		if p.records > 0 {
			until = gathered.Add(s.o.Limits.BatchDelay)
		}
		_ = c.SetReadDeadline(until) // a closed connection fails the read
		if ctx.Err() != nil {        // whose deadline may have been overwritten
			return flush()
		}
		n, err := c.Read(f.room())
		if n > 0 {
			heard = time.Now()
		}
		oversize, messages, taken, empty := f.oversize, 0, p.taken, p.records == 0
		ferr := f.read(n, func(m []byte) error { messages++; return p.add(late, m) })
		if d := f.oversize - oversize; d > 0 {
			s.Refused(d, fmt.Errorf("%s: a message of more than %d bytes", peer, f.max))
		}
		var failed *sinkError
		if errors.As(ferr, &failed) {
			s.Dropped(1, failed)
			return fmt.Errorf("%s: evidence not taken: %w", peer, failed.err)
		}
		if empty || p.taken > taken {
			gathered = heard
		}
		keeps := f.held() + cap(p.data)
		all := s.held.Add(int64(keeps - mine))
		mine = keeps
		if all > syslogHeld && len(f.buf) > 16<<10 {
			return errors.Join(fmt.Errorf("%s: closed: a message is under way and connections keep %d bytes together, which is more than they may", peer, all), flush())
		}
		switch {
		case len(f.buf) == 0:
			begun = time.Time{}
		case messages > 0 || begun.IsZero():
			begun = heard
		}
		switch {
		case ferr != nil:
			return errors.Join(fmt.Errorf("%s: %w", peer, ferr), flush())
		case errors.Is(err, os.ErrDeadlineExceeded), p.records > 0 && err == nil && (all > syslogHeld || time.Since(gathered) >= s.o.Limits.BatchDelay):
			if err := flush(); err != nil {
				return err
			}
			if !begun.IsZero() && time.Since(begun) >= s.o.Limits.Slow {
				return fmt.Errorf("%s: closed: a message was under way for %v", peer, s.o.Limits.Slow)
			}
			if time.Since(heard) >= s.o.Limits.Idle {
				return nil
			}
		case err != nil:
			// The last message of lines may lack its end.
			if m := f.rest(); len(m) > 0 {
				if err := p.add(late, m); err != nil {
					s.Dropped(1, err)
					return fmt.Errorf("%s: evidence not taken: %w", peer, err)
				}
			}
			if ferr := flush(); ferr != nil || errors.Is(err, io.EOF) {
				return ferr
			}
			return fmt.Errorf("%s: %w", peer, err)
		}
	}
}

// A syslogFramer cuts the bytes of a connection into messages, by octet counts or
// by line ends, as the first message says.
type syslogFramer struct {
	max      int
	buf      []byte // read and not yet a message
	space    []byte // where the next read goes
	counted  bool
	known    bool
	skip     int  // bytes of a counted message that is too large
	toLine   bool // inside a line that is too long
	oversize int  // messages that were too large
}

// room is where the next bytes are to be read to.
func (f *syslogFramer) room() []byte {
	if f.space == nil {
		f.space = make([]byte, 2<<10) // of thousands of connections most say little
	}
	return f.space
}

// held is how much memory the framer keeps.
func (f *syslogFramer) held() int { return cap(f.buf) + cap(f.space) }

var errFraming = errors.New("a message begins without its count of octets: the connection is closed, since nothing tells where the next begins")

// read takes n bytes of room and calls each for every whole message in them. The
// bytes of a message are good until it returns.
func (f *syslogFramer) read(n int, each func([]byte) error) error {
	data := f.space[:n]
	if len(f.buf) > 0 {
		f.buf = append(f.buf, data...)
		data = f.buf
	}
	rest, err := f.cut(data, each)
	f.buf = append(f.buf[:0], rest...)
	if n == len(f.space) && n < 64<<10 {
		f.space = make([]byte, 2*n)
	}
	if cap(f.buf) > 64<<10 && len(f.buf) < 4<<10 {
		f.buf = bytes.Clone(f.buf) // one large message does not hold memory for ever
	}
	return err
}

func (f *syslogFramer) cut(data []byte, each func([]byte) error) (rest []byte, err error) {
	for len(data) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(data))
			f.skip -= n
			data = data[n:]
			continue
		}
		if !f.known {
			counted, ok := octetCounted(data)
			if !ok {
				return data, nil
			}
			f.counted, f.known = counted, true
		}
		if f.counted {
			if data[0] == '\n' { // some senders end a counted message with a line end as well
				data = data[1:]
				continue
			}
			size, n := octetCount(data)
			switch {
			case n < 0:
				return nil, errFraming
			case n == 0:
				return data, nil
			case size > f.max:
				f.oversize++
				f.skip, data = size, data[n:]
				continue
			case len(data) < n+size:
				return data, nil
			}
			if m := trimMessage(data[n : n+size]); len(m) > 0 {
				if err := each(m); err != nil {
					return nil, err
				}
			}
			data = data[n+size:]
			continue
		}
		end := bytes.IndexByte(data, '\n')
		if z := bytes.IndexByte(data[:max(0, min(end, len(data)))], 0); z >= 0 && end >= 0 {
			end = z // some senders end messages with a zero byte
		} else if end < 0 {
			end = bytes.IndexByte(data, 0)
		}
		if end < 0 {
			if len(data) > f.max {
				if !f.toLine {
					f.oversize++
				}
				f.toLine = true
				return nil, nil
			}
			return data, nil
		}
		m := data[:end]
		data = data[end+1:]
		switch {
		case f.toLine:
			f.toLine = false
			continue
		case len(m) > f.max:
			f.oversize++
			continue
		}
		if m = trimMessage(m); len(m) > 0 {
			if err := each(m); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// rest is the message at the end of a connection that lacks its line end; one that
// is counted is not whole without its last byte.
func (f *syslogFramer) rest() []byte {
	if f.counted || f.toLine || !f.known && len(f.buf) == 0 {
		return nil
	}
	return trimMessage(f.buf)
}

// maxCount is how many digits a count of octets has at most.
const maxCount = 9

// octetCount reads "LENGTH " at the start of data: n is how many bytes that takes,
// 0 if more are needed and -1 if it is none.
func octetCount(data []byte) (size, n int) {
	for n < len(data) && n <= maxCount {
		c := data[n]
		n++
		switch {
		case c == ' ' && n > 1:
			return size, n
		case c < '0' || c > '9' || n == 1 && c == '0':
			return 0, -1
		}
		size = 10*size + int(c-'0')
	}
	if n > maxCount {
		return 0, -1
	}
	return 0, 0
}

// octetCounted tells how the messages of a connection are told apart, by its first
// bytes: a count is followed by the < that begins a message. ok is false while there
// are too few.
func octetCounted(data []byte) (counted, ok bool) {
	_, n := octetCount(data)
	switch {
	case n < 0:
		return false, true
	case n == 0 || len(data) == n:
		return false, false
	}
	return data[n] == '<', true
}

// trimMessage cuts off what ends a message beyond its text.
func trimMessage(m []byte) []byte { return bytes.TrimRight(m, "\r\n\x00 ") }

// Bounds of what waits to be handed on of UDP: batches, and senders told apart in
// one of them's delay. What comes of further ones shares a batch.
const (
	udpQueue   = 512
	udpSenders = 256
	udpWorkers = 16
	udpBuffer  = 8 << 20 // bytes asked of the kernel for bursts
	several    = "several"
)

// udp reads datagrams, each a message, and hands them on by sender. lost is what the
// kernel had dropped before.
func (s *Syslog) udp(ctx, late context.Context, c *net.UDPConn, lost int, sink Sink) {
	if err := c.SetReadBuffer(udpBuffer); err != nil {
		s.o.Log.Warn("no larger buffer for UDP", "receiver", s.o.Name, "error", err)
	}
	queue := make(chan model.Batch, udpQueue)
	var workers sync.WaitGroup
	for range udpWorkers {
		workers.Go(func() {
			for b := range queue {
				n := bytes.Count(b.Data, []byte("\n"))
				if err := deliver(late, sink, b, &s.Counters); err != nil {
					s.Dropped(n, fmt.Errorf("%s: evidence not taken: %w", b.Peer, err))
					continue
				}
				s.Took(b, n)
			}
		})
	}
	u := udpGather{s: s, queue: queue, packers: map[netip.Addr]*packer{}}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 64<<10)
	flushAt, lostAt := time.Time{}, time.Time{}
	for ctx.Err() == nil {
		now := time.Now()
		if u.held > 0 && !now.Before(flushAt) {
			u.flush(late)
		}
		if now.After(lostAt) {
			if n := kernelDrops(c.LocalAddr()); n > lost {
				s.Dropped(n-lost, fmt.Errorf("UDP: %d datagrams came faster than they were read: use TCP, or a larger net.core.rmem_max", n-lost))
				lost = n
			}
			lostAt = now.Add(time.Second)
		}
		wait := time.Second
		if u.held > 0 {
			wait = flushAt.Sub(now)
		}
		_ = c.SetReadDeadline(now.Add(max(wait, time.Millisecond))) // a closed socket fails the read
		if ctx.Err() != nil {                                       // its deadline may have been overwritten
			break
		}
		for { // without looking at the clock while there is something to read
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					s.o.Log.Warn("datagram not read", "receiver", s.o.Name, "error", err)
					time.Sleep(10 * time.Millisecond)
				}
				break
			}
			if u.held == 0 {
				flushAt = time.Now().Add(s.o.Limits.BatchDelay)
			}
			u.add(late, from.Addr().Unmap(), trimMessage(buf[:n]))
			if u.held == 1 || u.held%256 == 0 {
				break
			}
		}
	}
	u.flush(late)
	_ = c.Close() // nothing more is read
	close(queue)
	workers.Wait()
}

// A udpGather gathers messages by their senders.
type udpGather struct {
	s       *Syslog
	queue   chan<- model.Batch
	packers map[netip.Addr]*packer
	held    int // messages since the last flush
}

func (u *udpGather) add(ctx context.Context, from netip.Addr, message []byte) {
	if len(message) == 0 {
		return
	}
	if !u.s.allowed(from) {
		u.s.Dropped(1, fmt.Errorf("%s: its network may not send", from))
		return
	}
	if len(message) > u.s.o.Limits.Record {
		u.s.Dropped(1, fmt.Errorf("%s: a message of more than %d bytes", from, u.s.o.Limits.Record))
		return
	}
	p := u.packers[from]
	if p == nil {
		peer := from.String()
		if len(u.packers) >= udpSenders {
			from, peer = netip.Addr{}, several
			p = u.packers[from]
		}
		if p == nil {
			p = u.packer(peer)
			u.packers[from] = p
		}
	}
	u.held++
	if err := p.add(ctx, message); err != nil {
		u.s.Dropped(1, err)
	}
}

// packer returns one that puts its batches into the queue, or drops and counts them
// when that is full: a socket that is not read drops them as well, but tells nobody.
func (u *udpGather) packer(peer string) *packer {
	enqueue := func(_ context.Context, b model.Batch) error {
		select {
		case u.queue <- b:
		default:
			u.s.Dropped(bytes.Count(b.Data, []byte("\n")), fmt.Errorf("UDP from %s: the queue is full", b.Peer))
		}
		return nil
	}
	return &packer{sink: enqueue, limits: u.s.o.Limits, counts: new(Counters), now: u.s.o.Now,
		base: model.Batch{Tenant: u.s.o.Tenant, Source: u.s.o.Name, Peer: peer}}
}

// flush hands on all that was gathered, and forgets the senders.
func (u *udpGather) flush(ctx context.Context) {
	for _, p := range u.packers {
		if err := p.flush(ctx); err != nil {
			u.s.Dropped(1, err)
		}
	}
	clear(u.packers)
	u.held = 0
}

// kernelDrops returns how many datagrams the kernel dropped that were for a UDP
// address of ours, as Linux tells in /proc/net/udp (proc(5)); 0 elsewhere.
func kernelDrops(a net.Addr) int {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return 0
	}
	port := fmt.Sprintf(":%04X", u.Port)
	dropped := 0
	for _, name := range [...]string{"/proc/net/udp", "/proc/net/udp6"} {
		table, err := os.ReadFile(name)
		if err != nil {
			continue // not Linux, or no IPv6
		}
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line)
			if len(fields) < 13 || !strings.HasSuffix(fields[1], port) {
				continue
			}
			if n, err := strconv.Atoi(fields[len(fields)-1]); err == nil {
				dropped += n
			}
		}
	}
	return dropped
}
