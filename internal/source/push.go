package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// PushOptions are those of a Push.
type PushOptions struct {
	Name         string
	Limits       Limits
	Authenticate Authenticate
	Format       Format           // may be nil
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: none
}

// Push takes evidence that is sent by HTTP: records of JSON and lines of text as
// they are, Elasticsearch's _bulk, and Splunk's HTTP event collector. A request is
// answered once its records are on disk, or with what became of them.
type Push struct {
	Counters
	o  PushOptions
	in *intake
}

// NewPush returns a Push.
func NewPush(o PushOptions) *Push {
	p := &Push{o: o}
	p.in = newIntake(o.Limits, o.Authenticate, o.Now, o.Log, &p.Counters)
	return p
}

// Name is its name in the configuration.
func (p *Push) Name() string { return p.o.Name }

// Handler answers:
//
//	POST /push, /push/FORMAT            records; see push
//	POST /_bulk, /INDEX/_bulk           Elasticsearch; see elastic
//	POST /services/collector/...        Splunk; see splunk
//
// and what the senders of the latter two ask before they send.
func (p *Push) Handler(sink Sink) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /push", func(w http.ResponseWriter, r *http.Request) { p.push(w, r, sink) })
	mux.HandleFunc("POST /push/{format}", func(w http.ResponseWriter, r *http.Request) { p.push(w, r, sink) })
	p.splunk(mux, sink)
	mux.Handle("/", p.elastic(sink))
	return mux
}

// pushed is the answer to a push.
type pushed struct {
	Accepted int64         `json:"accepted"`
	Refused  int64         `json:"refused"`
	Errors   []pushedError `json:"errors,omitempty"` // the first of what was refused
	Error    string        `json:"error,omitempty"`  // why the request was not read to its end
}

type pushedError struct {
	Record int64  `json:"record"` // 1 is the first of the request
	Cause  string `json:"cause"`
}

// maxTold bounds the errors that an answer tells one by one.
const maxTold = 20

func (a *pushed) refuse(record int64, cause string) {
	a.Refused++
	if len(a.Errors) < maxTold {
		a.Errors = append(a.Errors, pushedError{record, cause})
	}
}

// formatName is what a decoder may be called.
var formatName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// push takes records: JSON objects (a line each, concatenated, in an array, or in a
// wrapper such as {"Records":[), else text by lines, CSV with its header, a Windows
// event log, or what else the decoders know; compressed with gzip, zstd or deflate.
// FORMAT names the decoder if content does not tell.
//
// The answer counts what was taken and what was not: 200 if anything was, 400 if
// nothing was. 429 and 503 mean that all should be sent again: what was taken before
// is known again if both requests have the same Idempotency-Key.
func (p *Push) push(w http.ResponseWriter, r *http.Request, sink Sink) {
	var answer pushed
	format := r.PathValue("format")
	if format != "" && !formatName.MatchString(format) {
		p.answer(w, answer, &refusal{status: http.StatusNotFound, cause: "no format has this name: send to /push"})
		return
	}
	t, err := p.in.begin(w, r)
	if err != nil {
		p.answer(w, answer, refusalOf(err))
		return
	}
	defer t.end()
	pack := t.packer(sink, format)
	pack.id = requestID(pack.base, r.Header)
	if isCSV(r.Header.Get("Content-Type")) && format == "" {
		pack.base.Format = formatCSV
	}
	if pack.base.Format == "" && beginsJSON(t.body) || pack.base.Format == formatJSON {
		err = pack.objects(r.Context(), &jsonReader{r: t.body, max: p.in.limits.Record}, &answer)
	} else {
		s := &textStream{r: t.body, p: pack, format: p.o.Format, refused: answer.refuse}
		err = s.run(r.Context())
	}
	answer.Accepted = pack.taken
	if answer.Refused > 0 {
		p.Refused(int(answer.Refused), errors.New(t.peer+": "+answer.Errors[0].Cause))
	}
	var failed *sinkError
	switch {
	case errors.As(err, &failed):
		p.in.log.Warn("evidence not taken", "receiver", p.o.Name, "peer", t.peer, "error", failed.err)
		p.answer(w, answer, sinkRefusal(failed.err))
	case err != nil:
		p.answer(w, answer, refusalOf(err))
	case answer.Accepted == 0 && answer.Refused > 0:
		writeJSON(w, http.StatusBadRequest, answer)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// objects hands on the objects that j reads, and tells in answer of those that are none.
func (p *packer) objects(ctx context.Context, j *jsonReader, answer *pushed) error {
	for {
		object, err := j.next()
		var bad *recordError
		switch {
		case errors.As(err, &bad):
			answer.refuse(bad.Record, bad.Cause)
			continue
		case errors.Is(err, io.EOF):
			return p.flush(ctx)
		case err != nil:
			return err
		}
		if err := p.add(ctx, object); err != nil {
			return err
		}
	}
}

// answer tells that a request was not taken, or not to its end.
func (p *Push) answer(w http.ResponseWriter, a pushed, ref *refusal) {
	p.in.refused(ref)
	ref.header(w.Header())
	a.Error = ref.cause
	writeJSON(w, ref.status, a)
}

func isCSV(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/csv")
}

// beginsJSON tells whether what r yields begins as objects of JSON do.
func beginsJSON(r *bufio.Reader) bool {
	head, _ := r.Peek(512) // an error shows when it is read
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '[' && beginsArray(head[1:]))
}

// beginsArray tells the [ of an array of objects from that of a line such as
// [2026-01-02 03:04:05] or [error].
func beginsArray(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) == 0 || rest[0] == '{' || rest[0] == ']'
}
