package respond

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/catena-sec/catena/internal/config"
)

// slackAPI takes messages of a bot: https://docs.slack.dev/reference/methods/chat.postMessage
const slackAPI = "https://slack.com/api/chat.postMessage"

// slack writes into a channel: with an incoming webhook, or as a bot, whose messages
// about one incident stand in one thread.
type slack struct {
	client  *http.Client
	to      string
	token   string // of a bot; empty with a webhook
	channel string
}

func newSlack(t config.Target, secret string, env Environment) (Notifier, error) {
	n := &slack{client: env.Client, to: t.URL}
	if n.to == "" || secret != "" && len(t.To) > 0 {
		if len(t.To) == 0 || secret == "" {
			return nil, errors.New("slack needs url, or secret and to")
		}
		if n.to == "" {
			n.to = slackAPI
		}
		n.token, n.channel = secret, t.To[0]
	}
	_, err := address(n.to, "https", "http")
	return n, err
}

type (
	slackText struct {
		Type  string `json:"type"`
		Text  string `json:"text"`
		Emoji *bool  `json:"emoji,omitempty"`
	}
	slackElement struct {
		Type string    `json:"type"`
		Text slackText `json:"text"`
		URL  string    `json:"url"`
	}
	slackBlock struct {
		Type     string         `json:"type"`
		Text     *slackText     `json:"text,omitempty"`
		Elements []slackElement `json:"elements,omitempty"`
	}
	slackMessage struct {
		Channel     string       `json:"channel,omitempty"`
		Thread      string       `json:"thread_ts,omitempty"`
		Text        string       `json:"text"`
		Blocks      []slackBlock `json:"blocks"`
		Parse       string       `json:"parse"`
		LinkNames   bool         `json:"link_names"`
		UnfurlLinks bool         `json:"unfurl_links"`
		UnfurlMedia bool         `json:"unfurl_media"`
	}
	slackAnswer struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
		TS    string `json:"ts"`
	}
)

// Slack's bounds, in characters.
const (
	slackHeader  = 150
	slackSection = 3000
)

// slackPlain is text that Slack shows as it is: no markup, mention or link.
func slackPlain(s string, most int) *slackText {
	emoji := false
	return &slackText{Type: "plain_text", Text: runes(defang(s), most), Emoji: &emoji}
}

// slackEscape is for the one text that is always read for markup: what a lock screen
// shows. Its three characters are all that Slack's markup begins with.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (n *slack) Notify(ctx context.Context, m *Message, thread string) (string, error) {
	out := slackMessage{Text: slackEscape.Replace(defang(m.headline())), Parse: "none", Channel: n.channel, Thread: thread}
	out.Blocks = append(out.Blocks, slackBlock{Type: "header", Text: slackPlain(m.headline(), slackHeader)})
	for _, s := range m.sections() {
		out.Blocks = append(out.Blocks, slackBlock{Type: "section", Text: slackPlain(s.title+"\n"+s.text, slackSection)})
	}
	if m.Link != "" {
		out.Blocks = append(out.Blocks, slackBlock{Type: "actions", Elements: []slackElement{{Type: "button", Text: *slackPlain("Open the story", 75), URL: m.Link}}})
	}
	if n.token == "" {
		return "", post(ctx, n.client, n.to, nil, out, nil)
	}
	var a slackAnswer
	if err := post(ctx, n.client, n.to, http.Header{"Authorization": {"Bearer " + n.token}}, out, &a); err != nil {
		return "", err
	}
	if !a.OK {
		err := fmt.Errorf("slack says %q", runes(a.Error, 80))
		switch a.Error {
		case "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout":
			return "", err
		}
		return "", Permanent{err}
	}
	if thread == "" {
		return a.TS, nil
	}
	return thread, nil
}
