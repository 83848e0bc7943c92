package respond

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

// webhook posts CloudEvents 1.0 in the structured JSON form, signed as the Standard
// Webhooks specification says: HMAC-SHA256 over "id.time.body".
type webhook struct {
	client *http.Client
	to     string
	key    []byte
	now    func() time.Time
}

func newWebhook(t config.Target, secret string, env Environment) (Notifier, error) {
	_, err := address(t.URL, "https", "http")
	key := []byte(secret)
	if b, ok := strings.CutPrefix(secret, "whsec_"); ok { // that specification's own form of a key
		if key, err = base64.StdEncoding.DecodeString(b); err != nil {
			return nil, err
		}
	}
	return &webhook{env.Client, t.URL, key, env.Now}, err
}

// An Event is what a webhook gets.
type Event struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject,omitempty"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        EventData `json:"data"`
}

// EventData is what an Event tells: the change, our words on it, and the incident.
type EventData struct {
	Change   model.Change    `json:"change"`
	Title    string          `json:"title"`
	What     []string        `json:"what"`
	Started  string          `json:"started,omitempty"`
	Reached  string          `json:"reached,omitempty"`
	Do       []string        `json:"do,omitempty"`
	Link     string          `json:"link,omitempty"`
	Test     bool            `json:"test,omitempty"`
	Incident *model.Incident `json:"incident,omitempty"`
}

// maxDocument bounds the incident in a webhook; larger ones are left out, and are to
// be had by their link.
const maxDocument = 1 << 20

func (n *webhook) Notify(ctx context.Context, m *Message, _ string) (string, error) {
	e := Event{
		SpecVersion: "1.0", ID: m.ID, Source: "/catena/" + m.Tenant, Type: "catena." + string(m.Kind) + ".v1", Subject: m.Incident, Time: m.Time, ContentType: "application/json",
		Data: EventData{m.Change, m.Title, m.What, m.Started, m.Reached, m.Do, m.Link, m.Test, m.Document},
	}
	body, err := json.Marshal(e)
	if err == nil && len(body) > maxDocument {
		e.Data.Incident = nil
		body, err = json.Marshal(e)
	}
	if err != nil {
		return "", Permanent{err}
	}
	at := strconv.FormatInt(n.now().Unix(), 10)
	h := http.Header{"Webhook-Id": {m.ID}, "Webhook-Timestamp": {at}}
	if len(n.key) > 0 {
		h.Set("Webhook-Signature", "v1,"+Sign(n.key, m.ID, at, body))
	}
	return "", send(ctx, n.client, http.MethodPost, n.to, "application/cloudevents+json", h, body, nil)
}

// Sign is the signature of a webhook's body, so that receivers can check theirs.
func Sign(key []byte, id, at string, body []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "." + at + "."))
	h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
