package source

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what Amazon signs with
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const testSecret = "a secret of 24 letters.."

func newTestWebhook(t *testing.T, o WebhookOptions) *Webhook {
	t.Helper()
	o.Name, o.Tenant, o.Now = "hook", "acme", fixedNow
	h, err := NewWebhook(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestWebhookSecrets(t *testing.T) {
	const alert = `{"rule":"Terminal shell in container","priority":"Warning"}`
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(alert))
	sum := mac.Sum(nil)
	for _, c := range []struct {
		name    string
		o       WebhookOptions
		body    string
		headers []string
		status  int
	}{
		{"bearer", WebhookOptions{Kind: WebhookEventBridge}, alert, []string{"Authorization", "Bearer " + testSecret}, 200},
		{"basic", WebhookOptions{Kind: WebhookEventBridge}, alert, []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("falco:"+testSecret))}, 200},
		{"own header", WebhookOptions{Kind: WebhookFalco}, alert, []string{"Authorization", "", "X-Catena-Token", testSecret}, 200},
		{"wrong", WebhookOptions{Kind: WebhookEventBridge}, alert, []string{"Authorization", "Bearer " + testSecret + "x"}, 403},
		{"none", WebhookOptions{Kind: WebhookWazuh}, alert, nil, 403},
		{"hexadecimal", WebhookOptions{Kind: WebhookGeneric}, alert, []string{"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(sum)}, 200},
		{"base64", WebhookOptions{Kind: WebhookGeneric}, alert, []string{"X-Catena-Signature", base64.StdEncoding.EncodeToString(sum)}, 200},
		{"another body", WebhookOptions{Kind: WebhookGeneric}, alert + " ", []string{"X-Hub-Signature-256", hex.EncodeToString(sum)}, 403},
		{"no signature", WebhookOptions{Kind: WebhookGeneric}, alert, nil, 403},
		{"graph", WebhookOptions{Kind: WebhookGraph}, `{"value":[{"clientState":"` + testSecret + `","resource":"x"}]}`, nil, 200},
		{"graph, one wrong", WebhookOptions{Kind: WebhookGraph}, `{"value":[{"clientState":"` + testSecret + `"},{"clientState":"x"}]}`, nil, 403},
		{"graph, none", WebhookOptions{Kind: WebhookGraph}, `{"value":[]}`, nil, 403},
		{"no JSON", WebhookOptions{Kind: WebhookEventBridge}, "hello", []string{"Authorization", "Bearer " + testSecret}, 400},
		{"too large", WebhookOptions{Kind: WebhookGeneric, Limits: Limits{Body: 10}}, alert, []string{"Authorization", "Bearer " + testSecret}, 413},
	} {
		c.o.Secret = testSecret
		m := &memorySink{}
		h := newTestWebhook(t, c.o)
		w := send(h.Handler(m.take), http.MethodPost, "/hooks/x", c.body, c.headers...)
		if w.Code != c.status || (len(m.all()) == 1) != (c.status == 200) {
			t.Errorf("%s: %d %s, %d batches", c.name, w.Code, w.Body, len(m.all()))
		}
		for _, b := range m.all() {
			if b.Tenant != "acme" || b.Source != "hook" {
				t.Errorf("%s: batch of %q, %q", c.name, b.Tenant, b.Source)
			}
		}
	}
	h := newTestWebhook(t, WebhookOptions{Kind: WebhookGraph, Secret: testSecret}).Handler((&memorySink{}).take)
	w := send(h, http.MethodPost, "/hooks/x?validationToken=a%20%3Cb%3E", "")
	if w.Code != 200 || w.Body.String() != "a <b>" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("validation: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w := send(h, http.MethodGet, "/hooks/x", ""); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
	for _, o := range []WebhookOptions{{Kind: WebhookGeneric, Secret: "short"}, {Kind: WebhookSNS}, {Kind: "other"}} {
		if _, err := NewWebhook(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestWebhookNamesWhatIsSentAgain(t *testing.T) {
	m := &memorySink{}
	h := newTestWebhook(t, WebhookOptions{Kind: WebhookGeneric, Secret: testSecret}).Handler(m.take)
	for _, id := range []string{"1", "1", "2", ""} {
		send(h, http.MethodPost, "/", "{}", "Authorization", "Bearer "+testSecret, "Webhook-Id", id)
	}
	ids := []string{}
	for _, b := range m.all() {
		ids = append(ids, b.ID)
	}
	if len(ids) != 4 || ids[0] == "" || ids[0] != ids[1] || ids[1] == ids[2] || ids[3] != "" {
		t.Errorf("ids %q", ids)
	}
}

// amazon is a service that signs as Amazon's does, and counts what it is asked.
type amazon struct {
	key  *rsa.PrivateKey
	cert []byte
	mu   sync.Mutex
	got  []string
	down bool
}

func newAmazon(t *testing.T) *amazon {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &amazon{key: key, cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *amazon) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, r.URL.String())
	if a.down {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: io.NopCloser(bytes.NewReader(a.cert)), Request: r}, nil
}

// sign is m as it would be posted.
func (a *amazon) sign(t *testing.T, m snsMessage) string {
	t.Helper()
	signed := m.signed()
	var signature []byte
	var err error
	if m.SignatureVersion == "1" {
		sum := sha1.Sum(signed) //nolint:gosec // see above
		signature, err = rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA1, sum[:])
	} else {
		sum := sha256.Sum256(signed)
		signature, err = rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	m.Signature = base64.StdEncoding.EncodeToString(signature)
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestWebhookSNS(t *testing.T) {
	const topic, certURL = "arn:aws:sns:us-east-1:123456789012:findings", "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"
	subject := "Subject"
	good := snsMessage{
		Type: snsNotification, MessageID: "m1", TopicARN: topic, Subject: &subject, Message: `{"detail-type":"GuardDuty Finding","detail":{}}`,
		Timestamp: testNow.Format(time.RFC3339), SignatureVersion: "2", SigningCertURL: certURL,
	}
	subscribe := good
	subscribe.Type, subscribe.Subject, subscribe.Token = snsSubscribe, nil, "t"
	subscribe.SubscribeURL = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=t"
	with := func(m snsMessage, change func(*snsMessage)) snsMessage { change(&m); return m }
	for _, c := range []struct {
		name   string
		m      snsMessage
		status int
		data   string
		asked  int // of Amazon
	}{
		{"notification", good, 200, good.Message + "\n", 1},
		{"first version of the signature", with(good, func(m *snsMessage) { m.SignatureVersion = "1" }), 200, good.Message + "\n", 1},
		{"text", with(good, func(m *snsMessage) { m.Message = "a line\nand another" }), 200, "a line\nand another\n", 1},
		{"subscription", subscribe, 200, "", 2},
		{"another's topic", with(good, func(m *snsMessage) { m.TopicARN = "arn:aws:sns:us-east-1:999999999999:findings" }), 403, "", 0},
		{"old", with(good, func(m *snsMessage) { m.Timestamp = testNow.Add(-2 * snsOld).Format(time.RFC3339) }), 403, "", 0},
		{"another's certificate", with(good, func(m *snsMessage) { m.SigningCertURL = "https://sns.us-east-1.amazonaws.com.example.org/x.pem" }), 403, "", 0},
		{"another's certificate behind an account", with(good, func(m *snsMessage) { m.SigningCertURL = "https://sns.us-east-1.amazonaws.com@example.org/x.pem" }), 403, "", 0},
		{"a certificate without TLS", with(good, func(m *snsMessage) { m.SigningCertURL = "http://sns.us-east-1.amazonaws.com/x.pem" }), 403, "", 0},
		{"another port", with(good, func(m *snsMessage) { m.SigningCertURL = "https://sns.us-east-1.amazonaws.com:8443/x.pem" }), 403, "", 0},
		{"subscription elsewhere", with(subscribe, func(m *snsMessage) { m.SubscribeURL = "https://169.254.169.254/?Action=ConfirmSubscription" }), 403, "", 1},
		{"subscription that does something else", with(subscribe, func(m *snsMessage) { m.SubscribeURL = "https://sns.us-east-1.amazonaws.com/?Action=DeleteTopic" }), 403, "", 1},
		{"unknown type", with(good, func(m *snsMessage) { m.Type = "Other" }), 400, "", 0},
	} {
		a, m := newAmazon(t), &memorySink{}
		h := newTestWebhook(t, WebhookOptions{Kind: WebhookSNS, Topics: []string{topic}, Client: a}).Handler(m.take)
		w := send(h, http.MethodPost, "/", a.sign(t, c.m))
		if w.Code != c.status || m.data() != c.data || len(a.got) != c.asked {
			t.Errorf("%s: %d %s, kept %q, asked %q", c.name, w.Code, w.Body, m.data(), a.got)
		}
	}
	a, m := newAmazon(t), &memorySink{}
	h := newTestWebhook(t, WebhookOptions{Kind: WebhookSNS, Topics: []string{topic}, Client: a}).Handler(m.take)
	body := a.sign(t, good)
	forged := strings.Replace(body, "GuardDuty", "GuardDull", 1)
	if w := send(h, http.MethodPost, "/", forged); w.Code != 403 || len(m.all()) != 0 {
		t.Errorf("a changed message: %d %s", w.Code, w.Body)
	}
	send(h, http.MethodPost, "/", body)
	send(h, http.MethodPost, "/", body)
	if b := m.all(); len(b) != 2 || b[0].ID == "" || b[0].ID != b[1].ID || len(a.got) != 1 {
		t.Errorf("sent again: %+v, asked %q", b, a.got)
	}
	a.down = true
	other := with(good, func(m *snsMessage) { m.SigningCertURL = strings.Replace(certURL, "-1.pem", "-2.pem", 1) })
	if w := send(h, http.MethodPost, "/", a.sign(t, other)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("without Amazon: %d %s", w.Code, w.Body)
	}
}

func FuzzWebhook(f *testing.F) {
	for _, kind := range []string{"generic", "sns", "graph"} {
		f.Add(kind, `{"value":[{"clientState":"`+testSecret+`"}],"Type":"Notification","TopicArn":"t","SigningCertURL":"https://sns.us.amazonaws.com/a.pem","Timestamp":"2026-03-04T05:06:07Z"}`, "Bearer "+testSecret)
	}
	f.Fuzz(func(t *testing.T, kind, body, authorization string) {
		h, err := NewWebhook(WebhookOptions{Kind: WebhookKind(kind), Secret: testSecret, Topics: []string{"t"}, Now: fixedNow, Client: &amazon{down: true}})
		if err != nil {
			return
		}
		var taken []model.Batch
		m := &memorySink{}
		w := send(h.Handler(m.take), http.MethodPost, "/", body, "Authorization", authorization)
		if taken = m.all(); len(taken) > 0 && kind == "sns" {
			t.Fatalf("taken without a signature: %q", body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("the answer is no JSON: %q", w.Body)
		}
	})
}
