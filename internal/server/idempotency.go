package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxKey            = 200 // bytes of a key
	keyLife           = 24 * time.Hour
	maxAnswers        = 4096     // that are remembered
	maxAnswer         = 64 << 10 // bytes of one
)

// An answers remembers what changes with a key were answered, so that one that is sent
// again, its first answer having been lost on the way, is not made again. It is kept in
// memory: what outlives a restart is the change itself.
type answers struct {
	keys *recent[string, *answer]
	now  func() time.Time
}

type answer struct {
	mu     sync.Mutex // held while the change is made
	asked  [sha256.Size]byte
	at     time.Time
	done   bool
	status int
	header http.Header
	body   []byte
}

func newAnswers(now func() time.Time) *answers {
	return &answers{keys: newRecent[string, *answer](maxAnswers), now: now}
}

// once makes changes that carry a key at most once. A key is the caller's own: nobody
// else is given the answer.
func (a *answers) once(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get(idempotencyHeader)
		p := principalOf(r.Context())
		if key == "" || p == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		if len(key) > maxKey {
			writeProblem(w, http.StatusBadRequest, "the header "+idempotencyHeader+" is longer than 200 bytes")
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			writeProblem(w, http.StatusBadRequest, "the body could not be read to its end")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body)) // one that is too long is refused further on
		asked := sha256.Sum256([]byte(r.Method + "\x00" + r.URL.RequestURI() + "\x00" + r.Header.Get("If-Match") + "\x00" + string(body)))

		var e *answer
		a.keys.with(p.who()+"\x00"+key, func() *answer { return &answer{} }, func(v **answer) {
			if (*v).done && a.now().Sub((*v).at) > keyLife {
				*v = &answer{}
			}
			e = *v
		})
		if !e.mu.TryLock() {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusConflict, "a change with this "+idempotencyHeader+" is being made; ask again in a second")
			return
		}
		defer e.mu.Unlock()
		switch {
		case e.done && e.asked != asked:
			writeProblem(w, http.StatusUnprocessableEntity, "this "+idempotencyHeader+" was used for another change; take a new one for each")
			return
		case e.done:
			for k, v := range e.header {
				w.Header()[k] = v
			}
			w.Header().Set("Idempotent-Replay", "true")
			w.WriteHeader(e.status)
			_, _ = w.Write(e.body) // the caller has gone, or has it
			return
		}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		// What failed on our side, or was too early, may be tried again.
		if rec.status < 500 && rec.status != http.StatusTooManyRequests && rec.status != http.StatusConflict && !rec.long {
			e.asked, e.at, e.done, e.status, e.body = asked, a.now(), true, rec.status, rec.body.Bytes()
			e.header = http.Header{}
			for _, k := range []string{"Content-Type", "Etag", "Location"} {
				if v := w.Header().Values(k); len(v) > 0 {
					e.header[k] = v
				}
			}
		}
	})
}

// A recorder keeps what it passes on, up to maxAnswer.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	long   bool
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.body.Len()+len(b) > maxAnswer {
		r.long = true
		r.body.Reset()
	}
	if !r.long {
		r.body.Write(b)
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what is beneath.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// writeProblem answers with a problem document where no route does.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail}) // the caller has gone
}

// wantsPage says whether a request is of a browser that shows what it gets.
func wantsPage(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}
