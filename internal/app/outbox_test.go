package app

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/respond"
	"github.com/catena-sec/catena/internal/store"
)

// What a round of the engine commits is told to a real receiver, once, and the incident
// says when; what was told stays told when all is opened again.
func TestOutboxTellsOnce(t *testing.T) {
	var mu sync.Mutex
	var got []respond.Event
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var e respond.Event
		if err := json.Unmarshal(b, &e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		got = append(got, e)
		mu.Unlock()
	}))
	defer hook.Close()
	allowed, err := respond.Networks([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	dial := respond.NewDialer(allowed)
	env := respond.Environment{Client: respond.NewClient(dial), Dial: dial, Now: time.Now}
	defer env.Client.CloseIdleConnections()
	notify := config.Notify{
		Targets: []config.Target{{Name: "hook", Kind: "webhook", URL: hook.URL, PerMinute: 6000}},
		Routes:  []config.Route{{Name: "all", Targets: []string{"hook"}, Severity: "high"}},
	}
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	dirs := map[string]string{"a": t.TempDir(), "b": t.TempDir()}
	round := func() {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		o := newOutbox()
		defer o.remove()
		var opened []*store.Cases
		for id, dir := range dirs {
			c, err := store.OpenCases(dir)
			if err != nil {
				t.Fatal(err)
			}
			opened = append(opened, c)
			o.add(ctx, id, c)
		}
		w, err := respond.NewWorker(o, respond.Options{Notify: notify, BaseURL: "https://catena.example.org", Clean: func(s string) string { return s }, Log: slog.New(slog.DiscardHandler), Env: env})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range opened {
			in := model.Incident{ID: "inc-1", Title: "An attack", Severity: model.High, FirstSeen: at, LastSeen: at}
			if _, _, err := c.Commit(ctx, store.Commit{Offset: 7, Time: at, Incidents: []store.Written{{Incident: in}}, Changes: []model.Change{{Kind: model.IncidentRaised, Incident: "inc-1", Severity: model.High}}}); err != nil {
				t.Fatal(err)
			}
		}
		for busy := true; busy; {
			if busy, err = w.Step(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range opened {
			x, err := c.Incident(ctx, "inc-1")
			if err != nil || x.Milestones.Noticed == nil {
				t.Errorf("nobody noticed: %+v %v", x.Milestones, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	round()
	round() // the same again, as after a crash
	if len(got) != 2 || got[0].Source == got[1].Source || got[0].Data.Incident == nil {
		t.Errorf("told %d times: %+v", len(got), got)
	}
}
