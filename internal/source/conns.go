package source

import (
	"fmt"
	"net"
	"sync"
)

// A connLimit bounds the connections of one listener, in all and of one address, so
// that one sender cannot take the room of all.
type connLimit struct {
	l      Limits
	counts *Counters

	mu   sync.Mutex
	all  int
	peer map[string]int
}

func newConnLimit(l Limits, c *Counters) *connLimit {
	return &connLimit{l: l, counts: c, peer: map[string]int{}}
}

// enter says why peer may not connect, nil if it may; it leaves with leave then.
func (c *connLimit) enter(peer string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.all >= c.l.Connections:
		return fmt.Errorf("%s: closed: %d connections are open, which is the limit", peer, c.all)
	case c.peer[peer] >= c.l.PeerConnections:
		return fmt.Errorf("%s: closed: it has %d connections open, which is the limit for one address", peer, c.peer[peer])
	}
	c.all++
	c.peer[peer]++
	c.counts.Connected(1)
	return nil
}

func (c *connLimit) leave(peer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	c.counts.Connected(-1)
	if c.peer[peer]--; c.peer[peer] <= 0 {
		delete(c.peer, peer)
	}
}

// peerName is an address without its port, which says nothing of who it is.
func peerName(a net.Addr) string {
	if a == nil {
		return ""
	}
	return hostOf(a.String())
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// A limitedListener closes the connections beyond a limit as they come.
type limitedListener struct {
	net.Listener
	limit *connLimit
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerName(c.RemoteAddr())
		if err := l.limit.enter(peer); err != nil {
			l.limit.counts.Refused(1, err)
			_ = c.Close() // it was never used
			continue
		}
		return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.limit.leave(peer) })}, nil
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
