package store

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// smallDisk mounts a disk of so many KiB, and returns how to make it read-only and back.
func smallDisk(t *testing.T, kib string) (dir string, readOnly func(bool)) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+kib+"k"); err != nil {
		t.Skipf("mounting a small disk is not allowed here (%v): run as root", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir, func(ro bool) {
		flags := uintptr(syscall.MS_REMOUNT)
		if ro {
			flags |= syscall.MS_RDONLY
		}
		must(t, syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+kib+"k"))
	}
}

// When the disk is full, what is refused leaves nothing, what was acknowledged stays, and
// with room again it goes on.
func TestAFullDisk(t *testing.T) {
	dir, _ := smallDisk(t, "1500")
	c := openCases(t, dir)
	n := uint64(0)
	var err error
	for err == nil {
		n++
		_, _, err = c.Commit(ctx, Commit{Offset: n, Time: day, Alerts: testAlerts(int(n)*3, int(n)*3+1, int(n)*3+2), Changes: []model.Change{{Kind: model.IncidentGrown}}})
	}
	wantErr(t, err, ErrFull)
	applied, err := c.Applied(ctx)
	must(t, err)
	if applied != n-1 || c.LastChange() != int64(n-1) {
		t.Fatalf("round %d did not fit, and %d are applied", n, applied)
	}
	consistent(t, c)
	must(t, c.Close())
	c = openCases(t, dir)
	defer func() { must(t, c.Close()) }()
	if applied, err = c.Applied(ctx); err != nil || applied != n-1 {
		t.Fatalf("opened again, %d are applied: %v", applied, err)
	}
	consistent(t, c)
}

func TestAFullDiskOfEvents(t *testing.T) {
	dir, _ := smallDisk(t, "300")
	e := openEvents(t, dir, EventsOptions{SealRows: 1 << 30})
	n := 0
	var err error
	for err == nil {
		_, err = e.Append(ctx, uint64(n+1), rowsOf(n*200, n*200+200))
		n++
	}
	n--
	wantErr(t, err, ErrFull)
	if n < 5 || e.Position() != uint64(n) {
		t.Fatalf("%d batches fit, the position is %d", n, e.Position())
	}
	checkFound(t, e, rowsOf(0, n*200))
	wantErr(t, e.Seal(ctx), ErrFull) // no room for the segment beside the log, or for a new log
	checkFound(t, e, rowsOf(0, n*200))
	must(t, e.Close())
	// More room, as when somebody deleted something.
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8000k"))
	e = openEvents(t, dir, EventsOptions{})
	defer func() { must(t, e.Close()) }()
	equal(t, e.Position(), uint64(n))
	appendRows(t, e, rowsOf(n*200, n*200+200)...)
	must(t, e.Seal(ctx))
	checkFound(t, e, rowsOf(0, n*200+200))
	if s := e.Stats(); len(s.Damage) > 0 || s.Failing != "" {
		t.Fatalf("stats are %+v", s)
	}
}

// On a disk that became read-only everything that was there can be read.
func TestAReadOnlyDisk(t *testing.T) {
	dir, readOnly := smallDisk(t, "8000")
	c := openCases(t, dir)
	e := openEvents(t, filepath.Join(dir, "events"), EventsOptions{})
	commit(t, c, Commit{Offset: 1, Alerts: testAlerts(0)})
	appendRows(t, e, rowsOf(0, 10)...)
	must(t, errors.Join(c.Close(), e.Close()))
	readOnly(true)
	_, err := OpenCases(dir)
	wantErr(t, err, ErrReadOnly)
	_, err = OpenEvents(filepath.Join(dir, "events"), EventsOptions{})
	wantErr(t, err, ErrReadOnly)
	readOnly(false)
	c = openCases(t, dir)
	defer func() { must(t, c.Close()) }()
	n, err := c.Applied(ctx)
	must(t, err)
	equal(t, n, uint64(1))
}
