package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/catena-sec/catena/client"
)

func TestTheGoClient(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	c := client.New(w.web.URL+"/", w.tokens[Analyst])
	page, err := c.ListIncidents(ctx, client.ListIncidentsParams{Open: "yes", Severity: []string{"high", "critical"}, Since: w.clock.now().Add(-2 * time.Hour), Limit: 10})
	must(t, err)
	if len(page.Body.Items) != 1 || page.Body.Items[0].ID != incidentNo(1000) || page.Body.Items[0].Title != hostile {
		t.Fatalf("%+v", page.Body)
	}
	id := page.Body.Items[0].ID
	x, err := c.GetIncident(ctx, id, client.GetIncidentParams{})
	must(t, err)
	done, err := c.SetStatus(ctx, id, client.StatusIn{Status: "in_progress", Reason: "looking"}, client.SetStatusParams{IfMatch: x.ETag})
	must(t, err)
	if !done.Body.Applied || done.ETag == x.ETag || done.Body.Decision.Author != "svc-analyst" {
		t.Errorf("%+v", done)
	}
	_, err = c.SetStatus(ctx, id, client.StatusIn{Status: "closed"}, client.SetStatusParams{IfMatch: x.ETag})
	if !client.IsStatus(err, http.StatusPreconditionFailed) {
		t.Errorf("with an old tag: %v", err)
	}
	if _, err = c.GetIncident(ctx, "inc/../x y", client.GetIncidentParams{}); !client.IsStatus(err, http.StatusNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err = c.ListAccounts(ctx, client.ListAccountsParams{}); !client.IsStatus(err, http.StatusForbidden) {
		t.Errorf("what is not the caller's: %v", err)
	}
	file, err := c.GetReport(ctx, id, "csv", client.GetReportParams{})
	if err != nil || len(file.Body) == 0 {
		t.Errorf("report: %d bytes, %v", len(file.Body), err)
	}
	ev, err := c.Hunt(ctx, client.HuntParams{Text: []string{"alert(1)"}, Field: []string{"host=web1"}})
	if err != nil || len(ev.Body.Items) != 3 {
		t.Errorf("hunt: %v", err)
	}
	must(t, c.DeleteHunt(ctx, "x", client.DeleteHuntParams{IfMatch: mustTag(t, c)}))
}

func mustTag(t *testing.T, c *client.Client) string {
	t.Helper()
	x, err := c.PutHunt(t.Context(), "x", client.SavedIn{Body: []byte(`{"text":["a"]}`)}, client.PutHuntParams{})
	must(t, err)
	return x.ETag
}

func TestTheGoClientTriesAgain(t *testing.T) {
	w := newWorld(t)
	// The first answer to each request is lost after it was given.
	var n atomic.Int64
	lossy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 1 {
			w.s.Handler().ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		w.s.Handler().ServeHTTP(rw, r)
	}))
	defer lossy.Close()
	c := client.New(lossy.URL, w.tokens[Analyst])
	done, err := c.CommentIncident(t.Context(), incidentNo(1000), client.Remark{Text: "once"}, client.CommentIncidentParams{})
	must(t, err)
	if l := w.engine.told(DefaultTenant); len(l) != 1 || l[0].ID != done.Body.Decision.ID {
		t.Errorf("decisions %+v", l)
	}
}

func TestTheGoClientHearsOfChanges(t *testing.T) {
	w := newWorld(t)
	c := client.New(w.web.URL, w.tokens[Viewer])
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	enough := errors.New("enough")
	heard := 0
	w.incident(DefaultTenant, 5, 1)
	last, err := c.Changes(ctx, "", 1, func(ch client.Change) error {
		heard++
		if ch.Incident != incidentNo(1000*(heard+4)) || ch.Kind != "incident_raised" {
			t.Errorf("heard %+v", ch)
		}
		if heard == 2 {
			return enough
		}
		// The connection ends between two changes.
		w.web.CloseClientConnections()
		w.incident(DefaultTenant, 6, 1)
		return nil
	})
	if !errors.Is(err, enough) || heard != 2 || last != 2 {
		t.Errorf("heard %d up to %d, %v", heard, last, err)
	}
	if _, err := client.New(w.web.URL, "cat_wrong").Changes(ctx, "", 0, nil); !client.IsStatus(err, http.StatusUnauthorized) {
		t.Errorf("with a wrong token: %v", err)
	}
}
