package compare

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Verdict is what an analyst said of an incident or an alert of report A, or of
// B if A has none of that id.
type Verdict struct {
	ID   string
	True bool // an attack, or part of one
	Line int  // where in the file, 1-based
}

// Bounds of a file of verdicts.
const (
	maxVerdictLine = 64 << 10
	maxVerdicts    = 1_000_000
)

// ReadVerdicts reads NDJSON: on each line an object with the id as "incident",
// "alert" or "id", and "verdict": true, "true", "true_positive" or "malicious",
// or false, "false", "false_positive" or "benign". Further fields are allowed.
// Of several lines about one id the last counts. An error names the line.
func ReadVerdicts(src io.Reader) ([]Verdict, error) {
	var out []Verdict
	at := map[string]int{}
	sc := bufio.NewScanner(src)
	sc.Buffer(make([]byte, 0, 4096), maxVerdictLine)
	line := 0
	for sc.Scan() {
		line++
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		v, err := parseVerdict(sc.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		v.Line = line
		if i, ok := at[v.ID]; ok {
			out[i] = v
			continue
		}
		if len(out) == maxVerdicts {
			return nil, fmt.Errorf("line %d: more than %d verdicts", line, maxVerdicts)
		}
		at[v.ID] = len(out)
		out = append(out, v)
	}
	if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: longer than %d bytes", line+1, maxVerdictLine)
	} else if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("no verdict in it")
	}
	return out, nil
}

func parseVerdict(line []byte) (Verdict, error) {
	var v struct {
		ID       string `json:"id"`
		Incident string `json:"incident"`
		Alert    string `json:"alert"`
		Verdict  any    `json:"verdict"`
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return Verdict{}, err
	}
	var ids []string
	for _, id := range []string{v.ID, v.Incident, v.Alert} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) != 1 {
		return Verdict{}, fmt.Errorf("want one of incident, alert and id, have %d", len(ids))
	}
	if b, ok := v.Verdict.(bool); ok {
		return Verdict{ID: ids[0], True: b}, nil
	}
	word, _ := v.Verdict.(string)
	switch strings.ToLower(strings.ReplaceAll(word, " ", "_")) {
	case "true", "true_positive", "malicious":
		return Verdict{ID: ids[0], True: true}, nil
	case "false", "false_positive", "benign":
		return Verdict{ID: ids[0]}, nil
	}
	return Verdict{}, fmt.Errorf("verdict %v: want true or false (true_positive, malicious, false_positive, benign)", v.Verdict)
}

// A VerdictResult is what B does to what analysts judged.
type VerdictResult struct {
	TrueKept  int `json:"true_kept"`
	TrueLost  int `json:"true_lost"`
	FalseKept int `json:"false_kept"`
	FalseGone int `json:"false_gone"`
	// Glued counts the incidents of B that tell both what was judged true and what
	// was judged false.
	Glued   int       `json:"glued"`
	Unknown int       `json:"unknown"` // ids that neither report has
	OnlyB   int       `json:"only_b"`  // judged in B, and not in A
	Judged  []Outcome `json:"judged"`
}

// An Outcome is what became of one thing that was judged.
type Outcome struct {
	ID      string `json:"id"`
	What    string `json:"what"` // incident, alert, or empty if unknown
	True    bool   `json:"true"`
	Outcome string `json:"outcome"` // kept, lost (true ones), gone (false ones), new (only in B), unknown
	// In are the incidents of B that tell it now.
	In   []string `json:"in"`
	Line int      `json:"line"`
}

func (c *comparison) judge(verdicts []Verdict) *VerdictResult {
	res := &VerdictResult{Judged: make([]Outcome, 0, len(verdicts))}
	heirs := map[int][]string{}
	for _, s := range c.shared {
		heirs[s.a] = append(heirs[s.a], c.b.incidents[s.b].ID)
	}
	says := map[string]int{} // incidents of B: 1 true, 2 false, 3 both
	for _, v := range verdicts {
		o := c.outcome(v, heirs)
		switch {
		case o.Outcome == "unknown":
			res.Unknown++
		case o.Outcome == "new":
			res.OnlyB++
		case v.True && o.Outcome == "kept":
			res.TrueKept++
		case v.True:
			res.TrueLost++
		case o.Outcome == "kept":
			res.FalseKept++
		default:
			res.FalseGone++
		}
		bit := 2
		if v.True {
			bit = 1
		}
		for _, id := range o.In {
			says[id] |= bit
		}
		res.Judged = append(res.Judged, o)
	}
	for _, s := range says {
		if s == 3 {
			res.Glued++
		}
	}
	return res
}

// outcome says what became of v, where heirs are the incidents of B that an
// incident of A became.
func (c *comparison) outcome(v Verdict, heirs map[int][]string) Outcome {
	o := Outcome{ID: v.ID, True: v.True, In: []string{}, Line: v.Line, Outcome: "lost"}
	if !v.True {
		o.Outcome = "gone"
	}
	if i, ok := c.a.byInc[v.ID]; ok {
		o.What = "incident"
		o.In = append(o.In, heirs[i]...)
		if len(o.In) > 0 {
			o.Outcome = "kept"
		}
		return o
	}
	if i, ok := c.a.byAlert[v.ID]; ok {
		o.What = "alert"
		if c.shows(i, &o.In) {
			o.Outcome = "kept"
		}
		return o
	}
	if _, ok := c.b.byInc[v.ID]; ok {
		o.What, o.Outcome, o.In = "incident", "new", []string{v.ID}
		return o
	}
	if j, ok := c.b.byAlert[v.ID]; ok {
		o.What, o.Outcome = "alert", "new"
		if id := c.b.incidentOf(j); id != "" {
			o.In = append(o.In, id)
		}
		return o
	}
	o.Outcome = "unknown"
	return o
}

// shows reports whether B shows the records of alert i of A to an analyst: in an
// incident, by whatever rule, or as a serious alert that stands alone.
func (c *comparison) shows(i int, in *[]string) bool {
	seen := map[int32]bool{}
	for _, p := range c.a.alertPlaces[i] {
		for _, j := range c.b.holders[p] {
			seen[j] = true
		}
	}
	for j := range seen {
		*in = append(*in, c.b.incidents[j].ID)
	}
	slices.Sort(*in)
	return len(seen) > 0 || c.pairA[i] >= 0 && c.b.alone[c.pairA[i]]
}
