package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// CheckListen says why a server must not listen on an address without TLS: passwords
// and evidence would cross the network in the clear. It may on loopback, and where the
// user says that something in front of it speaks TLS.
func CheckListen(address string, withTLS, allowPlain bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listen address %q: %w; want host:port, such as 127.0.0.1:8080", address, err)
	}
	if withTLS || allowPlain || host == "localhost" {
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen address %q is not loopback and there is no TLS: give certificate files, let one be made, or allow plain HTTP if a proxy in front speaks TLS", address)
}

// A Certificate is a pair of files that is read again after it changes, so that a
// renewed certificate holds without a restart.
type Certificate struct {
	certFile, keyFile string
	now               func() time.Time

	mu      sync.Mutex
	cert    *tls.Certificate
	read    [2]stampOf // of the files as read
	checked time.Time
	err     error // why the files of today were not taken
}

type stampOf struct {
	mod  time.Time
	size int64
}

// certificateEvery is how often the files are looked at, at most.
const certificateEvery = 10 * time.Second

// LoadCertificate reads a certificate with its chain and its key, both PEM.
func LoadCertificate(certFile, keyFile string, now func() time.Time) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, now: now}
	if c.refresh(); c.cert == nil {
		return nil, fmt.Errorf("TLS certificate: %w", c.err)
	}
	return c, nil
}

// refresh reads the files if they changed. Files that cannot be used leave the
// certificate that was.
func (c *Certificate) refresh() {
	c.checked = c.now()
	var st [2]stampOf
	for i, f := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(f)
		if err != nil {
			c.err = err
			return
		}
		st[i] = stampOf{info.ModTime(), info.Size()}
	}
	if st == c.read {
		return
	}
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.err = fmt.Errorf("%s, %s: %w", c.certFile, c.keyFile, err)
		return
	}
	c.cert, c.read, c.err = &cert, st, nil
}

// Expires returns when the certificate in use ends, and why files that came later were
// not taken, nil if they were.
func (c *Certificate) Expires() (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cert.Leaf.NotAfter, c.err
}

// Config is what a listener needs to speak TLS by the certificate: 1.2 and later.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.now().Sub(c.checked) >= certificateEvery {
				c.refresh()
			}
			return c.cert, nil
		},
	}
}

// SelfMade returns the certificate in a folder, made there for the given host names and
// addresses if there is none, if it lacks one of them or if it ends within 30 days. No
// browser trusts it by itself: compare its fingerprint (Fingerprint) at the first visit.
func SelfMade(dir string, hosts []string, now func() time.Time) (*Certificate, error) {
	certFile, keyFile := filepath.Join(dir, "self-made.crt"), filepath.Join(dir, "self-made.key")
	old, err := tls.LoadX509KeyPair(certFile, keyFile)
	switch {
	case err == nil && fits(old.Leaf, hosts, now()):
		return LoadCertificate(certFile, keyFile, now)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("TLS certificate made earlier: %w; remove %s and %s to have a new one made", err, certFile, keyFile)
	}
	if err := makeCertificate(certFile, keyFile, hosts, now()); err != nil {
		return nil, fmt.Errorf("make a TLS certificate: %w", err)
	}
	return LoadCertificate(certFile, keyFile, now)
}

func fits(c *x509.Certificate, hosts []string, now time.Time) bool {
	if now.Before(c.NotBefore) || now.AddDate(0, 0, 30).After(c.NotAfter) {
		return false
	}
	for _, h := range hosts {
		if c.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

func makeCertificate(certFile, keyFile string, hosts []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Catena, self-made"},
		NotBefore:             now.Add(-time.Hour), // clocks of clients may be behind
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	priv, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(keyFile), 0o700); err != nil {
		return err
	}
	// The key first: a certificate without its key would not be made again.
	if err := writePEM(keyFile, "PRIVATE KEY", priv, 0o600); err != nil {
		return err
	}
	return writePEM(certFile, "CERTIFICATE", cert, 0o644)
}

func writePEM(file, kind string, der []byte, mode fs.FileMode) error {
	tmp := file + ".new"
	if err := os.WriteFile(tmp, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// Fingerprint is the SHA-256 of the certificate in use, as browsers show it.
func (c *Certificate) Fingerprint() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := digestOf(string(c.cert.Certificate[0]))
	out := make([]byte, 0, 3*len(sum))
	for i, b := range sum {
		if i > 0 {
			out = append(out, ':')
		}
		out = fmt.Appendf(out, "%02X", b)
	}
	return string(out)
}
