// Package simulate makes evidence: a day in the logs of an estate of Windows,
// Linux, AWS and identity, with planted attacks and the truth about them beside.
//
// Everything follows from the seed: the same seed gives the same bytes, on every
// machine, and planting another attack does not change what the background did.
// All addresses are private or set aside for documentation (RFC 1918, RFC 5737),
// all names end in example (RFC 2606).
//
// A scenario tells what happens in the words of winacts.go, linuxacts.go and their like (a process starts,
// somebody logs on, an API is called); these make the records that the sensors of
// the estate would write; a format renders them and says which number each record
// has; truth.go collects whose they are.
package simulate

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Options say what to make.
type Options struct {
	// Seed decides everything.
	Seed uint64
	// Scenarios are the attacks to plant, by name; none means all of them. Those of
	// BenignNames are no attacks, and planted only where they are named. "quiet"
	// plants nothing and is alone in its effect.
	Scenarios []string

	// Products adds to the form evidence the alerts of products that watch the same
	// estate, and to the truth which records tell of the same act.
	Products bool

	// Troubles lets lines of the form evidence come late, twice, or all at once after
	// an outage, as they do where logs are collected.
	Troubles bool

	// Form is "evidence" (or empty), the logs of one day of a small estate, or
	// "alerts", what products raised in a fleet of any size. The rest is about the
	// form alerts only; what is zero takes its default.
	Form      string
	Hosts     int     // machines of each tenant; 2,000
	Days      int     // 10, from a Monday on
	Campaigns int     // attacks; 8
	Tenants   int     // organisations that know nothing of each other; 1
	Noise     float64 // how many false positives, as a multiple of the usual
}

// Alerts is the form of a fleet of which only products' alerts are made.
const Alerts = "alerts"

// Evidence is the form in which the logs of an estate are made.
const Evidence = "evidence"

// Check says what is wrong with the options, if anything.
func (o Options) Check() error {
	if (o.Products || o.Troubles) && o.Form == Alerts {
		return fmt.Errorf("products and troubles are for the form %s: the form %s has both", Evidence, Alerts)
	}
	if o.Form != "" && o.Form != Evidence && o.Form != Alerts {
		return fmt.Errorf("form %q: want %s or %s", o.Form, Evidence, Alerts)
	}
	known := append(Names(), BenignNames()...)
	if o.Form == Alerts {
		known = AlertNames()
	}
	for _, name := range o.Scenarios {
		if name != Quiet && !slices.Contains(known, name) {
			return fmt.Errorf("scenario %q: with the form %s there are %s and %s", name, cmp.Or(o.Form, Evidence), strings.Join(known, ", "), Quiet)
		}
	}
	if o.Form != Alerts {
		if o.Hosts != 0 || o.Days != 0 || o.Campaigns != 0 || o.Tenants != 0 || o.Noise != 0 {
			return fmt.Errorf("hosts, days, campaigns, tenants and noise are for the form %s", Alerts)
		}
		return nil
	}
	for _, x := range []struct {
		what     string
		n        int
		min, max int
	}{{"hosts", o.Hosts, minHosts, maxHosts}, {"days", o.Days, 1, maxDays}, {"campaigns", o.Campaigns, 1, maxCampaigns}, {"tenants", o.Tenants, 1, maxTenants}} {
		if x.n != 0 && (x.n < x.min || x.n > x.max) {
			return fmt.Errorf("%s %d: want %d to %d", x.what, x.n, x.min, x.max)
		}
	}
	if o.Noise != 0 && !(o.Noise >= 0 && o.Noise <= maxNoise) { // NaN is neither
		return fmt.Errorf("noise %v: want 0 to %d", o.Noise, maxNoise)
	}
	return nil
}

// Summary counts what was written.
type Summary struct {
	Records   int64
	Files     int
	Campaigns int
}

// Quiet is the scenario without an attack.
const Quiet = "quiet"

// A scenario plants one attack.
type scenario struct {
	name  string
	plant func(*world)
}

func scenarios() []scenario {
	return []scenario{
		{"ssh-to-bucket", sshToBucket},
		{"phish-to-ransomware", phishToRansomware},
		{"consent-to-mail", consentToMail},
	}
}

// Names lists the attacks that can be planted.
func Names() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// BenignNames lists what can be planted besides that looks like an attack and is
// none.
func BenignNames() []string {
	var names []string
	for _, s := range benignScenarios() {
		names = append(names, s.name)
	}
	return names
}

// AlertNames lists the attacks that can be planted with the form Alerts.
func AlertNames() []string { return slices.Clone(fleetKinds) }

// Write makes dir/evidence and dir/truth.json. The evidence of an earlier run is
// removed first; a folder "evidence" that no truth.json of ours stands beside is
// refused, so that a folder given by mistake loses nothing.
func Write(dir string, o Options) (Summary, error) {
	if err := o.Check(); err != nil {
		return Summary{}, fmt.Errorf("simulate: %w", err)
	}
	if err := clearOld(dir); err != nil {
		return Summary{}, fmt.Errorf("simulate: %w", err)
	}
	if o.Form == Alerts {
		return writeFleet(dir, o)
	}
	w := newWorld(o.Seed)
	if o.Products {
		w.watch = newWatch(o.Seed)
	}
	background(w)
	for _, s := range scenarios() {
		if len(o.Scenarios) == 0 || slices.Contains(o.Scenarios, s.name) {
			s.plant(w)
		}
	}
	for _, s := range benignScenarios() {
		if slices.Contains(o.Scenarios, s.name) {
			s.plant(w)
		}
	}
	if o.Troubles {
		w.conditions = w.trouble()
	}
	return w.write(dir)
}

// clearOld removes the evidence of an earlier run, which is known by the truth
// beside it.
func clearOld(dir string) error {
	root, truth := filepath.Join(dir, "evidence"), filepath.Join(dir, "truth.json")
	if entries, err := os.ReadDir(root); err != nil || len(entries) == 0 {
		return nil //nolint:nilerr // what is not there need not be removed
	}
	src, err := os.ReadFile(truth) //nolint:gosec // the caller's folder
	if err != nil || !bytes.Contains(src, []byte(model.TruthSchema)) {
		return fmt.Errorf("%s is not empty and no simulation: %s is no truth", root, truth)
	}
	return os.RemoveAll(root)
}

// write renders all files and the truth.
func (w *world) write(dir string) (Summary, error) {
	root := filepath.Join(dir, "evidence")
	sum := Summary{Campaigns: len(w.campaigns)}
	files := slices.Clone(w.files)
	slices.SortFunc(files, func(a, b *logFile) int { return cmp.Compare(a.path, b.path) })
	for _, f := range files {
		if len(f.records) == 0 {
			continue
		}
		slices.SortStableFunc(f.records, func(a, b record) int { return a.at.Compare(b.at) })
		numbers, err := writeFile(filepath.Join(root, filepath.FromSlash(f.path)), f)
		if err != nil {
			return Summary{}, fmt.Errorf("simulate: %w", err)
		}
		w.note(f, numbers)
		sum.Files++
		sum.Records += int64(len(f.records))
	}
	truth := &watchedTruth{Truth: *w.truth(), Conditions: w.conditions}
	truth.Benign = w.benign
	if w.watch != nil {
		truth.SameActs = sameActs(w.watch.acts)
	}
	src, err := json.MarshalIndent(truth, "", " ")
	if err != nil {
		return Summary{}, fmt.Errorf("simulate: truth: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "truth.json"), append(src, '\n'), 0o644); err != nil { //nolint:gosec // evidence is made to be read
		return Summary{}, fmt.Errorf("simulate: %w", err)
	}
	return sum, nil
}

// writeFile renders one file and returns the number of each of its records.
func writeFile(path string, f *logFile) (numbers []int64, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as above
		return nil, err
	}
	out, err := os.Create(path) //nolint:gosec // the caller's folder
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	var to io.Writer = out
	var zip *gzip.Writer
	if strings.HasSuffix(path, ".gz") {
		zip = gzip.NewWriter(out) // its header holds no time
		to = zip
	}
	b := bufio.NewWriterSize(to, 1<<18)
	numbers = f.format.render(b, f.records)
	if err := b.Flush(); err != nil {
		return nil, err
	}
	if zip != nil {
		if err := zip.Close(); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// note takes down which records of a file belong to a campaign.
func (w *world) note(f *logFile, numbers []int64) {
	for i, r := range f.records {
		if a := r.mark.activity; a != nil {
			a.Records = append(a.Records, fmt.Sprintf("%s#%d", f.path, numbers[i]))
		}
		if r.mark.campaign == nil {
			continue
		}
		c := r.mark.campaign
		w.records = append(w.records, model.TruthRecord{Input: f.path, Record: numbers[i], Campaign: c.ID, Step: r.mark.step})
		if r.mark.act != "" {
			w.watch.same(r.mark, fmt.Sprintf("%s#%d", f.path, numbers[i]))
		}
		if r.mark.step > 0 {
			c.shown = append(c.shown, sight{r.at, r.mark.step, fmt.Sprintf("%s#%d", f.path, numbers[i])})
		}
	}
}
