// Command evtxcheck compares Catena's EVTX decoder with two programs that share
// no code with it, over every EVTX file below the given folders, members of zip
// archives included: record for record and field for field with
// www.velocidex.com/golang/evtx, whose speed it measures too, and with -evtxexport
// with libevtx.
//
//	GOMAXPROCS=1 go run . [-evtxexport] [-v N] FOLDER...
//
// It stands in a module of its own so that what it compares with is no dependency
// of Catena. It exits with 1 if a difference remains that no known habit of the
// other program explains.
package main

import (
	"archive/zip"
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
)

type file struct {
	path string
	data []byte
}

// A field is one value of a record under the name that Catena gives it.
type field struct{ name, value string }

// A record is one event by its id in its log.
type record struct {
	id     string
	fields []field
}

func main() {
	libevtx := flag.Bool("evtxexport", false, "compare with evtxexport (package libevtx-utils), too")
	show := flag.Int("v", 0, "print up to `N` differences of each kind")
	rounds := flag.Int("rounds", 3, "speed is the best of `N` rounds")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	files, err := collect(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "evtxcheck:", err)
		os.Exit(1)
	}
	ok := compare("velocidex", files, velocidexRecords, *show)
	if *libevtx {
		ok = compare("libevtx", files, libevtxRecords, *show) && ok
	}
	if err := speed(files, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "evtxcheck:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// collect reads every EVTX file below the paths, in the order of their names.
func collect(paths []string) ([]file, error) {
	var files []file
	add := func(path string, data []byte) {
		if bytes.HasPrefix(data, []byte("ElfFile\x00")) {
			files = append(files, file{path, data})
		}
	}
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			ext := strings.ToLower(filepath.Ext(path))
			if ext != ".evtx" && ext != ".zip" {
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if ext == ".evtx" {
				add(path, data)
				return nil
			}
			z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			for _, m := range z.File {
				if !strings.HasSuffix(strings.ToLower(m.Name), ".evtx") {
					continue
				}
				r, err := m.Open()
				if err != nil {
					return fmt.Errorf("%s!%s: %w", path, m.Name, err)
				}
				member, err := io.ReadAll(r)
				if err != nil {
					return fmt.Errorf("%s!%s: %w", path, m.Name, err)
				}
				add(path+"!"+m.Name, member)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// ours decodes a file with Catena.
func ours(f file) (events []record, errors int) {
	names := model.NewNames()
	forEach(decode.EVTX(decode.Options{Names: names}), f, func(b *decode.Batch) {
		errors += len(b.Errors)
		for i := range b.Events {
			r := record{}
			for _, s := range b.Events[i].Slots {
				name := names.Name(s.Field)
				if name == "EventRecordID" && r.id == "" {
					r.id = s.Text
				}
				r.fields = append(r.fields, field{name, s.Text})
			}
			events = append(events, r)
		}
	}, func(model.InputError) { errors++ })
	return events, errors
}

func forEach(d decode.Decoder, f file, fn func(*decode.Batch), bad func(model.InputError)) {
	err := d.Frame(bytes.NewReader(f.data), func(c decode.Chunk) error {
		var b decode.Batch
		c.Input = f.path
		d.Decode(c, &b)
		fn(&b)
		return nil
	}, bad)
	if err != nil {
		bad(model.InputError{Cause: err.Error()})
	}
}

// compare prints how far the records of other agree with ours, and returns
// whether every difference is explained.
func compare(name string, files []file, other func(file) ([]record, error), show int) bool {
	var total, theirsTotal, sameCount, differCount, unread int
	kinds := map[string]int{}
	shown := map[string]int{}
	note := func(kind, format string, args ...any) {
		kinds[kind]++
		if shown[kind] < show {
			shown[kind]++
			fmt.Fprintf(os.Stderr, "%s: %s: %s\n", name, kind, fmt.Sprintf(format, args...))
		}
	}
	for _, f := range files {
		mine, _ := ours(f)
		theirs, err := other(f)
		if err != nil {
			unread++
			if len(theirs) == 0 {
				note("~ file it cannot read", "%s: %v", f.path, err)
				continue
			}
		}
		total += len(mine)
		theirsTotal += len(theirs)
		if len(mine) == len(theirs) {
			sameCount++
		} else {
			differCount++
			kind := "! records only in theirs"
			if len(mine) > len(theirs) {
				kind = "~ file of which it reads fewer records"
			}
			note(kind, "%s: ours %d, theirs %d", f.path, len(mine), len(theirs))
		}
		byID := map[string][]record{}
		for _, r := range mine {
			byID[r.id] = append(byID[r.id], r)
		}
		for _, r := range theirs {
			same := byID[r.id]
			if len(same) == 0 {
				note(recordKind(f), "%s: record %s", f.path, r.id)
				continue
			}
			byID[r.id] = same[1:]
			compareFields(same[0].fields, r.fields, func(kind, what string) {
				note(kind, "%s: record %s: %s", f.path, r.id, what)
			})
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\tfiles\t%d\n", name, len(files))
	fmt.Fprintf(w, "\tfiles with the same number of records\t%d\n", sameCount)
	fmt.Fprintf(w, "\tfiles with another number\t%d\n", differCount)
	fmt.Fprintf(w, "\tfiles it reports an error in\t%d\n", unread)
	fmt.Fprintf(w, "\trecords, ours in files it can read\t%d\n", total)
	fmt.Fprintf(w, "\trecords, theirs\t%d\n", theirsTotal)
	sorted := make([]string, 0, len(kinds))
	for k := range kinds {
		sorted = append(sorted, k)
	}
	sort.Strings(sorted)
	ok := true
	for _, k := range sorted {
		fmt.Fprintf(w, "\t%s\t%d\n", k, kinds[k])
		ok = ok && !strings.HasPrefix(k, "!")
	}
	if err := w.Flush(); err != nil {
		return false
	}
	return ok
}

// recordKind tells whether a record that ours leaves out was damaged, as our
// errors say, or was overlooked.
func recordKind(f file) string {
	if _, errors := ours(f); errors > 0 {
		return "~ damaged record, which ours reports as such"
	}
	return "! record not in ours"
}

// speed prints how long both take to decode all files to fields.
func speed(files []file, rounds int) error {
	var size int64
	for _, f := range files {
		size += int64(len(f.data))
	}
	type result struct {
		events int
		took   time.Duration
	}
	best := func(run func() (int, error)) (result, error) {
		var r result
		for i := 0; i < rounds; i++ {
			start := time.Now()
			n, err := run()
			if err != nil {
				return r, err
			}
			if took := time.Since(start); r.took == 0 || took < r.took {
				r = result{n, took}
			}
		}
		return r, nil
	}
	mine, err := best(func() (n int, err error) {
		d := decode.EVTX(decode.Options{Names: model.NewNames()})
		for _, f := range files {
			forEach(d, f, func(b *decode.Batch) { n += len(b.Events) }, func(model.InputError) {})
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	theirs, err := best(func() (n int, err error) {
		for _, f := range files {
			n += velocidexCount(f)
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nspeed\tevents\tseconds\tevents/s\tMB/s\n")
	for _, r := range []struct {
		name string
		result
	}{{"catena", mine}, {"velocidex", theirs}} {
		s := r.took.Seconds()
		fmt.Fprintf(w, "%s\t%d\t%.3f\t%.0f\t%.0f\n", r.name, r.events, s, float64(r.events)/s, float64(size)/s/1e6)
	}
	ratio := float64(mine.events) / mine.took.Seconds() / (float64(theirs.events) / theirs.took.Seconds())
	fmt.Fprintf(w, "ratio\t\t\t%.1f\t\n", ratio)
	return w.Flush()
}
