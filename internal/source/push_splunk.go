package source

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// Codes and texts of the answers of Splunk's HTTP event collector, as its senders
// know them.
const (
	hecSuccess      = 0
	hecTokenNeeded  = 2
	hecTokenInvalid = 4
	hecNoData       = 5
	hecBadFormat    = 6
	hecServerError  = 8
	hecBusy         = 9
	hecEventNeeded  = 12
	hecNoAck        = 14
	hecHealthy      = 17
)

type hecAnswer struct {
	Text    string `json:"text"`
	Code    int    `json:"code"`
	Invalid *int64 `json:"invalid-event-number,omitempty"` // from 0
}

// splunk adds the routes of Splunk's HTTP event collector. Its acknowledgements
// are off: an answer means that the events are on disk.
func (p *Push) splunk(mux *http.ServeMux, sink Sink) {
	events := func(w http.ResponseWriter, r *http.Request) { p.hecEvents(w, r, sink) }
	raw := func(w http.ResponseWriter, r *http.Request) { p.hecRaw(w, r, sink) }
	health := func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, hecAnswer{Text: "HEC is healthy", Code: hecHealthy})
	}
	const root = "/services/collector"
	for _, path := range [...]string{root, root + "/event", root + "/event/1.0"} {
		mux.HandleFunc("POST "+path, events)
	}
	for _, path := range [...]string{root + "/raw", root + "/raw/1.0"} {
		mux.HandleFunc("POST "+path, raw)
	}
	for _, path := range [...]string{root + "/health", root + "/health/1.0"} {
		mux.HandleFunc("GET "+path, health)
	}
	mux.HandleFunc(root+"/ack", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusBadRequest, hecAnswer{Text: "ACK is disabled", Code: hecNoAck})
	})
}

// hecEvents takes events: objects one behind the other, each with the record as
// "event" and what else is known of it beside. They are kept as they are, since
// decoders know the envelope. The first that is none ends the request, as it does
// at Splunk; what stands before it is kept.
func (p *Push) hecEvents(w http.ResponseWriter, r *http.Request, sink Sink) {
	t, err := p.in.begin(w, r)
	if err != nil {
		p.hecRefuse(w, refusalOf(err))
		return
	}
	defer t.end()
	pack := t.packer(sink, "")
	j := &jsonReader{r: t.body, max: p.in.limits.Record}
	for n := int64(0); ; n++ {
		object, err := j.next()
		var bad *recordError
		var invalid hecAnswer
		switch {
		case errors.Is(err, io.EOF):
			if n == 0 {
				p.hecInvalid(w, t, hecAnswer{Text: "No data", Code: hecNoData})
				return
			}
			p.hecDone(w, t, pack.flush(r.Context()))
			return
		case errors.As(err, &bad):
			invalid = hecAnswer{Text: "Invalid data format", Code: hecBadFormat, Invalid: &n}
		case err != nil:
			p.hecRefuse(w, refusalOf(err))
			return
		case !bytes.Contains(object, []byte(`"event"`)):
			invalid = hecAnswer{Text: "Event field is required", Code: hecEventNeeded, Invalid: &n}
		}
		if invalid.Code != 0 {
			if err := pack.flush(r.Context()); err != nil {
				p.hecDone(w, t, err)
				return
			}
			p.hecInvalid(w, t, invalid)
			return
		}
		if err := pack.add(r.Context(), object); err != nil {
			p.hecDone(w, t, err)
			return
		}
	}
}

// hecRaw takes text as it is.
func (p *Push) hecRaw(w http.ResponseWriter, r *http.Request, sink Sink) {
	t, err := p.in.begin(w, r)
	if err != nil {
		p.hecRefuse(w, refusalOf(err))
		return
	}
	defer t.end()
	pack := t.packer(sink, "")
	refused := func(_ int64, cause string) { p.Refused(1, errors.New(t.peer+": "+cause)) }
	if beginsJSON(t.body) {
		var a pushed
		err = pack.objects(r.Context(), &jsonReader{r: t.body, max: p.in.limits.Record}, &a)
		for _, e := range a.Errors {
			refused(e.Record, e.Cause)
		}
	} else {
		s := &textStream{r: t.body, p: pack, format: p.o.Format, refused: refused}
		err = s.run(r.Context())
	}
	var failed *sinkError
	switch {
	case err != nil && !errors.As(err, &failed):
		p.hecRefuse(w, refusalOf(err))
	case err == nil && pack.taken == 0:
		p.hecInvalid(w, t, hecAnswer{Text: "No data", Code: hecNoData})
	default:
		p.hecDone(w, t, err)
	}
}

// hecDone answers a request that was read to its end, or as far as the sink took it.
func (p *Push) hecDone(w http.ResponseWriter, t *taking, err error) {
	if err == nil {
		writeJSON(w, http.StatusOK, hecAnswer{Text: "Success", Code: hecSuccess})
		return
	}
	p.in.log.Warn("evidence not taken", "receiver", p.o.Name, "peer", t.peer, "error", err)
	ref := sinkRefusal(errors.Unwrap(err))
	if ref.status == http.StatusTooManyRequests {
		ref.status = http.StatusServiceUnavailable // what senders of Splunk's send again
	}
	p.hecRefuse(w, ref)
}

func (p *Push) hecInvalid(w http.ResponseWriter, t *taking, a hecAnswer) {
	p.Refused(1, errors.New(t.peer+": event collector: "+a.Text))
	writeJSON(w, http.StatusBadRequest, a)
}

func (p *Push) hecRefuse(w http.ResponseWriter, ref *refusal) {
	p.in.refused(ref)
	ref.header(w.Header())
	a := hecAnswer{Text: ref.cause, Code: hecBadFormat}
	switch ref.status {
	case http.StatusUnauthorized:
		a.Code = hecTokenNeeded
		if ref.cause != errNoToken {
			a.Code, ref.status = hecTokenInvalid, http.StatusForbidden
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		a.Code = hecBusy
	case http.StatusInternalServerError:
		a.Code = hecServerError
	}
	writeJSON(w, ref.status, a)
}
