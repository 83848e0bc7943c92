package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A WebhookKind is how a product calls a webhook and proves who it is.
type WebhookKind string

const (
	// WebhookGeneric is a request with Secret as a token in Authorization, in
	// X-Catena-Token or X-Api-Key; or with the HMAC-SHA-256 of its body under Secret in
	// X-Catena-Signature or X-Hub-Signature-256, as hexadecimal or base64, with or
	// without "sha256=" before it.
	WebhookGeneric WebhookKind = "generic"
	// WebhookEventBridge is as WebhookGeneric: API destinations send X-Api-Key or
	// Authorization.
	WebhookEventBridge WebhookKind = "eventbridge"
	// WebhookFalco is as WebhookGeneric: falcosidekick and Falco's http_output send
	// headers of one's own.
	WebhookFalco WebhookKind = "falco"
	// WebhookWazuh is as WebhookGeneric: an integration's script sends what it is told.
	WebhookWazuh WebhookKind = "wazuh"
	// WebhookSNS is Amazon's Simple Notification Service, which signs with a key of
	// its own: GuardDuty and Security Hub through EventBridge and a topic.
	WebhookSNS WebhookKind = "sns"
	// WebhookGraph is Microsoft Graph's change notifications, whose clientState is
	// Secret: they say that an alert of Defender is new or changed.
	WebhookGraph WebhookKind = "graph"
)

// WebhookOptions are those of a Webhook.
type WebhookOptions struct {
	Name, Tenant string
	Kind         WebhookKind
	Secret       string   // of all kinds but sns; at least 16 bytes
	Topics       []string // ARNs of the topics of sns that may send
	// Limits.Body is 4 MiB by default here, Unpacked 16 MiB, Requests 16 and Slow 15 s:
	// a request is held in memory until its sender is known.
	Limits Limits
	Now    func() time.Time  // nil: time.Now
	Log    *slog.Logger      // nil: none
	Client http.RoundTripper // with which sns is asked for its certificate; nil: a transport of its own
}

// Webhook takes what products send of themselves: alerts and findings as JSON, which
// are kept as they are, since decoders know the products. Who sends is known by a
// secret that both have, or by the signature of the service.
type Webhook struct {
	Counters
	o   WebhookOptions
	in  *intake
	sns *snsVerifier
}

// minSecret is how long a secret must be not to be guessed.
const minSecret = 16

// NewWebhook returns a receiver of webhooks, or what is wrong with its options.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	switch o.Kind {
	case WebhookGeneric, WebhookEventBridge, WebhookFalco, WebhookWazuh, WebhookGraph:
		if len(o.Secret) < minSecret {
			return nil, fmt.Errorf("%s: a webhook of kind %s needs a secret of at least %d bytes", o.Name, o.Kind, minSecret)
		}
	case WebhookSNS:
		if len(o.Topics) == 0 {
			return nil, fmt.Errorf("%s: a webhook of kind sns needs the ARNs of its topics: anybody's topic is signed by the same key", o.Name)
		}
	default:
		return nil, fmt.Errorf("%s: a webhook is of kind generic, eventbridge, falco, wazuh, sns or graph, not %q", o.Name, clip(string(o.Kind), 40))
	}
	orDefault(&o.Limits.Body, 4<<20)
	orDefault(&o.Limits.Unpacked, 16<<20)
	orDefault(&o.Limits.Requests, 16)
	o.Limits.Unpacked = min(o.Limits.Unpacked, maxHeld)
	orDefault(&o.Limits.Slow, 15*time.Second) // who sends is not known before the end
	w := &Webhook{o: o}
	w.in = newIntake(o.Limits, nil, o.Now, o.Log, &w.Counters)
	if o.Kind == WebhookSNS {
		w.sns = newSNSVerifier(o.Topics, o.Client, w.in.now)
	}
	return w, nil
}

// Name is the receiver's name in the configuration.
func (h *Webhook) Name() string { return h.o.Name }

// Handler takes requests at any path: where it stands is the caller's to say.
func (h *Webhook) Handler(sink Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			h.refuse(w, &refusal{status: http.StatusMethodNotAllowed, cause: "webhooks are sent by POST"})
			return
		}
		if h.o.Kind == WebhookGraph && r.URL.Query().Has("validationToken") {
			h.validate(w, r)
			return
		}
		answer, err := h.take(w, r, sink)
		var failed *sinkError
		switch {
		case errors.As(err, &failed):
			h.in.log.Warn("evidence not taken", "receiver", h.o.Name, "peer", hostOf(r.RemoteAddr), "error", failed.err)
			ref := sinkRefusal(failed.err)
			if ref.status == http.StatusTooManyRequests {
				ref.status = http.StatusServiceUnavailable // which all of them send again after
			}
			h.refuse(w, ref)
		case err != nil:
			h.refuse(w, refusalOf(err))
		case answer.Accepted == 0 && answer.Refused > 0:
			writeJSON(w, http.StatusBadRequest, answer)
		default:
			writeJSON(w, http.StatusOK, answer)
		}
	})
}

func (h *Webhook) refuse(w http.ResponseWriter, ref *refusal) {
	h.in.refused(ref)
	if ref.status == http.StatusUnauthorized {
		ref.status = http.StatusForbidden // nothing to log on with: senders would only ask again
	}
	ref.header(w.Header())
	writeJSON(w, ref.status, pushed{Error: ref.cause})
}

// validate answers what Graph asks before it subscribes: it wants its token back as
// plain text, which a browser must not take for anything else.
func (h *Webhook) validate(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("validationToken")
	if len(token) > 1024 {
		h.refuse(w, &refusal{status: http.StatusBadRequest, cause: "the validation token is too long"})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	_, _ = io.WriteString(w, token) // a sender that is gone has no use for its answer
}

var errNotProven = &refusal{status: http.StatusUnauthorized, cause: "the request does not prove who sends it: its secret or signature is missing or wrong"}

// take reads a request, looks who sends it, and hands on its records.
func (h *Webhook) take(w http.ResponseWriter, r *http.Request, sink Sink) (answer pushed, err error) {
	shared := h.o.Kind != WebhookSNS && h.o.Kind != WebhookGraph
	proven := shared && h.rightToken(r.Header)
	signature := ""
	if shared && !proven {
		if signature = signatureOf(r.Header); signature == "" {
			return answer, errNotProven // before anything of it is read
		}
	}
	t, err := h.in.open(w, r, Grant{Tenant: h.o.Tenant, Source: h.o.Name})
	if err != nil {
		return answer, err
	}
	defer t.end()
	body, err := io.ReadAll(io.LimitReader(t.body, h.in.limits.Unpacked+1))
	switch {
	case err != nil:
		return answer, err
	case int64(len(body)) > h.in.limits.Unpacked:
		return answer, fmt.Errorf("more than %d bytes: %w", h.in.limits.Unpacked, errTooLarge)
	}
	pack := t.packer(sink, "")
	pack.id = requestID(pack.base, r.Header)
	switch h.o.Kind {
	case WebhookSNS:
		m, err := h.sns.verify(r.Context(), body)
		if err != nil {
			return answer, err
		}
		if m.Type != snsNotification {
			h.in.log.Info("topic answered", "receiver", h.o.Name, "type", m.Type, "topic", m.TopicARN)
			return answer, nil
		}
		pack.id = batchID(pack.base, m.TopicARN+" "+m.MessageID)
		body = []byte(m.Message)
	case WebhookGraph:
		if !h.rightState(body) {
			return answer, errNotProven
		}
	default:
		if !proven && !h.rightHMAC(signature, body) {
			return answer, errNotProven
		}
	}
	err = h.records(r.Context(), pack, body, &answer)
	answer.Accepted = pack.taken
	if answer.Refused > 0 {
		h.Refused(int(answer.Refused), fmt.Errorf("%s: %s", t.peer, answer.Errors[0].Cause))
	}
	return answer, err
}

// records hands on the objects of a body; what is no JSON is handed on as lines if
// it came through a topic, and refused otherwise.
func (h *Webhook) records(ctx context.Context, pack *packer, body []byte, answer *pushed) error {
	if trimmed := bytes.TrimSpace(body); h.o.Kind == WebhookSNS && len(trimmed) > 0 && trimmed[0] != '{' && trimmed[0] != '[' {
		for line := range bytes.Lines(trimmed) {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			if err := pack.add(ctx, line); err != nil {
				return err
			}
		}
		return pack.flush(ctx)
	}
	return pack.objects(ctx, &jsonReader{r: bufio.NewReader(bytes.NewReader(body)), max: h.in.limits.Record}, answer)
}

// rightToken compares the secret that a request carries.
func (h *Webhook) rightToken(header http.Header) bool {
	for _, token := range [...]string{tokenOf(header), header.Get("X-Catena-Token")} {
		if token != "" && sameSecret(token, h.o.Secret) {
			return true
		}
	}
	return false
}

// signatureOf returns the signature that a request carries, "" if none.
func signatureOf(header http.Header) string {
	for _, name := range [...]string{"X-Catena-Signature", "X-Hub-Signature-256"} {
		if text := strings.TrimSpace(header.Get(name)); text != "" && len(text) <= 200 {
			return strings.TrimPrefix(text, "sha256=")
		}
	}
	return ""
}

// sameSecret compares in a time that tells nothing of either.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// rightHMAC compares the signature of a body.
func (h *Webhook) rightHMAC(text string, body []byte) bool {
	mac := hmac.New(sha256.New, []byte(h.o.Secret))
	mac.Write(body)
	want := mac.Sum(nil)
	if got, err := hex.DecodeString(text); err == nil {
		return hmac.Equal(got, want)
	}
	got, err := base64.StdEncoding.DecodeString(text)
	return err == nil && hmac.Equal(got, want)
}

// rightState looks at the clientState of each notification of Graph.
func (h *Webhook) rightState(body []byte) bool {
	var notifications struct {
		Value []struct {
			ClientState string `json:"clientState"`
		} `json:"value"`
	}
	if json.Unmarshal(body, &notifications) != nil || len(notifications.Value) == 0 {
		return false
	}
	for _, n := range notifications.Value {
		if !sameSecret(n.ClientState, h.o.Secret) {
			return false
		}
	}
	return true
}

// requestIDs are the headers in which senders name a request, the same when they send
// it again.
var requestIDs = [...]string{"Idempotency-Key", "Webhook-Id", "Ce-Id", "X-Github-Delivery"}

// requestID is what the batches of a request are called if its sender names it, so
// that one that is sent again counts once.
func requestID(base model.Batch, h http.Header) string {
	for _, name := range requestIDs {
		if id := h.Get(name); id != "" && len(id) <= 512 {
			return batchID(base, name+" "+id)
		}
	}
	return ""
}

// batchID makes an ID of what names a batch at its sender.
func batchID(base model.Batch, name string) string {
	sum := sha256.Sum256([]byte(url.QueryEscape(base.Tenant) + " " + url.QueryEscape(base.Source) + " " + name))
	return "sent-" + hex.EncodeToString(sum[:16])
}
