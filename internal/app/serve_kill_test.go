package app

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/store"
)

// TestMain lets the test binary be a service that a test starts, and kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CATENA_TEST_SERVE"); dir != "" {
		if err := serveUntilKilled(dir, os.Getenv("CATENA_TEST_LISTEN")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveUntilKilled is a service in a process of its own. It prints its welcome.
func serveUntilKilled(dir, listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := config.Default()
	c.Data, c.Listen = dir, listen
	s, err := NewService(ctx, ServiceOptions{Config: c, Version: "test", Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Welcome: func(w Welcome) {
		fmt.Printf("welcome %s %s\n", w.URL, w.Token)
	}})
	if err != nil {
		return err
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	return s.Close()
}

// A victim is a service in another process.
type victim struct {
	cmd        *exec.Cmd
	url, token string
	stderr     *bytes.Buffer
}

func startVictim(t *testing.T, dir string) *victim {
	t.Helper()
	v := &victim{stderr: &bytes.Buffer{}}
	v.cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$") //nolint:gosec // this test
	v.cmd.Env = append(os.Environ(), "CATENA_TEST_SERVE="+dir, "CATENA_TEST_LISTEN=127.0.0.1:0")
	v.cmd.Stderr = v.stderr
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(out)
	for s.Scan() {
		if rest, ok := strings.CutPrefix(s.Text(), "welcome "); ok {
			v.url, v.token, _ = strings.Cut(rest, " ")
			return v
		}
	}
	_ = v.cmd.Wait()
	t.Fatalf("it does not start again: %s", v.stderr)
	return nil
}

func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}

// post sends evidence; nil means that it was acknowledged.
func (v *victim) post(ctx context.Context, c *http.Client, token string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+"/ingest/push", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d: %s", resp.StatusCode, b)
	}
	return err
}

// The kills of the usual run; CATENA_KILLS asks for more.
const usualKills = 4

// A service that is killed again and again while it takes evidence in has all that it
// acknowledged, each record once, and the incidents of one that was left alone.
func TestServeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some ten seconds: not with -short")
	}
	kills := usualKills
	if n, err := strconv.Atoi(os.Getenv("CATENA_KILLS")); err == nil {
		kills = n
	}
	day := theDay(t)
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(7, 7))
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

	var mu sync.Mutex
	acknowledged := map[int]bool{}
	next, token, sent := 0, "", 0
	for killed := 0; killed <= kills; killed++ {
		v := startVictim(t, dir)
		if v.token != "" {
			token = v.token
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 { // marks, which nobody sends again
			wg.Go(func() {
				for ctx.Err() == nil {
					mu.Lock()
					first := next
					next += 50
					mu.Unlock()
					var b bytes.Buffer
					for n := range 50 {
						fmt.Fprintf(&b, "<13>1 2026-03-25T00:00:%02dZ marks probe - - - mark-%d.\n", n, first+n)
					}
					if v.post(ctx, client, token, b.Bytes()) == nil {
						mu.Lock()
						for n := range 50 {
							acknowledged[first+n] = true
						}
						mu.Unlock()
					}
				}
			})
		}
		wg.Go(func() { // the attack, sent until it is taken
			per := max(1, len(day.pieces)/max(1, kills))
			until := sent + per
			if killed == kills {
				until = len(day.pieces)
			}
			for ctx.Err() == nil && sent < min(until, len(day.pieces)) {
				if v.post(ctx, client, token, day.pieces[sent].batch.Data) == nil {
					sent++
				}
			}
			if killed == kills {
				stop()
			}
		})
		if killed < kills {
			time.Sleep(time.Duration(100+random.IntN(900)) * time.Millisecond)
			v.kill()
			stop()
			wg.Wait()
			continue
		}
		wg.Wait()
		v.kill()
	}
	t.Logf("%d kills, %d marks sent, %d acknowledged, %d pieces of the day", kills, next, len(acknowledged), sent)

	c := config.Default()
	c.Data, c.Listen = dir, "127.0.0.1:0"
	r := serve(t, c)
	r.settled(t)
	marks := r.marks(t)
	lost, twice := 0, 0
	for n := range acknowledged {
		if marks[n] == 0 {
			lost++
		}
	}
	for _, n := range marks {
		if n > 1 {
			twice++
		}
	}
	if lost > 0 || twice > 0 || len(acknowledged) == 0 {
		t.Errorf("of %d acknowledged marks %d are lost; %d are there more than once", len(acknowledged), lost, twice)
	}
	got := r.projection(t)

	calm := config.Default()
	calm.Data, calm.Listen = t.TempDir(), "127.0.0.1:0"
	q := serve(t, calm)
	for _, p := range day.pieces {
		if code := q.send(t, q.Token, p.batch.Data); code != http.StatusOK {
			t.Fatalf("%d", code)
		}
	}
	q.settled(t)
	want := q.projection(t)
	if len(got) != len(want) {
		t.Fatalf("incidents after kills\n%+v\nand without\n%+v", got, want)
	}
	for i, w := range want {
		// How much context one takes in depends a little on what came within one tick.
		if g := got[i]; g.id != w.id || g.severity != w.severity || g.alerts*10 < w.alerts*9 || w.alerts*10 < g.alerts*9 {
			t.Errorf("after kills %+v, and without %+v", g, w)
		}
	}
}

var markForm = regexp.MustCompile(`mark-(\d+)\.`)

// marks counts each mark among the events that are kept.
func (r *running) marks(t *testing.T) map[int]int {
	t.Helper()
	x, err := r.tenant("default")
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]int{}
	for q := (store.Query{Text: []string{"mark-"}, Limit: store.MaxEvents}); ; {
		f, err := x.events.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range f.Rows {
			if m := markForm.FindSubmatch(row.Raw); m != nil {
				n, _ := strconv.Atoi(string(m[1]))
				out[n]++
			}
		}
		if q.Cursor = f.Next; q.Cursor == "" {
			return out
		}
	}
}

// An outline is what an incident is made of.
type outline struct {
	id, severity string
	alerts       int
}

// projection outlines the incidents. How they are told may differ in words: what came
// within one tick is put in order together, and kills move the ticks. That one stream
// gives one result to the byte whenever it is killed, TestLiveKilled shows.
func (r *running) projection(t *testing.T) []outline {
	t.Helper()
	x, err := r.tenant("default")
	if err != nil {
		t.Fatal(err)
	}
	p, err := x.cases.Incidents(t.Context(), store.IncidentFilter{Limit: store.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	var out []outline
	for _, l := range p.Items {
		c, err := x.cases.Incident(t.Context(), l.ID)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s", l.ID, l.Title)
		out = append(out, outline{l.ID, string(l.Severity), len(c.Incident.Alerts)})
	}
	slices.SortFunc(out, func(a, b outline) int { return strings.Compare(a.id, b.id) })
	return out
}
