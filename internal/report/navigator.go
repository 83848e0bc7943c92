package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Navigator returns the writer of a layer (format 4.5) for the ATT&CK
// Navigator, https://github.com/mitre-attack/attack-navigator: each technique
// seen in an incident, scored with the worst incident that shows it, and, grey
// and without score, those seen only in serious alerts that joined nothing.
func Navigator() Writer { return navigatorWriter{} }

type navigatorWriter struct{}

func (navigatorWriter) Name() string { return "navigator" }
func (navigatorWriter) File() string { return "navigator.json" }

// Versions of the layer format and of the Navigator it was checked against.
const (
	layerVersion     = "4.5"
	navigatorVersion = "5.1.0"
)

type layer struct {
	Name        string           `json:"name"`
	Versions    layerVersions    `json:"versions"`
	Domain      string           `json:"domain"`
	Description string           `json:"description"`
	Sorting     int              `json:"sorting"` // 3: by score, highest first
	HideOff     bool             `json:"hideDisabled"`
	Techniques  []layerTechnique `json:"techniques"`
	Gradient    layerGradient    `json:"gradient"`
	Legend      []layerLegend    `json:"legendItems"`
	Expand      string           `json:"expandedSubtechniques"`
}

type layerVersions struct {
	Attack    string `json:"attack"`
	Navigator string `json:"navigator"`
	Layer     string `json:"layer"`
}

type layerTechnique struct {
	ID       string      `json:"techniqueID"`
	Score    *int        `json:"score,omitempty"`
	Color    string      `json:"color,omitempty"`
	Comment  string      `json:"comment"`
	Enabled  bool        `json:"enabled"`
	Metadata []layerMeta `json:"metadata"`
}

type layerMeta struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type layerGradient struct {
	Colors []string `json:"colors"`
	Min    int      `json:"minValue"`
	Max    int      `json:"maxValue"`
}

type layerLegend struct {
	Label string `json:"label"`
	Color string `json:"color"`
}

const aloneColor = "#bdbdbd"

// layerNames bounds how many incidents a comment names.
const layerNames = 10

func (navigatorWriter) Write(w io.Writer, r *model.Report) error {
	major, _, _ := strings.Cut(Clean(r.Engine.AttackVersion), ".")
	l := layer{
		Name:     "Catena: techniques seen",
		Versions: layerVersions{major, navigatorVersion, layerVersion},
		Domain:   "enterprise-attack",
		Description: fmt.Sprintf("%s from %s in %s. Score: the worst incident that shows the technique.",
			plural(int64(r.Totals.Incidents), "incident"), plural(int64(r.Totals.Alerts), "alert"), plural(r.Totals.Events, "event")),
		Sorting:    3,
		Techniques: layerTechniques(r),
		Gradient:   layerGradient{[]string{"#fff4d6", "#f0a33c", "#b3123b"}, 0, 100},
		Legend: []layerLegend{{"low score", "#fff4d6"}, {"middle score", "#f0a33c"}, {"high score", "#b3123b"},
			{"only in alerts that joined no incident", aloneColor}},
		Expand: "annotated",
	}
	b, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return fmt.Errorf("write navigator layer: %w", err)
	}
	_, err = w.Write(append(escapeHidden(b), '\n'))
	return err
}

func layerTechniques(r *model.Report) []layerTechnique {
	type seen struct {
		score, steps, incidents int
		names                   []string
	}
	by := make(map[string]*seen)
	for i := range r.Incidents {
		inc := &r.Incidents[i]
		steps := make(map[string]int)
		for _, s := range inc.Steps {
			steps[s.Technique]++
		}
		for _, id := range inc.Techniques {
			s := by[id]
			if s == nil {
				s = &seen{}
				by[id] = s
			}
			s.score = max(s.score, inc.Score)
			s.steps += steps[id]
			if s.incidents++; s.incidents <= layerNames {
				s.names = append(s.names, Clean(fmt.Sprintf("%s (%s %d): %s", inc.ID, inc.Severity, inc.Score, inc.Title)))
			}
		}
	}
	out := make([]layerTechnique, 0, len(by))
	for id, s := range by {
		score := s.score
		if n := s.incidents - len(s.names); n > 0 {
			s.names = append(s.names, "and "+plural(int64(n), "more incident"))
		}
		out = append(out, layerTechnique{ID: Clean(id), Score: &score, Comment: strings.Join(s.names, "\n"), Enabled: true,
			Metadata: []layerMeta{{"incidents", strconv.Itoa(s.incidents)}, {"steps", strconv.Itoa(s.steps)}}})
	}
	alone := make(map[string]int)
	alerts := alertsByID(r)
	for _, id := range r.Alone {
		if a := alerts[id]; a != nil {
			for _, t := range a.Techniques {
				if by[t] == nil {
					alone[t]++
				}
			}
		}
	}
	for id, n := range alone {
		out = append(out, layerTechnique{ID: Clean(id), Color: aloneColor, Comment: "Seen only in " + plural(int64(n), "alert") + " that joined no incident.",
			Enabled: true, Metadata: []layerMeta{{"alerts", strconv.Itoa(n)}}})
	}
	slices.SortFunc(out, func(a, b layerTechnique) int { return strings.Compare(a.ID, b.ID) })
	return out
}
