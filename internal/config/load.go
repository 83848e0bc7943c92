package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Problem is something wrong with a configuration.
type Problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"` // from 1; 0 if it stands in no file
	Column int    `json:"column,omitempty"`
	Path   string `json:"path"` // such as receivers.syslog[0].listen
	Text   string `json:"text"`
}

// Error says where and what.
func (p Problem) Error() string {
	where := p.Path
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Path)
	}
	return strings.TrimPrefix(where+": "+p.Text, ": ")
}

// Problems are all that is wrong, in the order of the file.
type Problems []Problem

// Error lists them, a line each.
func (l Problems) Error() string {
	var b strings.Builder
	for i, p := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// Bounds of a file: more than any real one has.
const (
	maxFile     = 4 << 20
	maxList     = 10_000
	maxProblems = 100
)

// Load reads a file (an empty path is none), then environ ("CATENA_BUS_REPLICAS=5"),
// then sets ("bus.replicas=5", as flags give them); what comes later wins. The error
// is a Problems if the file could be read.
func Load(path string, environ, sets []string) (Config, error) {
	c := Default()
	r := reader{file: path, lines: map[string]*yaml.Node{}}
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return c, fmt.Errorf("read the configuration: %w", err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		if err != nil {
			return c, fmt.Errorf("read the configuration: %w", err)
		}
		r.parse(b, &c)
	}
	r.environ(environ, &c)
	for _, s := range sets {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			r.problem(nil, name, "write it as "+name+"=VALUE")
			continue
		}
		r.set(&c, strings.Split(name, "."), value)
	}
	r.check(&c)
	return c, r.err()
}

// Parse is Load of a file's text.
func Parse(file string, text []byte) (Config, error) {
	c := Default()
	r := reader{file: file, lines: map[string]*yaml.Node{}}
	r.parse(text, &c)
	r.check(&c)
	return c, r.err()
}

// err is what is wrong, in the order of the file.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return r.problems
}

type reader struct {
	file     string
	lines    map[string]*yaml.Node // where each path stands
	problems Problems
}

func (r *reader) problem(n *yaml.Node, path, text string) {
	if len(r.problems) >= maxProblems {
		return
	}
	p := Problem{Path: path, Text: text}
	if n == nil {
		n = r.lines[path]
	}
	if n != nil {
		p.File, p.Line, p.Column = r.file, n.Line, n.Column
	}
	r.problems = append(r.problems, p)
}

func (r *reader) parse(text []byte, c *Config) {
	if len(text) > maxFile {
		r.problem(nil, "", fmt.Sprintf("%s is larger than %s", quote(r.file), Size(maxFile)))
		return
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF): // nothing said
		return
	case err != nil:
		r.problems = append(r.problems, Problem{Path: r.file, Text: strings.TrimPrefix(err.Error(), "yaml: ")})
		return
	}
	if err := d.Decode(&more); err == nil {
		r.problem(&more, "", "one document is read; this is a second one")
	}
	if len(doc.Content) == 1 {
		r.node(doc.Content[0], reflect.ValueOf(c).Elem(), "", "")
	}
}

// node reads n into v. kind is path without the numbers of list elements.
func (r *reader) node(n *yaml.Node, v reflect.Value, path, kind string) {
	if path != "" {
		r.lines[path] = n
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.problem(n, path, "anchors and aliases are not used here; write the value out")
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	switch v.Kind() { //nolint:exhaustive // the kinds that Config has
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			r.problem(n, path, "a list of names and values is expected here")
			return
		}
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			at := join(path, key.Value)
			f, ok := field(v, key.Value)
			switch {
			case !ok:
				r.problem(key, at, "unknown; "+nearest(key.Value, names(v.Type())))
			case seen[key.Value]:
				r.problem(key, at, "said twice")
			default:
				seen[key.Value] = true
				r.node(n.Content[i+1], f, at, join(kind, key.Value))
			}
		}
	case reflect.Slice:
		if n.Kind == yaml.ScalarNode && v.Type().Elem().Kind() == reflect.String {
			n = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{n}, Line: n.Line, Column: n.Column}
		}
		if n.Kind != yaml.SequenceNode {
			r.problem(n, path, "a list is expected here, each of its items after a hyphen")
			return
		}
		if len(n.Content) > maxList {
			r.problem(n, path, fmt.Sprintf("at most %d items", maxList))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, e := range n.Content {
			if x := item(kind); x != nil {
				v.Index(i).Set(reflect.ValueOf(x))
			}
			r.node(e, v.Index(i), path+"["+strconv.Itoa(i)+"]", kind)
		}
	default:
		if n.Kind != yaml.ScalarNode {
			r.problem(n, path, "one value is expected here")
			return
		}
		if err := scalar(v, n.Value); err != nil {
			r.problem(n, path, err.Error())
		}
	}
}

// scalar reads text into v.
func scalar(v reflect.Value, text string) error {
	switch v.Interface().(type) {
	case Duration:
		d, err := parseDuration(text)
		v.SetInt(int64(d))
		return err
	case Size:
		s, err := parseSize(text)
		v.SetInt(int64(s))
		return err
	}
	switch v.Kind() { //nolint:exhaustive // the kinds that Config has
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		switch strings.ToLower(text) {
		case "true", "yes", "on":
			v.SetBool(true)
		case "false", "no", "off":
			v.SetBool(false)
		default:
			return fmt.Errorf("%s is neither true nor false", quote(text))
		}
	case reflect.Int:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 32)
		if err != nil {
			return fmt.Errorf("%s is no whole number up to 2147483647", quote(text))
		}
		v.SetInt(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || x != x {
			return fmt.Errorf("%s is no number", quote(text))
		}
		v.SetFloat(x)
	}
	return nil
}

// environ takes the variables that begin with CATENA_: the names of a path in capital
// letters, joined by an underscore. Lists of values are split at commas; lists of more
// than values stand in the file.
func (r *reader) environ(environ []string, c *Config) {
	environ = slices.Clone(environ)
	slices.Sort(environ)
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		rest, ok := strings.CutPrefix(name, "CATENA_")
		if !ok || slices.Contains(notOurs, name) {
			continue
		}
		path, ok := variable(reflect.TypeFor[Config](), strings.ToLower(rest))
		if !ok {
			r.problem(nil, name, "this environment variable names no setting; docs/serve.example.yml has the names, as CATENA_BUS_REPLICAS for bus.replicas")
			continue
		}
		r.set(c, path, value)
	}
}

// notOurs are variables of that beginning that tests and scripts of ours use.
var notOurs = []string{"CATENA_DATA", "CATENA_CONFIG", "CATENA_SCOREBOARD", "CATENA_TOKEN", "CATENA_URL"}

// variable finds the path whose names, joined, are name.
func variable(t reflect.Type, name string) ([]string, bool) {
	for _, f := range reflect.VisibleFields(t) {
		n := f.Tag.Get("yaml")
		if n == name && f.Type.Kind() != reflect.Struct {
			return []string{n}, true
		}
		if rest, ok := strings.CutPrefix(name, n+"_"); ok && f.Type.Kind() == reflect.Struct {
			if p, ok := variable(f.Type, rest); ok {
				return append([]string{n}, p...), true
			}
		}
	}
	return nil, false
}

// set gives the setting at path the value.
func (r *reader) set(c *Config, path []string, value string) {
	v, at := reflect.ValueOf(c).Elem(), strings.Join(path, ".")
	for _, n := range path {
		if v.Kind() != reflect.Struct {
			r.problem(nil, at, "only the file can say this")
			return
		}
		f, ok := field(v, n)
		if !ok {
			r.problem(nil, at, "unknown; "+nearest(n, names(v.Type())))
			return
		}
		v = f
	}
	delete(r.lines, at) // it does not come from the file any more
	switch {
	case v.Kind() == reflect.Struct, v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.String:
		r.problem(nil, at, "only the file can say this")
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		for s := range strings.SplitSeq(value, ",") {
			if s = strings.TrimSpace(s); s != "" {
				v.Set(reflect.Append(v, reflect.ValueOf(s).Convert(v.Type().Elem())))
			}
		}
	default:
		if err := scalar(v, value); err != nil {
			r.problem(nil, at, err.Error())
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func field(v reflect.Value, name string) (reflect.Value, bool) {
	for i, f := range reflect.VisibleFields(v.Type()) {
		if f.Tag.Get("yaml") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func names(t reflect.Type) []string {
	var out []string
	for _, f := range reflect.VisibleFields(t) {
		out = append(out, f.Tag.Get("yaml"))
	}
	return out
}

// nearest names what was meant, or all there is.
func nearest(name string, known []string) string {
	best, least := "", 1+len(name)/2
	for _, k := range known {
		if d := distance(name, k, least); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance is the Levenshtein distance, or most if it is more.
func distance(a, b string, most int) int {
	if len(a) > 64 || len(b) > 64 {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], most)
}
