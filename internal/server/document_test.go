package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// An operation of the document, with a request that it takes.
type operation struct {
	id, method, path string
	role             Role
	scope            string
	tenant, changes  bool
	open             bool
	op               map[string]any
}

// document reads the document as a client gets it.
func document(t testing.TB, w *world) (doc map[string]any, ops []operation) {
	t.Helper()
	w.want(w.ask("", http.MethodGet, prefix+"/openapi.json", nil), 200).json(t, &doc)
	for path, item := range doc["paths"].(map[string]any) {
		for method, v := range item.(map[string]any) {
			op := v.(map[string]any)
			o := operation{id: op["operationId"].(string), method: strings.ToUpper(method), path: path, op: op}
			r, _ := op[roleExt].(string)
			o.role = Role(r)
			o.scope, _ = op[scopeExt].(string)
			o.tenant, _ = op[tenantExt].(bool)
			o.changes, _ = op[changesExt].(bool)
			o.open = r == ""
			ops = append(ops, o)
		}
	}
	slices.SortFunc(ops, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return doc, ops
}

// requests are what makes an operation do something in a new world: a path and a body.
// An operation that is not here is asked with its example path and no body.
func requests(w *world) map[string]struct {
	path string
	body any
} {
	inc, alert := incidentNo(1000), alertNo(1001)
	type m = map[string]any
	return map[string]struct {
		path string
		body any
	}{
		"set-status":              {"/incidents/" + inc + "/status", m{"status": "in_progress"}},
		"close-incident":          {"/incidents/" + inc + "/close", m{"verdict": "benign", "reason": "a drill"}},
		"assign-incident":         {"/incidents/" + inc + "/assign", m{"owner": "ann"}},
		"judge-incident":          {"/incidents/" + inc + "/verdict", m{"verdict": "true_positive"}},
		"comment-incident":        {"/incidents/" + inc + "/comment", m{"text": hostile}},
		"cut-link":                {"/incidents/" + inc + "/cut", m{"from": alertNo(1000), "to": alert, "reason": "not related"}},
		"link-alert":              {"/incidents/" + inc + "/link", m{"from": alertNo(1000), "to": alert, "reason": "related"}},
		"split-incident":          {"/incidents/" + inc + "/split", m{"alerts": []string{alert}, "reason": "another one"}},
		"merge-incidents":         {"/incidents/" + inc + "/merge", m{"with": []string{incidentNo(5000)}, "reason": "the same"}},
		"move-alert":              {"/incidents/" + inc + "/move", m{"alert": alert, "into": incidentNo(5000), "reason": "there"}},
		"change-incidents":        {"/incidents/bulk", m{"ids": []string{inc, "inc-0000000000000000"}, "deed": "status", "value": "on_hold"}},
		"undo-decision":           {"/decisions/d-000000000000/undo", m{"reason": "wrong"}},
		"judge-alert":             {"/alerts/" + alert + "/verdict", m{"verdict": "benign"}},
		"comment-alert":           {"/alerts/" + alert + "/comment", m{"text": "seen"}},
		"get-alert":               {"/alerts/" + alert, nil},
		"get-entity":              {"/entity?key=host:web1", nil},
		"suppress":                {"/suppressions", m{"where": m{"rule": "rule-1"}, "until": "2026-03-02T00:00:00Z", "reason": "known"}},
		"exclude":                 {"/exclusions", m{"where": m{"entity": "host:web1"}, "reason": "scanner"}},
		"preview-suppression":     {"/suppressions/preview?rule=rule-1", nil},
		"set-rule":                {"/rules/rule-1/state", m{"enabled": false, "reason": "noisy"}},
		"get-rule":                {"/rules/rule-1", nil},
		"get-report":              {"/incidents/" + inc + "/report/json", nil},
		"replay-poisoned":         {"/poisoned/b1/replay", nil},
		"requeue-dead-letters":    {"/outbox/requeue", m{}},
		"put-hunt":                {"/hunts/mine", m{"body": m{"text": "x"}}},
		"get-hunt":                {"/hunts/mine", nil},
		"delete-hunt":             {"/hunts/mine", nil},
		"put-view":                {"/views/mine", m{"body": m{"open": true}}},
		"get-view":                {"/views/mine", nil},
		"delete-view":             {"/views/mine", nil},
		"put-setting":             {"/settings/objective", m{"body": m{"within": 60}}},
		"get-setting":             {"/settings/objective", nil},
		"delete-setting":          {"/settings/objective", nil},
		"accept-proposal":         {"/proposals/p-1/accept", nil},
		"refuse-proposal":         {"/proposals/p-1/refuse", nil},
		"create-account":          {"/accounts", m{"login": "new", "grants": []m{{"tenant": "default", "role": "viewer"}}}},
		"get-account":             {"/accounts/u-svc-viewer", nil},
		"put-account":             {"/accounts/u-svc-viewer", m{"grants": []m{{"tenant": "default", "role": "viewer"}}}},
		"delete-account":          {"/accounts/u-nobody", nil},
		"create-link":             {"/accounts/u-svc-viewer/link", nil},
		"log-out-account":         {"/accounts/u-svc-viewer/sessions", nil},
		"create-tenant":           {"/tenants", m{"id": "third", "name": "Third"}},
		"put-tenant":              {"/tenants/other", m{"name": "Other"}},
		"create-token":            {"/tokens", m{"name": "x", "scopes": []string{"incidents:read"}, "expires": "2026-04-01T00:00:00Z"}},
		"revoke-token":            {"/tokens/t-none", nil},
		"create-ingest-token":     {"/ingest-tokens", m{"name": "web1"}},
		"revoke-ingest-token":     {"/ingest-tokens/i-none", nil},
		"set-password":            {"/me/password", m{"old": "x", "new": passphras}},
		"log-in":                  {"/session", m{"account": "nobody", "password": "wrong"}},
		"test-notify-target":      {"/notify/targets/pager/test", nil},
		"get-event":               {"/events/e-1001", nil},
		"get-incident":            {"/incidents/" + inc, nil},
		"get-story":               {"/incidents/" + inc + "/story", nil},
		"get-graph":               {"/incidents/" + inc + "/graph", nil},
		"get-timeline":            {"/incidents/" + inc + "/timeline", nil},
		"list-links":              {"/incidents/" + inc + "/links", nil},
		"get-history":             {"/incidents/" + inc + "/history", nil},
		"list-incident-alerts":    {"/incidents/" + inc + "/alerts", nil},
		"list-evidence":           {"/incidents/" + inc + "/evidence", nil},
		"list-incident-decisions": {"/incidents/" + inc + "/decisions", nil},
	}
}

// do makes the request of an operation.
func (w *world) try(o operation, token string, more ...string) got {
	w.t.Helper()
	r, ok := requests(w)[o.id]
	path := prefix + r.path
	if !ok {
		if strings.Contains(o.path, "{") {
			w.t.Fatalf("%s has a path parameter: give it a request in the test", o.id)
		}
		path = o.path
	}
	if len(more) > 0 {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		path += sep + strings.Join(more, "&")
	}
	return w.ask(token, o.method, path, r.body)
}

// streams are answered without end and tested apart.
func streams(o operation) bool { return o.id == "stream-changes" }

func TestEveryRouteAnswersAsItsDocumentSays(t *testing.T) {
	w := newWorld(t)
	w.incident(DefaultTenant, 5, 2)
	doc, ops := document(t, w)
	if len(ops) != len(w.s.routes) {
		t.Fatalf("the document has %d operations, the server %d", len(ops), len(w.s.routes))
	}
	// What is kept must be there before it is read, and what is deleted comes last.
	rank := func(o operation) int {
		switch {
		case strings.HasPrefix(o.id, "put-"):
			return 0
		case strings.HasPrefix(o.id, "delete-"):
			return 2
		}
		return 1
	}
	slices.SortStableFunc(ops, func(a, b operation) int { return rank(a) - rank(b) })
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("catena:api", doc); err != nil {
		t.Fatal(err)
	}
	// These need what a new world has not: they answer that there is none, or that a
	// token may not.
	refused := map[string]int{"undo-decision": 404, "accept-proposal": 403, "refuse-proposal": 403, "delete-account": 404, "revoke-token": 404, "revoke-ingest-token": 404,
		"create-token": 403, "set-password": 403, "log-in": 401, "log-out": 403}
	for _, o := range ops {
		if streams(o) {
			continue
		}
		t.Run(o.id, func(t *testing.T) {
			wt := *w
			wt.t = t
			g := wt.try(o, w.tokens[Administrator])
			if want, ok := refused[o.id]; ok {
				if g.status != want {
					t.Fatalf("%s %s: status %d, want %d: %.300s", o.method, o.path, g.status, want, g.body)
				}
			} else if g.status/100 != 2 {
				t.Fatalf("%s %s: status %d: %.300s", o.method, o.path, g.status, g.body)
			}
			checkAnswer(t, c, o, g)
		})
	}
}

// checkAnswer says whether an answer is one that the document allows.
func checkAnswer(t *testing.T, c *jsonschema.Compiler, o operation, g got) {
	t.Helper()
	responses := o.op["responses"].(map[string]any)
	code := fmt.Sprint(g.status)
	r, ok := responses[code].(map[string]any)
	if !ok {
		t.Fatalf("status %s is not in the document, which has %v", code, sortedKeys(responses))
	}
	content, _ := r["content"].(map[string]any)
	if len(content) == 0 {
		if len(g.body) != 0 {
			t.Errorf("a body where the document has none: %.200s", g.body)
		}
		return
	}
	media := g.header.Get("Content-Type")
	if _, ok := content[media]; !ok {
		t.Fatalf("content type %q is not in the document, which has %v", media, sortedKeys(content))
	}
	if o.id == "get-report" && g.status == 200 {
		return // a file, checked by the schemas of the report package
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	sch, err := c.Compile("catena:api#/paths/" + escape.Replace(o.path) + "/" + strings.ToLower(o.method) + "/responses/" + code + "/content/" + escape.Replace(media) + "/schema")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(g.body)))
	if err != nil {
		t.Fatalf("%v: %.300s", err, g.body)
	}
	if err := sch.Validate(v); err != nil {
		t.Errorf("%v\nin %.1000s", err, g.body)
	}
}

func TestEachRoleOnEachRoute(t *testing.T) {
	w := newWorld(t)
	w.incident(DefaultTenant, 5, 2)
	_, ops := document(t, w)
	none := w.token("roleless", nil, "*")
	for _, o := range ops {
		if streams(o) || o.open {
			continue
		}
		if o.role.rank() == 0 || !slices.Contains(areas(), strings.Split(o.scope, ":")[0]) {
			t.Errorf("%s: role %q or scope %q is none", o.id, o.role, o.scope)
		}
		if g := w.try(o, ""); g.status != http.StatusUnauthorized || g.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s without a token: status %d", o.id, g.status)
		}
		if g := w.try(o, none); g.status != http.StatusForbidden && g.status != http.StatusNotFound {
			t.Errorf("%s with a token of no role: status %d", o.id, g.status)
		}
		for _, r := range Roles() {
			g := w.try(o, w.tokens[r])
			denied := g.status == http.StatusForbidden && strings.Contains(string(g.body), "this needs the role")
			may := r.Allows(o.role)
			if !o.tenant && o.role == Administrator { // of no tenant: held everywhere only
				may = r == Administrator
			}
			if denied == may {
				t.Errorf("%s as %s: status %d (%.200s), and it needs %s", o.id, r, g.status, g.body, o.role)
			}
			if g.status >= 500 {
				t.Errorf("%s as %s: status %d: %s", o.id, r, g.status, g.body)
			}
		}
	}
}

func TestATokenDoesNoMoreThanItsScopes(t *testing.T) {
	w := newWorld(t)
	w.incident(DefaultTenant, 5, 2)
	_, ops := document(t, w)
	all := []Grant{{everyTenant, Administrator}}
	account := w.account("scoped", "", all)
	for i, o := range ops {
		if streams(o) || o.open {
			continue
		}
		area, _, _ := strings.Cut(o.scope, ":")
		var others []string
		for _, a := range areas() {
			if a != area {
				others = append(others, a+":*")
			}
		}
		without := w.tokenOf(account, fmt.Sprint("without-", i), all, others...)
		if g := w.try(o, without); g.status != http.StatusForbidden || !strings.Contains(string(g.body), "scope") {
			t.Errorf("%s without %s: status %d: %.200s", o.id, o.scope, g.status, g.body)
		}
		with := w.tokenOf(account, fmt.Sprint("with-", i), all, o.scope)
		if g := w.try(o, with); g.status == http.StatusForbidden && strings.Contains(string(g.body), "scope") {
			t.Errorf("%s with %s: %s", o.id, o.scope, g.body)
		}
		if o.changes != strings.HasSuffix(o.scope, ":write") {
			t.Errorf("%s: changes %v with the scope %s", o.id, o.changes, o.scope)
		}
	}
}

func TestAnotherTenantIsNotThere(t *testing.T) {
	w := newWorld(t)
	_, ops := document(t, w)
	for _, o := range ops {
		if streams(o) || !o.tenant {
			continue
		}
		// The right role in the wrong tenant, one that is there and one that is not.
		token := w.tokens[Responder]
		if o.role == Administrator {
			continue
		}
		there, not := w.try(o, token, "tenant=other"), w.try(o, token, "tenant=nowhere")
		if there.status != 404 || not.status != 404 {
			t.Errorf("%s: status %d in another tenant, %d in none", o.id, there.status, not.status)
		}
		if strings.ReplaceAll(string(there.body), "other", "nowhere") != string(not.body) {
			t.Errorf("%s: a tenant that is there and one that is not are told apart:\n%s\n%s", o.id, there.body, not.body)
		}
	}
	// And things of it are not there under one's own.
	for _, path := range []string{"/incidents/" + incidentNo(2000), "/alerts/" + alertNo(2000), "/incidents/" + incidentNo(2000) + "/story", "/incidents/" + incidentNo(2000) + "/report/json", "/events/e-2000"} {
		w.want(w.api(Viewer, http.MethodGet, path, nil), 404)
	}
	w.want(w.api(Analyst, http.MethodPost, "/incidents/"+incidentNo(2000)+"/status", map[string]any{"status": "closed"}), 404)
	w.want(w.api(Analyst, http.MethodPost, "/incidents/"+incidentNo(1000)+"/merge", map[string]any{"with": []string{incidentNo(2000)}, "reason": "x"}), 404)
	if l := w.engine.told("other"); len(l) > 0 {
		t.Errorf("decisions reached another tenant: %v", l)
	}
}

func TestTheDocumentIsOpenAPI31(t *testing.T) {
	w := newWorld(t)
	doc, ops := document(t, w)
	if doc["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", doc["openapi"])
	}
	seen := map[string]bool{}
	for _, o := range ops {
		if seen[o.id] {
			t.Errorf("operation %s stands there twice", o.id)
		}
		seen[o.id] = true
		params := map[string]bool{}
		l, _ := o.op["parameters"].([]any)
		for _, p := range l {
			p := p.(map[string]any)
			params[fmt.Sprint(p["in"], " ", p["name"])] = true
		}
		for _, part := range strings.Split(o.path, "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok && !params["path "+strings.TrimSuffix(name, "}")] {
				t.Errorf("%s: the path parameter %s is not described", o.id, part)
			}
		}
		if params["query tenant"] != o.tenant {
			t.Errorf("%s: is of a tenant: %v, and takes one: %v", o.id, o.tenant, params["query tenant"])
		}
		if params["header "+idempotencyHeader] != o.changes {
			t.Errorf("%s: changes: %v, and takes a key: %v", o.id, o.changes, params["header "+idempotencyHeader])
		}
		if s, _ := o.op["summary"].(string); s == "" {
			t.Errorf("%s says not what it does", o.id)
		}
		if o.open {
			continue
		}
		if _, ok := o.op["security"].([]any); !ok {
			t.Errorf("%s names no security", o.id)
		}
	}
	// Every schema compiles.
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("catena:api", doc); err != nil {
		t.Fatal(err)
	}
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := c.Compile("catena:api#/components/schemas/" + name); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
	var again map[string]any
	b, err := w.s.OpenAPI()
	must(t, err)
	must(t, json.Unmarshal(b, &again))
}
