// Package pack reads, checks, writes and loads packs of Sigma rules. A pack is a
// folder, a zip or a gzipped tar with a manifest, pack.yml, that says what it is,
// and a list of hashes, SHA256SUMS, that says what is in it. A folder or archive
// without a manifest is a pack without a name. Load makes of packs one immutable
// Set, which a running engine can swap for another in one step.
//
// The hashes tell damage and stale lists; they are no signature.
package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The two files that describe a pack, at its top.
const (
	ManifestFile = "pack.yml"
	SumsFile     = "SHA256SUMS" // lines as of sha256sum: 64 hex digits, two spaces, the path
)

// Bounds of a pack.
const (
	MaxArchive  = 64 << 20  // bytes of an archive as it lies there
	MaxUnpacked = 128 << 20 // bytes of all files
	MaxFile     = 16 << 20  // bytes of one file that is no rule
	MaxRule     = 1 << 20   // bytes of one YAML file
	MaxFiles    = 100_000
	MaxPath     = 512 // bytes of a file's path
	MaxDepth    = 32  // folders of a file's path

	maxManifest  = 64 << 10
	maxSums      = 16 << 20
	maxField     = 4096 // bytes of a text of the manifest
	maxDirectory = 16 << 20
)

// A Manifest says what a pack is.
type Manifest struct {
	Name        string `yaml:"name" json:"name"` // lower case letters, digits, dots and dashes
	Version     string `yaml:"version" json:"version"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	Licence     string `yaml:"licence,omitempty" json:"licence,omitempty"`       // an SPDX expression
	MinEngine   string `yaml:"min_engine,omitempty" json:"min_engine,omitempty"` // the oldest version of Catena that can use it
}

var (
	packName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$`)
	packVersion = regexp.MustCompile(`^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(-[0-9A-Za-z.-]{1,64})?(\+[0-9A-Za-z.-]{1,64})?$`)
)

// ParseManifest reads a manifest; its error names line and cause.
func ParseManifest(src []byte) (m *Manifest, err error) {
	defer func() { // what the library does not expect in hostile input
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("malformed YAML: %v", r)
		}
	}()
	if len(src) > maxManifest {
		return nil, fmt.Errorf("larger than %d bytes", maxManifest)
	}
	if !utf8.Valid(src) {
		return nil, errors.New("not UTF-8")
	}
	m = &Manifest{}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	if err := dec.Decode(m); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty: name and version are needed")
	} else if err != nil {
		return nil, errors.New(yamlCause(err))
	}
	switch {
	case !packName.MatchString(m.Name):
		return nil, fmt.Errorf("name: %q is none: up to 64 lower case letters, digits, dots and dashes", clip(m.Name))
	case !packVersion.MatchString(m.Version):
		return nil, fmt.Errorf("version: %q is none: write it as 1.2.3", clip(m.Version))
	case m.MinEngine != "" && !packVersion.MatchString(m.MinEngine):
		return nil, fmt.Errorf("min_engine: %q is no version: write it as 1.2.3", clip(m.MinEngine))
	case len(m.Description) > maxField || len(m.Licence) > maxField:
		return nil, fmt.Errorf("description and licence: longer than %d bytes", maxField)
	}
	return m, nil
}

var unknownKey = regexp.MustCompile(`field (\S+) not found in type \S+`)

// yamlCause is what the YAML library says, in our words where it speaks of Go.
func yamlCause(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	s = strings.TrimPrefix(s, "unmarshal errors:\n  ")
	return clip(unknownKey.ReplaceAllString(s, "there is no key \"$1\" here (name, version, description, licence, min_engine)"))
}

// clip keeps a text for an error short.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// olderThan reports whether engine is a version and older than want. Builds that
// are no release ("dev", or a commit after one) are not asked.
func olderThan(engine, want string) bool {
	e, w := packVersion.FindStringSubmatch(engine), packVersion.FindStringSubmatch(want)
	if e == nil || w == nil {
		return false
	}
	for i := 1; i <= 3; i++ {
		a, _ := strconv.Atoi(e[i])
		b, _ := strconv.Atoi(w[i])
		if a != b {
			return a < b
		}
	}
	return false
}

// A sum is one line of SumsFile.
type sum struct {
	path string
	hash string // 64 lower case hex digits
	line int
}

// parseSums reads the list of hashes; its error names line and cause.
func parseSums(src []byte) ([]sum, error) {
	if len(src) > maxSums {
		return nil, fmt.Errorf("larger than %d bytes", maxSums)
	}
	var out []sum
	seen := map[string]int{}
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if len(out) >= MaxFiles {
			return nil, fmt.Errorf("line %d: more than %d files", n, MaxFiles)
		}
		hash, path, ok := strings.Cut(line, " ")
		if len(path) > 1 && (path[0] == ' ' || path[0] == '*') { // sha256sum marks text with a blank and binary with a star
			path = path[1:]
		}
		hash = strings.ToLower(hash)
		if !ok || len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "" {
			return nil, fmt.Errorf("line %d: want 64 hex digits, two spaces and a path", n)
		}
		if err := validPath(path); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if was, again := seen[path]; again {
			return nil, fmt.Errorf("line %d: %s stands on line %d as well", n, path, was)
		}
		seen[path] = n
		out = append(out, sum{path, hash, n})
	}
	return out, nil
}

// validPath wants of a path that it stays inside the pack on every system, and can
// be shown.
func validPath(p string) error {
	bad := func(why string) error { return fmt.Errorf("%q: %s", clip(p), why) }
	switch {
	case len(p) > MaxPath:
		return bad(fmt.Sprintf("a path longer than %d bytes", MaxPath))
	case !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsPrint(r) }):
		return bad("a path that cannot be shown")
	case strings.ContainsAny(p, `\:`):
		return bad(`a path with \ or : in it`)
	case strings.Count(p, "/") >= MaxDepth:
		return bad(fmt.Sprintf("more than %d folders deep", MaxDepth))
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return bad("a path that leaves the pack, or is no plain one")
		}
	}
	return nil
}

// sumsOf makes the list of hashes of files, in their order.
func sumsOf(files []member) []byte {
	var b bytes.Buffer
	for _, m := range files {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(m.src), m.path)
	}
	return b.Bytes()
}

// notVersion matches what does not stand in a version.
var notVersion = regexp.MustCompile(`[^0-9A-Za-z.-]+`)

func (m *Manifest) yaml() []byte {
	src, err := yaml.Marshal(m)
	if err != nil {
		panic(err) // a struct of texts always has a YAML form
	}
	return src
}
