// Package app puts the parts together: what decoders, detectors and writers there
// are (catalog.go), the one path that evidence takes through them (analyze.go),
// and what a run can be told (Options).
package app

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/pack"
	"github.com/catena-sec/catena/internal/story"
	"github.com/catena-sec/catena/sigma"
)

// Options are what a run can be told.
type Options struct {
	Version   string
	RuleDirs  []string        // packs, folders or files of Sigma rules, besides our own; see package pack for which of two with one id is used
	NoBuiltin bool            // leave our own rules out
	Disable   []pack.Selector // rules and detectors that are switched off
	Mappings  []string        // mapping files, besides our own
	Adapt     Adapt           // what is made of rules before they are used
	AllAlerts bool            // put every alert in the report, not only those of incidents
	Since     time.Time
	Until     time.Time      // events outside are left out; zero means no bound
	Zone      *time.Location // for stamps without a zone; nil means UTC
	Year      int            // for stamps without a year; 0 lets the decoder find out
	Workers   int            // 0 means all cores; the result does not depend on it
	Stdin     io.Reader      // what the path "-" reads
	GeoIP     []string       // MaxMind databases of places and networks
	Decisions string         // file of the journal of analysts' decisions; see package casebook
	Assets    []story.Asset  // what must be told of each incident how it stands; see ReadAssets
	// Memory is the file of what runs remember of entities for months; it is made when
	// missing. Without one, memory ends with the run.
	Memory string
	// Progress is told now and then how far the work is; nil means nobody asks.
	Progress func(Progress)
}

// Progress says how far a run is.
type Progress struct {
	Phase  string // "reading", "fusing", "collecting evidence"
	Input  string // the one being read
	Inputs int
	Bytes  int64
	Events int64
	Done   bool
}

// App runs analyses. It is built once, from Options, and holds no state between
// runs.
type App struct {
	opt      Options
	registry *decode.Registry
	engine   *detect.Engine
	rules    []*sigma.Rule
	set      *sigma.Set
	packs    *pack.Set // which rules and set are of
	adapted  string    // digest of what Adapt made of rules
	refused  []Refusal
	names    *model.Names
	tells    tells
	places   detect.Places // nil if unknown
	maxActs  int           // see maxActs
	years    *yearly       // decoders of the live engine

	pageBudget int    // see pageBudget
	meter      *meter // nil but for Bench
}

// New loads rules, mappings and the GeoIP database. A rule that cannot be used is
// no error: Refused lists them. An unreadable folder of rules, a broken mapping or
// a database that is none is one.
func New(o Options) (*App, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	a := &App{opt: o, names: model.NewNames(), maxActs: maxActs, pageBudget: pageBudget, years: &yearly{}}
	a.tells = newTells(a.names)
	if len(o.GeoIP) > 0 {
		places, err := detect.OpenGeoIP(o.GeoIP...)
		if err != nil {
			return nil, fmt.Errorf("read the GeoIP database: %w", err)
		}
		a.places = places
	}
	mappings, err := loadMappings(o.Mappings)
	if err != nil {
		return nil, err
	}
	a.registry = decode.NewRegistry(decoders(decode.Options{Names: a.names, Zone: o.Zone, Year: o.Year, Mappings: mappings})...)
	if err := a.loadRules(); err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	return a, nil
}

// Refused lists the rules that cannot be used, with file, line and reason.
func (a *App) Refused() []Refusal { return a.refused }

// Rules returns how many rules are in use.
func (a *App) Rules() int { return a.engine.Rules() }

func (a *App) progress(p Progress) {
	if a.opt.Progress != nil {
		a.opt.Progress(p)
	}
}
