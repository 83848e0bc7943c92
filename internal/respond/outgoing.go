package respond

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bounds of one exchange with a target.
const (
	sendTimeout = 15 * time.Second
	maxAnswer   = 64 << 10
	maxRetry    = time.Hour
)

// A Dialer opens a connection.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// inner are the networks that are nobody's on the internet: what stands there is this
// machine or one's own network, and a notification must not be a way to reach it.
var inner = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("224.0.0.0/3"), netip.MustParsePrefix("::/127"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// NewDialer returns a dialer that reaches the internet, and of one's own networks only
// those allowed. It judges the address that a name came to, at the moment of use.
func NewDialer(allowed []netip.Prefix) Dialer {
	d := &net.Dialer{Timeout: sendTimeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%q is no address", address)
		}
		ip := to.Addr().Unmap().WithZone("")
		for _, p := range allowed {
			if p.Contains(ip) {
				return nil
			}
		}
		for _, p := range inner {
			if p.Contains(ip) {
				return Permanent{fmt.Errorf("%s stands inside of one's own network; notify.allow_networks can allow it", ip)}
			}
		}
		return nil
	}}
	return d.DialContext
}

// NewClient returns an HTTP client that dials by d, bounds each exchange and follows
// no redirect: a target that moved is named anew by its owner.
func NewClient(d Dialer) *http.Client {
	return &http.Client{
		Timeout:       sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: d, ForceAttemptHTTP2: true, TLSHandshakeTimeout: sendTimeout, ResponseHeaderTimeout: sendTimeout,
			MaxResponseHeaderBytes: maxAnswer, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
		},
	}
}

// address reads the URL that a target was given.
func address(s string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("url is no address such as %s://example.org/path", schemes[0])
	}
	for _, x := range schemes {
		if u.Scheme == x {
			return u, nil
		}
	}
	return nil, fmt.Errorf("url begins with %q; expected %s", u.Scheme, strings.Join(schemes, " or "))
}

// post sends body as JSON and reads the answer into out, unless that is nil. What the
// target answers besides success becomes an error that says whether to try again. The
// URL is no part of any error: of some targets it is the secret.
func post(ctx context.Context, c *http.Client, to string, header http.Header, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return Permanent{err}
	}
	return send(ctx, c, http.MethodPost, to, "application/json", header, b, out)
}

func send(ctx context.Context, c *http.Client, method, to, kind string, header http.Header, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return Permanent{errors.New("url cannot be used")}
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "catena")
	resp, err := c.Do(req)
	if err != nil {
		var p Permanent
		if errors.As(err, &p) {
			return p
		}
		var u *url.Error
		if errors.As(err, &u) { // which holds the URL
			err = u.Err
		}
		return fmt.Errorf("send: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode >= 300 {
		return refused(resp, answer)
	}
	if out == nil || err != nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	return nil
}

// refused says what an answer besides success means.
func refused(resp *http.Response, answer []byte) error {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(answer[:min(len(answer), 200)]), ""))
	err := fmt.Errorf("the target answered %d: %s", resp.StatusCode, text)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		if s, e := strconv.ParseFloat(resp.Header.Get("Retry-After"), 64); e == nil && s > 0 {
			return Later{min(time.Duration(min(s, 1e6)*float64(time.Second)), maxRetry), err}
		}
		return err
	case resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode >= 500:
		return err
	}
	return Permanent{err}
}
