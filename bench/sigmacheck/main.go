// Command sigmacheck runs the Windows rules of a folder over evidence with Catena
// and with two other Sigma engines for Go, all behind the same routing by log
// source: how fast each is, whether they find the same, and if not, why.
//
//	go run . -rules FOLDER EVIDENCE...
//
// It stands in a module of its own so that what it compares with is no dependency
// of Catena. It exits with 1 if a match of Catena's plan is contradicted by its
// plain evaluation, or if nothing explains a difference.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/catena-sec/catena/internal/detect"
)

func main() {
	rules := flag.String("rules", "", "`folder` of Sigma rules")
	rounds := flag.Int("rounds", 3, "speed is the best of `N` rounds")
	budget := flag.Duration("budget", 5*time.Second, "how long a slow engine may take for one round; it gets every kth event")
	only := flag.Bool("ours", false, "measure Catena alone")
	show := flag.Int("v", 1, "show `N` examples of each kind of difference")
	dump := flag.String("dump", "", "write events and our matches to this `folder`, for engines that are no Go library")
	flag.Parse()
	if flag.NArg() == 0 || *rules == "" {
		flag.Usage()
		os.Exit(2)
	}
	ok, err := run(os.Stdout, options{*rules, flag.Args(), *rounds, *budget, *only, *show, *dump})
	if err != nil {
		fmt.Fprintln(os.Stderr, "sigmacheck:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

type options struct {
	rules  string
	paths  []string
	rounds int
	budget time.Duration
	only   bool
	show   int
	dump   string
}

func run(w io.Writer, o options) (ok bool, err error) {
	ev, err := gather(o.paths)
	if err != nil {
		return false, err
	}
	p, err := loadRules(o.rules, ev.names)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(w, "evidence: %d inputs, %.1f MB, %d events of Windows, %d others\n", len(ev.inputs), float64(ev.bytes)/1e6, len(ev.events), ev.others)
	fmt.Fprintf(w, "rule files: %d, parsed in %d ms and compiled in %d ms; %d refused; rules of Windows: %d\n",
		p.files, p.parse.Milliseconds(), p.compiling.Milliseconds(), len(p.refused), len(p.rules))
	if len(ev.events) == 0 {
		return false, fmt.Errorf("no events of Windows in %s", strings.Join(o.paths, ", "))
	}
	events := make([]*flatEvent, len(ev.events))
	for i := range ev.events {
		events[i] = newFlat(ev, p, &ev.events[i])
	}
	looks := 0
	for _, e := range events {
		looks += len(e.rules)
	}
	fmt.Fprintf(w, "rules that look at an event, on average: %d\n", looks/len(events))
	if o.dump != "" {
		return true, dump(o.dump, ev, p, events)
	}
	all := runtime.GOMAXPROCS(0)
	var cores []int
	for _, n := range []int{1, 2} {
		if n <= all {
			cores = append(cores, n)
		}
	}
	for _, n := range cores {
		runtime.GOMAXPROCS(n)
		if err := alone(w, ev, p, events, n, o.rounds); err != nil {
			return false, err
		}
	}
	runtime.GOMAXPROCS(all)
	if o.only {
		return true, nil
	}
	ok = true
	for _, e := range []engine{sigmaGo{}, goSigma{}, goSigma{keepBlanks: true}} {
		l := load(e, p)
		sample := affordable(l, events, o.budget)
		fmt.Fprintf(w, "\n%s: loads %d of %d rules; measured and compared on %d events (every %dth)\n", l.name(), l.ok(), len(p.rules), len(sample), (len(events)+len(sample)-1)/len(sample))
		for _, n := range cores {
			runtime.GOMAXPROCS(n)
			if err := against(w, p, l, sample, events, n, o.rounds); err != nil {
				return false, err
			}
		}
		runtime.GOMAXPROCS(all)
		c := compare(ev, p, l, sample)
		if err := tell(w, c, p, o.show); err != nil {
			return false, err
		}
		ok = ok && len(c.misjudged) == 0 && !slices.ContainsFunc(c.differences, func(d difference) bool { return strings.HasPrefix(d.class, "!") })
	}
	return ok, nil
}

// alone measures Catena over all the evidence.
func alone(w io.Writer, ev *evidence, p *pack, events []*flatEvent, n, rounds int) error {
	tenth := p.every(10, ev.names)
	bytes := func(e *detect.Engine) func() (int, int) { return func() (int, int) { return ev.endToEnd(e, n) } }
	times := passes(events)
	c := measure(rounds, bytes(nil), bytes(p.engine), bytes(tenth.engine), ours(p.engine, events, n, times), ours(tenth.engine, events, n, times))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\ncatena, %d core(s)\tevents/s\tMB/s\tCPU µs/event\tallocs/event\tmatches\t\n", n)
	for i, name := range []string{"bytes to events", "bytes to matches", "the same, a tenth of the rules", "events to matches", "the same, a tenth of the rules"} {
		r := c[i]
		mb := "-"
		if i < 3 {
			mb = fmt.Sprintf("%.0f", float64(ev.bytes)/1e6/r.wall.Seconds())
		}
		reps := 1
		if i >= 3 {
			reps = times
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%.2f\t%.2f\t%d\t\n", name, r.rate(), mb, r.each(), float64(r.allocs)/float64(r.events), r.matches/reps)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "by CPU time: with rules over decoding alone %.2f; %d rules over %d: %.2f of bytes to matches, %.2f of events to matches\n",
		c[1].each()/c[0].each(), len(p.rules), len(tenth.rules), c[1].each()/c[2].each(), c[3].each()/c[4].each())
	return err
}

// against measures Catena on all events and another engine on those it has time
// for, in turns.
func against(w io.Writer, p *pack, l *loaded, sample, events []*flatEvent, n, rounds int) error {
	times := passes(events)
	c := measure(rounds, theirs(l, sample, n), ours(p.engine, events, n, times))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%d core(s)\tevents/s\tCPU µs/event\tallocs/event\tmatches\t\n", n)
	for i, name := range []string{l.name(), "catena"} {
		r := c[i]
		reps := 1
		if i == 1 {
			reps = times
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.1f\t%.2f\t%d\t\n", name, r.rate(), r.each(), float64(r.allocs)/float64(r.events), r.matches/reps)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "ratio: %.1f by the clock, %.1f by CPU time\n", c[1].rate()/c[0].rate(), c[0].each()/c[1].each())
	return err
}

// tell prints what was compared, each kind of difference with examples.
func tell(w io.Writer, c *comparison, p *pack, show int) error {
	fmt.Fprintf(w, "rules that matched in either: %d the same, %d not; matches of both: %d, only ours: %d, only theirs: %d\n", c.equalRules, c.unequal, c.both, c.onlyOurs, c.onlyTheirs)
	for _, m := range c.misjudged {
		fmt.Fprintln(w, "! our plan is wrong:", m)
	}
	type kind struct {
		class string
		ours  bool
	}
	type tally struct {
		n        int
		rules    map[int]bool
		examples []string
	}
	kinds := map[kind]*tally{}
	var order []kind
	for _, d := range c.differences {
		k := kind{d.class, d.ours}
		t := kinds[k]
		if t == nil {
			t = &tally{rules: map[int]bool{}}
			kinds[k] = t
			order = append(order, k)
		}
		t.n++
		if !t.rules[d.rule] && len(t.examples) < show {
			t.examples = append(t.examples, p.rules[d.rule].file+": "+d.proof)
		}
		t.rules[d.rule] = true
	}
	slices.SortStableFunc(order, func(a, b kind) int { return kinds[b].n - kinds[a].n })
	for _, k := range order {
		who := "only theirs"
		if k.ours {
			who = "only ours"
		}
		t := kinds[k]
		fmt.Fprintf(w, "  %s, %d matches of %d rules: %s\n", who, t.n, len(t.rules), k.class)
		for _, e := range t.examples {
			fmt.Fprintf(w, "      %s\n", clip(e, 400))
		}
	}
	return nil
}
