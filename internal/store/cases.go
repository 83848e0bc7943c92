package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/catena-sec/catena/internal/model"
)

// CasesFile is the name of the file of cases in a tenant's folder.
const CasesFile = "cases.db"

// Cases are one tenant's incidents, alerts, entities, decisions and outbox. They are safe
// for use by many goroutines: one writes at a time, and who reads never waits for it.
type Cases struct {
	objects
	audits

	db    *database
	zip   *zstd.Encoder
	unzip *zstd.Decoder

	mu      sync.Mutex
	grown   chan struct{} // closed when changes are added
	lastSeq int64
}

// OpenCases opens the cases in a folder, making both when missing. The error is one of
// ErrReadOnly, ErrLocked, ErrForeign, ErrNewer, ErrDamaged, ErrFull where one of these
// is why.
func OpenCases(dir string) (*Cases, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explain("make", dir, err)
	}
	db, err := openDatabase(filepath.Join(dir, CasesFile), casesApplication, casesMigrations())
	if err != nil {
		return nil, err
	}
	c := &Cases{objects: objects{db}, audits: audits{db}, db: db, grown: make(chan struct{})}
	if c.zip, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if c.unzip, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(readers), zstd.WithDecoderMaxMemory(maxDocument)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	err = db.view(context.Background(), "read", func(s *snapshot) error {
		return s.get("SELECT coalesce(max(seq), 0) FROM change", nil, &c.lastSeq)
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close lets go of the file. Calls from then on return ErrClosed.
func (c *Cases) Close() error {
	err := c.db.Close()
	if c.unzip != nil {
		c.unzip.Close()
	}
	return explain("close", c.db.path, err)
}

// Bounds of one commit, and of what is kept of its parts beyond their documents.
const (
	maxDocument        = 256 << 20 // bytes of an incident or alert as JSON
	maxAlertEntities   = 200       // by which an alert is found
	maxIncidentMembers = 200_000
	maxIncidentLinks   = 5_000 // entities by which an incident is found
	maxTags            = 2_000 // stages, tactics, techniques and sources by which it is found
	maxSearch          = 16 << 10
	maxHistory         = 5_000 // versions of an incident that are told
	maxText            = 4_000 // bytes of a title, reason or detail in a column
)

// A Commit is what one round of the live engine comes to.
type Commit struct {
	// Offset is the position in the stream up to which the commit holds all. It grows
	// from commit to commit.
	Offset uint64
	// Time is when the round ended, of its tick.
	Time time.Time
	// Alerts are those that are new or changed. Alerts of no incident are kept as well.
	Alerts []model.Alert
	// Incidents are those that are new or changed. An incident holds the alerts that its
	// lists name; one that they name no longer is of no incident, unless another names it.
	Incidents []Written
	// Merged are incidents that are part of another from now on. What was said about
	// them, their history and their milestones go with them.
	Merged []model.Redirect
	// Withdrawn are ids of incidents that are none any more and part of no other.
	Withdrawn []string
	// Changes are what people are to be told; Seq, and Time where it is zero, are set here.
	Changes []model.Change
	// State is what the engine keeps of itself, by name; nil deletes.
	State map[string][]byte
}

// Written is one incident as the engine tells it.
type Written struct {
	Incident model.Incident
	Why      string   // what changed, for the history; may be empty
	Sources  []string // products and formats that show it
	// Milestones of the engine: Act, Arrived, Alerted, Raised. A later one replaces an
	// earlier; of those of people the first counts.
	Milestones model.Milestones
}

// Commit takes one round of the engine in: all of it or, with an error, nothing. A commit
// at or below the offset that was applied before does nothing, and applied is false. The
// changes are returned with their numbers.
//
// Alerts and incidents that have no JSON form, no id or are beyond all bounds are left out,
// and the rest is taken in: applied is true then, and the error is an ErrInvalid that names
// them. An attacker who brings one about stops nothing else.
func (c *Cases) Commit(ctx context.Context, in Commit) (applied bool, changes []model.Change, err error) {
	docs := c.encode(&in)
	err = c.db.update(ctx, "commit to", func(t *tx) error {
		applied, changes = false, nil
		old, err := offset(t)
		if err != nil || in.Offset <= old {
			return err
		}
		w := &round{tx: t, at: clampMicro(in.Time)}
		for i := range in.Alerts {
			if docs.alerts[i] == nil {
				continue
			}
			if err := w.alert(&in.Alerts[i], docs.alerts[i]); err != nil {
				return fmt.Errorf("alert %s: %w", in.Alerts[i].ID, err)
			}
		}
		for i := range in.Incidents {
			if docs.incidents[i] == nil {
				continue
			}
			if err := w.incident(&in.Incidents[i], docs.incidents[i]); err != nil {
				return fmt.Errorf("incident %s: %w", in.Incidents[i].Incident.ID, err)
			}
		}
		for _, m := range in.Merged {
			if err := w.merge(m); err != nil {
				return fmt.Errorf("merge of %s into %s: %w", m.From, m.To, err)
			}
		}
		for _, id := range in.Withdrawn {
			if err := w.withdraw(id); err != nil {
				return fmt.Errorf("incident %s: %w", id, err)
			}
		}
		if err := putState(t, in.State); err != nil {
			return err
		}
		for _, ch := range in.Changes {
			if ch.Time.IsZero() {
				ch.Time = in.Time
			}
			if ch, err = addChange(t, ch); err != nil {
				return err
			}
			changes = append(changes, ch)
		}
		applied = true
		_, err = t.exec("INSERT INTO fact (name, value) VALUES ('offset', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", fmt.Append(nil, in.Offset))
		return err
	})
	if err != nil {
		return false, nil, err
	}
	c.announce(changes)
	if applied {
		err = explain("commit to", c.db.path, docs.refused)
	}
	return applied, changes, err
}

// Applied returns the offset of the last commit, 0 before the first.
func (c *Cases) Applied(ctx context.Context) (n uint64, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		n, err = offset(s)
		return err
	})
	return n, err
}

func offset(q querier) (n uint64, err error) {
	var b []byte
	switch err := q.get("SELECT value FROM fact WHERE name = 'offset'", nil, &b); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, err
	}
	if _, err := fmt.Sscanf(string(b), "%d", &n); err != nil {
		return 0, fmt.Errorf("%w: the offset is %q", ErrDamaged, b)
	}
	return n, nil
}

// stateFact begins the names of the facts that are the engine's own.
const stateFact = "state:"

func putState(t *tx, state map[string][]byte) error {
	for name, v := range state {
		var err error
		if v == nil {
			_, err = t.exec("DELETE FROM fact WHERE name = ?", stateFact+name)
		} else {
			_, err = t.exec("INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", stateFact+name, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// State returns what the engine keeps of itself under a name; nil if there is nothing.
func (c *Cases) State(ctx context.Context, name string) (v []byte, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		err := s.get("SELECT value FROM fact WHERE name = ?", []any{stateFact + name}, &v)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return v, err
}
