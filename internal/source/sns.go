package source

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what Amazon signs with unless a topic says otherwise
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// An snsMessage is what Amazon's Simple Notification Service posts.
type snsMessage struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string
	TopicARN         string `json:"TopicArn"`
	Subject          *string
	Message          string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	SubscribeURL     string
}

// Types of messages.
const (
	snsNotification = "Notification"
	snsSubscribe    = "SubscriptionConfirmation"
	snsUnsubscribe  = "UnsubscribeConfirmation"
)

// snsHost is where Amazon serves its certificates and confirms subscriptions: asking
// any other host would let a sender make us call whom he likes.
var snsHost = regexp.MustCompile(`^sns\.[a-z0-9-]{3,30}\.amazonaws\.com(\.cn)?$`)

// Bounds of a verifier.
const (
	snsOld      = time.Hour // age of a message; Amazon tries for less
	snsCerts    = 16
	snsCertSize = 64 << 10
)

// An snsVerifier checks that messages are Amazon's, of topics that may send, and
// answers their subscriptions.
type snsVerifier struct {
	topics []string
	now    func() time.Time
	client *http.Client

	mu    sync.Mutex
	certs map[string]*x509.Certificate // by URL
}

func newSNSVerifier(topics []string, transport http.RoundTripper, now func() time.Time) *snsVerifier {
	if transport == nil {
		transport = &http.Transport{TLSHandshakeTimeout: headerTimeout, DisableKeepAlives: true}
	}
	return &snsVerifier{topics: topics, now: now, certs: map[string]*x509.Certificate{}, client: &http.Client{
		Transport: transport, Timeout: headerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// verify reads a message and answers a subscription. Its error is a *refusal.
func (v *snsVerifier) verify(ctx context.Context, body []byte) (m snsMessage, err error) {
	refuse := func(status int, cause string) (snsMessage, error) {
		return m, &refusal{status: status, cause: "sns: " + cause}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return refuse(http.StatusBadRequest, "not a message of the service: raw delivery has no signature, switch it off")
	}
	if !slices.Contains(v.topics, m.TopicARN) {
		return refuse(http.StatusUnauthorized, "topic "+clip(m.TopicARN, 200)+" is not among those that may send")
	}
	at, err := time.Parse(time.RFC3339, m.Timestamp)
	if age := v.now().Sub(at); err != nil || age.Abs() > snsOld {
		return refuse(http.StatusUnauthorized, "its time is not within an hour of ours")
	}
	signed := m.signed()
	if signed == nil {
		return refuse(http.StatusBadRequest, "type "+clip(m.Type, 40)+" is not known")
	}
	cert, err := v.certificate(ctx, m.SigningCertURL)
	if err != nil {
		return m, err
	}
	if err := checkSNS(cert, m, signed); err != nil {
		return refuse(http.StatusUnauthorized, err.Error())
	}
	if m.Type == snsSubscribe {
		if err := v.confirm(ctx, m.SubscribeURL); err != nil {
			return m, err
		}
	}
	return m, nil
}

// signed is what the signature is of: names and values of some members, a line each,
// in the order of the names. nil if the type is not known.
func (m snsMessage) signed() []byte {
	var b bytes.Buffer
	add := func(name, value string) { b.WriteString(name + "\n" + value + "\n") }
	add("Message", m.Message)
	add("MessageId", m.MessageID)
	switch m.Type {
	case snsNotification:
		if m.Subject != nil {
			add("Subject", *m.Subject)
		}
	case snsSubscribe, snsUnsubscribe:
		add("SubscribeURL", m.SubscribeURL)
	default:
		return nil
	}
	add("Timestamp", m.Timestamp)
	if m.Type != snsNotification {
		add("Token", m.Token)
	}
	add("TopicArn", m.TopicARN)
	add("Type", m.Type)
	return b.Bytes()
}

// checkSNS checks the signature of a message.
func checkSNS(cert *x509.Certificate, m snsMessage, signed []byte) error {
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if err != nil || !ok {
		return errors.New("its signature cannot be read")
	}
	switch m.SignatureVersion {
	case "1":
		sum := sha1.Sum(signed) //nolint:gosec // see above
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
	case "2":
		sum := sha256.Sum256(signed)
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	default:
		return errors.New("its signature is of a version that is not known")
	}
	if err != nil {
		return errors.New("its signature is wrong")
	}
	return nil
}

// amazons parses a URL that must be one of Amazon's.
func amazons(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.User != nil || !snsHost.MatchString(u.Host) {
		return nil, &refusal{status: http.StatusUnauthorized, cause: "sns: " + clip(text, 200) + " is not an address of Amazon's"}
	}
	return u, nil
}

// get asks Amazon.
func (v *snsVerifier) get(ctx context.Context, u *url.URL) ([]byte, error) {
	later := func(cause string) error {
		return &refusal{http.StatusServiceUnavailable, "sns: " + u.Host + " does not answer: " + clip(cause, 200), retryAtLeast}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, later(err.Error())
	}
	answer, err := v.client.Do(r)
	if err != nil {
		return nil, later(err.Error())
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, snsCertSize))
	if err != nil {
		return nil, later(err.Error())
	}
	if answer.StatusCode != http.StatusOK {
		return nil, later(answer.Status)
	}
	return body, nil
}

// certificate returns the certificate at an address of Amazon's. It is fetched over
// TLS, whose own certificate says whose it is.
func (v *snsVerifier) certificate(ctx context.Context, address string) (*x509.Certificate, error) {
	u, err := amazons(address)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(u.Path, ".pem") || u.RawQuery != "" {
		return nil, &refusal{status: http.StatusUnauthorized, cause: "sns: " + clip(address, 200) + " is no certificate"}
	}
	v.mu.Lock()
	cert := v.certs[u.String()]
	v.mu.Unlock()
	if cert == nil {
		text, err := v.get(ctx, u)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, &refusal{status: http.StatusUnauthorized, cause: "sns: the certificate cannot be read"}
		}
		if cert, err = x509.ParseCertificate(block.Bytes); err != nil {
			return nil, &refusal{status: http.StatusUnauthorized, cause: "sns: the certificate cannot be read"}
		}
		v.mu.Lock()
		if len(v.certs) >= snsCerts {
			clear(v.certs)
		}
		v.certs[u.String()] = cert
		v.mu.Unlock()
	}
	if now := v.now(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return nil, &refusal{status: http.StatusUnauthorized, cause: fmt.Sprintf("sns: the certificate is not valid at %s", now.Format(time.RFC3339))}
	}
	return cert, nil
}

// confirm subscribes to a topic.
func (v *snsVerifier) confirm(ctx context.Context, address string) error {
	u, err := amazons(address)
	if err != nil {
		return err
	}
	if u.Query().Get("Action") != "ConfirmSubscription" {
		return &refusal{status: http.StatusUnauthorized, cause: "sns: " + clip(address, 200) + " does not confirm a subscription"}
	}
	_, err = v.get(ctx, u)
	return err
}
