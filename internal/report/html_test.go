package report

import (
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

var (
	tagRE    = regexp.MustCompile(`<(/?)([a-zA-Z0-9]+)((?:[^>"']|"[^"]*"|'[^']*')*)>`)
	idRE     = regexp.MustCompile(`\sid="([^"]*)"`)
	anchorRE = regexp.MustCompile(`(?:href="#|for="|url\(#|aria-labelledby=")([^")]*)`)
	loadRE   = regexp.MustCompile(`\s(?:src|srcset|action|data|poster|background|ping|xlink:href)\s*=`)
	eventRE  = regexp.MustCompile(`\son[a-z]+\s*=|javascript:`)
)

// element returns the content of the only element of that name.
func element(t testing.TB, page, name string) string {
	t.Helper()
	if n := strings.Count(page, "<"+name+">") + strings.Count(page, "<"+name+" "); n != 1 {
		t.Fatalf("%d <%s> elements, want 1", n, name)
	}
	_, rest, _ := strings.Cut(page, "<"+name+">")
	body, _, ok := strings.Cut(rest, "</"+name+">")
	if !ok {
		t.Fatalf("<%s> does not end", name)
	}
	return body
}

// checkPage holds a page to being well formed, self-contained, internally linked
// and free of anything from evidence that could run.
func checkPage(t testing.TB, page string) {
	t.Helper()
	checkClean(t, page)
	policy := html.UnescapeString(page)
	css, js := element(t, page, "style"), element(t, page, "script")
	for _, want := range []string{"default-src 'none'", "style-src '" + hashSource([]byte(css)) + "'", "script-src '" + hashSource([]byte(js)) + "'"} {
		if !strings.Contains(policy, want) {
			t.Fatalf("the policy lacks %s", want)
		}
	}
	if strings.Contains(css, "url(") || strings.Contains(css, "@import") || strings.Contains(page, "ZgotmplZ") {
		t.Fatal("the style loads something, or the template refused a value")
	}
	body := strings.Replace(strings.Replace(page, css, "", 1), js, "", 1)
	ids := make(map[string]bool)
	for _, m := range idRE.FindAllStringSubmatch(body, -1) {
		if ids[m[1]] {
			t.Fatalf("id %s stands twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range anchorRE.FindAllStringSubmatch(body, -1) {
		if !ids[m[1]] {
			t.Fatalf("nothing has the id %q that a link names", m[1])
		}
	}
	void := map[string]bool{"meta": true, "input": true, "br": true}
	var open []string
	for _, m := range tagRE.FindAllStringSubmatch(body, -1) {
		name := m[2]
		if loadRE.MatchString(stripValues(m[3])) || eventRE.MatchString(stripValues(m[3])) {
			t.Fatalf("<%s%s> can load or run something", name, m[3])
		}
		switch {
		case m[1] == "" && !void[name] && !strings.HasSuffix(m[3], "/"):
			open = append(open, name)
		case m[1] == "/":
			if len(open) == 0 || open[len(open)-1] != name {
				t.Fatalf("</%s> does not close %v", name, open)
			}
			open = open[:len(open)-1]
		}
		if href := regexp.MustCompile(`\shref="([^#"][^"]*)"`).FindStringSubmatch(m[3]); href != nil && !strings.HasPrefix(href[1], "https://attack.mitre.org/techniques/T") {
			t.Fatalf("a link leads to %s", href[1])
		}
	}
	if len(open) > 0 {
		t.Fatalf("%v do not end", open)
	}
	if strings.Contains(body, "<img") || strings.Contains(body, "<iframe") || strings.Contains(body, "<object") {
		t.Fatal("an element that loads something")
	}
}

// stripValues leaves the names of attributes.
func stripValues(attrs string) string {
	return regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllString(attrs, `""`)
}

func TestHTMLTells(t *testing.T) {
	page := string(render(t, HTML(names), sample()))
	checkPage(t, page)
	text := html.UnescapeString(page)
	for _, want := range []string{"2 incidents", "Phished workstation mkt01", "Spearphishing Attachment", "87 %", "every account of the domain", "Attack graph", "procdump64.exe",
		"8 stages", "ATT&CK tactics", "Defender intents", "4 cloud steps", "Defense Impairment", "follows encryption in 4 of 10", "crown jewel reached (dc01)", "same process tree",
		"Security event log cleared", "corrected by -4 h", "record is cut off after 312 bytes", "cannot be seen", `"EventID": 11`, `\u{202e}gnp.exe`,
		"1. Got in and ran programs on mkt01", "Its record arrived 14 min later.", "Beside it"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if n := strings.Count(page, `class="node`); n < 20 {
		t.Errorf("%d nodes in the pictures", n)
	}
}

func TestHTMLBounded(t *testing.T) {
	r := sample()
	giant, err := json.Marshal(strings.Repeat("A", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		a := r.Alerts[i%18]
		a.ID = fmt.Sprint("a-more-", i)
		a.Incident = nil
		a.Evidence = []model.Evidence{{Input: "big.evtx", Record: int64(i), ID: fmt.Sprint("e-more-", i), Event: giant}}
		r.Alerts = append(r.Alerts, a)
	}
	page := string(render(t, HTML(names), r))
	checkPage(t, page)
	if len(page) > htmlTotalBytes+6<<20 {
		t.Errorf("%d bytes", len(page))
	}
	for _, want := range []string{"more alerts are in report.json", "more records are not on this page", "cut here"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say that %q", want)
		}
	}
}

// TestHTMLScript holds the script to what a policy without evaluation allows.
func TestHTMLScript(t *testing.T) {
	js, err := webFiles.ReadFile("web/report.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"eval(", "innerHTML", "document.write", "fetch(", "http", "</script"} {
		if strings.Contains(string(js), bad) {
			t.Errorf("the script uses %s", bad)
		}
	}
}

func FuzzHTML(f *testing.F) {
	f.Add(hostile, "</script><script>")
	f.Add("javascript:alert(1)", `" onmouseover="x`)
	f.Add("user:a", "T1059/../../x")
	f.Fuzz(func(t *testing.T, a, b string) {
		r := sample()
		r.Incidents = r.Incidents[1:]
		r.Alerts = r.Alerts[13:]
		salt(r, a, b)
		page := string(render(t, HTML(Options{}), r))
		checkPage(t, page)
		if strings.Count(page, "<script") != 1 {
			t.Fatal("a second script")
		}
	})
}
