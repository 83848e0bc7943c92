package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// elasticVersion is the version of Elasticsearch whose answers these are: senders
// ask for one before they send.
const elasticVersion = "8.19.0"

var elasticName = regexp.MustCompile(`^[^/_][^/]*$`)

// elastic answers what the senders of Elasticsearch (Beats, Logstash, Vector,
// Fluent Bit) ask for: that it is one, that their templates are there, and _bulk,
// which takes the documents of create and index as records and answers item by item.
func (p *Push) elastic(sink Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch") // official clients refuse to send without it
		path := strings.TrimSuffix(r.URL.Path, "/")
		index, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		write := r.Method == http.MethodPost || r.Method == http.MethodPut
		switch {
		case write && path == "/_bulk":
			p.bulk(w, r, sink)
			return
		case write && rest == "_bulk" && elasticName.MatchString(index):
			p.bulk(w, r, sink)
			return
		}
		if _, err := p.in.grant(r); err != nil {
			p.elasticError(w, refusalOf(err))
			return
		}
		read := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case read && path == "":
			writeJSON(w, http.StatusOK, map[string]any{
				"name": "catena", "cluster_name": "catena", "cluster_uuid": "catena-receives-only",
				"version": map[string]any{
					"number": elasticVersion, "build_flavor": "default", "build_type": "tar", "build_snapshot": false,
					"minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0",
				},
				"tagline": "evidence is taken by _bulk only",
			})
		case read && (path == "/_license" || path == "/_xpack"):
			license := map[string]any{"uid": "catena-receives-only", "type": "basic", "mode": "basic", "status": "active"}
			writeJSON(w, http.StatusOK, map[string]any{"license": license, "features": map[string]any{}})
		case read && path == "/_cluster/health":
			writeJSON(w, http.StatusOK, map[string]any{"cluster_name": "catena", "status": "green", "timed_out": false})
		case setsUp(index):
			// There is nothing to set up: what is asked for is there, what is put is taken.
			if read {
				writeJSON(w, http.StatusOK, map[string]any{})
			} else {
				writeJSON(w, http.StatusOK, map[string]any{"acknowledged": true})
			}
		default:
			p.elasticError(w, &refusal{status: http.StatusNotFound, cause: "only _bulk is served here"})
		}
	})
}

// setsUp tells the resources that senders look for, or put, before they send.
func setsUp(resource string) bool {
	switch resource {
	case "_template", "_index_template", "_component_template", "_ilm", "_ingest", "_data_stream", "_alias":
		return true
	}
	return false
}

// elasticError answers as Elasticsearch does when it takes nothing of a request.
func (p *Push) elasticError(w http.ResponseWriter, ref *refusal) {
	p.in.refused(ref)
	ref.header(w.Header())
	kind := "illegal_argument_exception"
	switch ref.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		kind = "es_rejected_execution_exception"
	case http.StatusUnauthorized:
		kind = "security_exception"
	}
	cause := map[string]any{"type": kind, "reason": ref.cause}
	cause["root_cause"] = []any{map[string]any{"type": kind, "reason": ref.cause}}
	writeJSON(w, ref.status, map[string]any{"error": cause, "status": ref.status})
}

// Bounds of one _bulk request beyond those of its bytes: its answer has an item for
// each action.
const (
	maxBulkItems = 100_000
	maxBulkNames = 1 << 20 // bytes of all index names that the answer repeats
	maxAction    = 16 << 10
)

// A bulkItem is what became of one action.
type bulkItem struct {
	action, index string
	status        int
	cause         string
}

// A bulkRun is one _bulk request under way.
type bulkRun struct {
	p     *Push
	pack  *packer
	items []bulkItem
	sent  int // items before this one are on disk or have failed
	names int // bytes of index names so far
	full  *refusal

	lastLine []byte // the newest action, which most of a request are equal to
	last     bulkItem
}

// bulk takes a _bulk request. Items that come after the queue filled up are
// answered with 429 each, so that the sender sends those again and no others.
func (p *Push) bulk(w http.ResponseWriter, r *http.Request, sink Sink) {
	start := p.in.now()
	t, err := p.in.begin(w, r)
	if err != nil {
		p.elasticError(w, refusalOf(err))
		return
	}
	defer t.end()
	run := &bulkRun{p: p, pack: t.packer(sink, "")}
	err = run.read(r.Context(), t)
	if err == nil && run.full == nil {
		run.took(run.pack.flush(r.Context()))
	}
	switch {
	case err != nil:
		p.elasticError(w, refusalOf(err)) // what came before the damage may be kept: it is the sender's to send again
		return
	case run.full != nil && run.pack.taken == 0:
		p.elasticError(w, run.full)
		return
	}
	failed := false
	for _, item := range run.items {
		if item.status >= 300 {
			failed = true
			if item.status == http.StatusTooManyRequests {
				continue
			}
			p.Refused(1, fmt.Errorf("%s: _bulk: %s", t.peer, item.cause))
		}
	}
	if run.full != nil {
		p.PushedBack(run.full)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(run.answer(p.in.now().Sub(start).Milliseconds(), failed)) // a sender that is gone has no use for it
}

// read takes the actions of a request. Its error is that of the request as a whole.
func (b *bulkRun) read(ctx context.Context, t *taking) error {
	var held []byte
	for n := 1; ; n++ {
		line, kept, err := readLine(t.body, held, maxAction)
		held = kept
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errTooLarge):
			return &refusal{status: http.StatusBadRequest, cause: fmt.Sprintf("action %d has more than %d bytes", n, maxAction)}
		case err != nil:
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			n--
			continue
		}
		if len(b.items) >= maxBulkItems {
			return &refusal{status: http.StatusRequestEntityTooLarge, cause: fmt.Sprintf("more than %d actions: send fewer at once", maxBulkItems)}
		}
		item, err := b.action(line)
		if err != nil {
			return &refusal{status: http.StatusBadRequest, cause: fmt.Sprintf("action %d: %v", n, err)}
		}
		if item.action != "delete" {
			doc, kept, err := readLine(t.body, held, t.in.limits.Record)
			held = kept
			switch {
			case errors.Is(err, errTooLarge):
				item.status, item.cause = http.StatusBadRequest, fmt.Sprintf("a document of more than %d bytes", t.in.limits.Record)
			case errors.Is(err, io.EOF):
				return &refusal{status: http.StatusBadRequest, cause: fmt.Sprintf("action %d has no document behind it", n)}
			case err != nil:
				return err
			}
			if item.status == 0 {
				doc = bytes.TrimSpace(doc)
				b.document(ctx, &item, doc)
				continue
			}
		}
		b.items = append(b.items, item)
	}
}

// action reads the line before a document.
func (b *bulkRun) action(line []byte) (bulkItem, error) {
	if len(b.lastLine) > 0 && bytes.Equal(line, b.lastLine) && b.names+len(b.last.index) <= maxBulkNames {
		b.names += len(b.last.index)
		return b.last, nil
	}
	item, err := b.parseAction(line)
	if err == nil {
		b.lastLine, b.last = append(b.lastLine[:0], line...), item
	}
	return item, err
}

func (b *bulkRun) parseAction(line []byte) (bulkItem, error) {
	var actions map[string]struct {
		Index string `json:"_index"`
	}
	if err := json.Unmarshal(line, &actions); err != nil || len(actions) != 1 {
		return bulkItem{}, errors.New("not an object with one of create, index, update, delete")
	}
	for name, meta := range actions {
		item := bulkItem{action: name, index: meta.Index}
		if b.names += len(item.index); b.names > maxBulkNames || len(item.index) > 255 {
			item.index = ""
		}
		switch name {
		case "create", "index":
			return item, nil
		case "update", "delete":
			item.status, item.cause = http.StatusBadRequest, name+": evidence is not changed: use create"
			return item, nil
		}
	}
	return bulkItem{}, errors.New("none of create, index, update, delete")
}

// document takes the document of an item.
func (b *bulkRun) document(ctx context.Context, item *bulkItem, doc []byte) {
	b.items = append(b.items, *item)
	at := len(b.items) - 1
	switch {
	case b.full != nil:
		b.items[at].status, b.items[at].cause = b.full.status, b.full.cause
	case len(doc) < 2 || doc[0] != '{' || doc[len(doc)-1] != '}':
		b.items[at].status, b.items[at].cause = http.StatusBadRequest, "the document is no object"
	default:
		before := b.pack.taken
		err := b.pack.add(ctx, doc)
		if b.pack.taken > before && (err != nil || b.pack.records > 0) {
			b.mark(at, http.StatusCreated, "") // the batch before this document was handed on to make room
		}
		if err != nil || b.pack.records == 0 {
			b.took(err)
		}
	}
}

// took notes what became of all items that have no answer yet.
func (b *bulkRun) took(err error) {
	if err == nil {
		b.mark(len(b.items), http.StatusCreated, "")
		return
	}
	b.full = sinkRefusal(errors.Unwrap(err))
	if b.full.status == http.StatusServiceUnavailable {
		b.full.status = http.StatusTooManyRequests // what senders send again, item by item
	}
	b.p.in.log.Warn("evidence not taken", "receiver", b.p.o.Name, "peer", b.pack.base.Peer, "error", err)
	b.mark(len(b.items), b.full.status, b.full.cause)
}

// mark answers the items before end that have no answer yet.
func (b *bulkRun) mark(end, status int, cause string) {
	for i := b.sent; i < end; i++ {
		if b.items[i].status == 0 {
			b.items[i].status, b.items[i].cause = status, cause
		}
	}
	b.sent = end
}

// answer is that of a request that was read to its end.
func (b *bulkRun) answer(took int64, failed bool) []byte {
	out := fmt.Appendf(nil, `{"took":%d,"errors":%t,"items":[`, took, failed)
	var index, quoted []byte
	for i, item := range b.items {
		if i > 0 {
			out = append(out, ',')
		}
		if quoted == nil || item.index != string(index) {
			index = append(index[:0], item.index...)
			quoted, _ = json.Marshal(item.index) //nolint:errchkjson // a string
		}
		out = fmt.Appendf(out, `{"%s":{"_index":%s,"status":%d`, item.action, quoted, item.status)
		if item.status >= 300 {
			kind := "document_parsing_exception"
			if item.status == http.StatusTooManyRequests {
				kind = "es_rejected_execution_exception"
			}
			cause, _ := json.Marshal(item.cause) //nolint:errchkjson // a string
			out = fmt.Appendf(out, `,"error":{"type":"%s","reason":%s}`, kind, cause)
		} else {
			out = append(out, `,"result":"created"`...)
		}
		out = append(out, "}}"...)
	}
	return append(out, "]}"...)
}
