package respond

import (
	"context"
	"net/http"
	"strings"

	"github.com/catena-sec/catena/internal/config"
)

// teams posts Adaptive Cards to a Workflows webhook of Microsoft Teams. Its texts are
// TextRuns, which know no markup.
type teams struct {
	client *http.Client
	to     string
}

func newTeams(t config.Target, _ string, env Environment) (Notifier, error) {
	_, err := address(t.URL, "https", "http")
	return &teams{env.Client, t.URL}, err
}

type (
	cardRun struct {
		Type   string `json:"type"`
		Text   string `json:"text"`
		Weight string `json:"weight,omitempty"`
		Size   string `json:"size,omitempty"`
		Color  string `json:"color,omitempty"`
	}
	cardBlock struct {
		Type    string    `json:"type"`
		Inlines []cardRun `json:"inlines"`
		Spacing string    `json:"spacing,omitempty"`
	}
	cardAction struct {
		Type  string `json:"type"`
		Title string `json:"title"`
		URL   string `json:"url"`
	}
	card struct {
		Schema  string         `json:"$schema"`
		Type    string         `json:"type"`
		Version string         `json:"version"`
		Body    []cardBlock    `json:"body"`
		Actions []cardAction   `json:"actions,omitempty"`
		MSTeams map[string]any `json:"msteams"`
	}
	cardAttachment struct {
		ContentType string  `json:"contentType"`
		ContentURL  *string `json:"contentUrl"`
		Content     card    `json:"content"`
	}
	cardMessage struct {
		Type        string           `json:"type"`
		Attachments []cardAttachment `json:"attachments"`
	}
)

func line(r cardRun, spacing string) cardBlock {
	r.Type, r.Text = "TextRun", defang(r.Text)
	return cardBlock{"RichTextBlock", []cardRun{r}, spacing}
}

func (n *teams) Notify(ctx context.Context, m *Message, _ string) (string, error) {
	color := map[string]string{"critical": "Attention", "high": "Attention", "medium": "Warning"}[string(m.Severity)]
	c := card{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4", MSTeams: map[string]any{"width": "Full"}}
	c.Body = append(c.Body, line(cardRun{Text: m.headline(), Weight: "Bolder", Size: "Large", Color: color}, ""))
	for _, s := range m.sections() {
		c.Body = append(c.Body, line(cardRun{Text: s.title, Weight: "Bolder"}, "Medium"))
		for text := range strings.SplitSeq(s.text, "\n") {
			c.Body = append(c.Body, line(cardRun{Text: text}, "Small"))
		}
	}
	if m.Link != "" {
		c.Actions = []cardAction{{"Action.OpenUrl", "Open the story", m.Link}}
	}
	body := cardMessage{"message", []cardAttachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: c}}}
	return "", post(ctx, n.client, n.to, nil, body, nil)
}
