package respond

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/catena-sec/catena/internal/config"
)

// jira makes an issue of an incident, as in a project of Jira Service Management, and
// a comment of what follows: https://developer.atlassian.com/cloud/jira/platform/rest/v3/
type jira struct {
	client        *http.Client
	to            string
	project, kind string
	header        http.Header
}

func newJira(t config.Target, secret string, env Environment) (Notifier, error) {
	if _, err := address(t.URL, "https", "http"); err != nil {
		return nil, err
	}
	if secret == "" || len(t.To) == 0 {
		return nil, errors.New("secret, the API token, and to, the project's key, are needed")
	}
	n := &jira{client: env.Client, to: strings.TrimRight(t.URL, "/"), project: t.To[0], kind: "Task", header: http.Header{}}
	if len(t.To) > 1 {
		n.kind = t.To[1]
	}
	if t.User != "" {
		n.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(t.User+":"+secret)))
	} else {
		n.header.Set("Authorization", "Bearer "+secret)
	}
	n.header.Set("Accept", "application/json")
	return n, nil
}

// A node of an Atlassian document. Text nodes know no markup.
type adf struct {
	Type    string         `json:"type"`
	Version int            `json:"version,omitempty"`
	Text    string         `json:"text,omitempty"`
	Attrs   map[string]any `json:"attrs,omitempty"`
	Marks   []adf          `json:"marks,omitempty"`
	Content []adf          `json:"content,omitempty"`
}

func paragraph(n ...adf) adf { return adf{Type: "paragraph", Content: n} }

func (m *Message) adf() adf {
	doc := adf{Type: "doc", Version: 1}
	for _, s := range m.sections() {
		doc.Content = append(doc.Content, adf{Type: "heading", Attrs: map[string]any{"level": 3}, Content: []adf{{Type: "text", Text: s.title}}})
		for l := range strings.SplitSeq(s.text, "\n") {
			if l = strings.TrimSpace(l); l != "" {
				doc.Content = append(doc.Content, paragraph(adf{Type: "text", Text: defang(l)}))
			}
		}
	}
	if m.Link != "" {
		doc.Content = append(doc.Content, paragraph(adf{Type: "text", Text: "Open the story", Marks: []adf{{Type: "link", Attrs: map[string]any{"href": m.Link}}}}))
	}
	return doc
}

// issueForm is what the key of an issue looks like; it becomes a part of a path.
var issueForm = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,30}-[0-9]{1,12}$`)

// labelForm is what a label may hold.
var labelForm = regexp.MustCompile(`[^A-Za-z0-9-]+`)

func (n *jira) Notify(ctx context.Context, m *Message, thread string) (string, error) {
	label := runes("catena-"+labelForm.ReplaceAllString(m.Key, "-"), 200)
	if thread == "" && !m.Test {
		// An earlier try may have made the issue without our hearing of it.
		var found struct {
			Issues []struct {
				Key string `json:"key"`
			} `json:"issues"`
		}
		ask := map[string]any{"jql": fmt.Sprintf("project = %q AND labels = %q ORDER BY created ASC", n.project, label), "maxResults": 1, "fields": []string{"summary"}}
		if err := post(ctx, n.client, n.to+"/rest/api/3/search/jql", n.header, ask, &found); err != nil {
			return "", err
		}
		if len(found.Issues) > 0 {
			thread = found.Issues[0].Key
		}
	}
	if thread != "" {
		if !issueForm.MatchString(thread) {
			return "", Permanent{errors.New("jira gave an issue without a key")}
		}
		body := m.adf()
		body.Content = append([]adf{paragraph(adf{Type: "text", Text: defang(m.headline()), Marks: []adf{{Type: "strong"}}})}, body.Content...)
		return thread, post(ctx, n.client, n.to+"/rest/api/3/issue/"+thread+"/comment", n.header, map[string]any{"body": body}, nil)
	}
	var made struct {
		Key string `json:"key"`
	}
	err := post(ctx, n.client, n.to+"/rest/api/3/issue", n.header, map[string]any{"fields": map[string]any{
		"project": map[string]string{"key": n.project}, "issuetype": map[string]string{"name": n.kind},
		"summary": runes(oneLine(m.headline()), 250), "description": m.adf(), "labels": []string{"catena", label},
	}}, &made)
	return made.Key, err
}
