package sigma

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A chunk is the text of one YAML document and where it begins in its file.
type chunk struct {
	src  []byte
	line int // lines before it
}

// splitDocuments cuts a file at its "---" lines. A line that begins so is a
// document marker wherever it stands, so a broken document can be skipped
// without losing the ones after it.
func splitDocuments(src []byte) []chunk {
	var out []chunk
	start, startLine := 0, 0
	for at, line := 0, 0; at < len(src); line++ {
		end := len(src)
		if i := bytes.IndexByte(src[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		text := src[at:end]
		if bytes.HasPrefix(text, []byte("---")) && (len(text) == 3 || bytes.IndexByte([]byte(" \t\r\n"), text[3]) >= 0) && at > start {
			out = append(out, chunk{src[start:at], startLine})
			start, startLine = at, line
		}
		at = end
	}
	return append(out, chunk{src[start:], startLine})
}

// parseYAML returns the root of one document, nil if it is empty.
func parseYAML(src []byte) (*yaml.Node, error) {
	if root, ok := parsePlainYAML(src); ok {
		return root, nil
	}
	return parseLibraryYAML(src)
}

// parseLibraryYAML reads any YAML. What the library does not expect in hostile
// input must not end the program, hence the recover.
func parseLibraryYAML(src []byte) (root *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("malformed YAML: %v", r)
		}
	}()
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// follow returns what an alias stands for.
func (d *document) follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// check walks a document as it will be read, aliases followed, and refuses what
// is too deep, too large (an alias bomb), or says the same key twice.
func (d *document) check(n *yaml.Node, depth int) *Error {
	n = d.follow(n)
	if d.nodes++; d.nodes > MaxValues {
		return d.fail(n, "", "more than %d YAML nodes, aliases included", MaxValues)
	}
	if depth > MaxNesting {
		return d.fail(n, "", "YAML is nested deeper than %d", MaxNesting)
	}
	if n.Kind == yaml.ScalarNode && !utf8.ValidString(n.Value) {
		return d.fail(n, "", "text is not UTF-8")
	}
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := d.follow(n.Content[i])
			if key.Kind != yaml.ScalarNode {
				return d.fail(key, "", "a key must be text")
			}
			if key.ShortTag() == "!!merge" {
				return d.fail(key, "", "YAML merge keys are not supported")
			}
			if seen[key.Value] {
				return d.fail(key, clip(key.Value), "the same key stands twice in one map")
			}
			seen[key.Value] = true
		}
	}
	for _, k := range n.Content {
		if err := d.check(k, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// find returns a key of a map and its value, nil if absent.
func (d *document) find(n *yaml.Node, key string) (at, value *yaml.Node) {
	n = d.follow(n)
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if d.follow(n.Content[i]).Value == key {
			return n.Content[i], d.follow(n.Content[i+1])
		}
	}
	return nil, nil
}

func (d *document) key(n *yaml.Node, key string) *yaml.Node {
	at, _ := d.find(n, key)
	return at
}

func (d *document) get(n *yaml.Node, key string) *yaml.Node {
	_, value := d.find(n, key)
	return value
}

// text returns a scalar as text, "" if absent or null.
func (d *document) text(n *yaml.Node, key string) string {
	v := d.get(n, key)
	if v == nil || v.Kind != yaml.ScalarNode || v.ShortTag() == "!!null" {
		return ""
	}
	return v.Value
}

// list returns a list of texts; a single text is a list of one.
func (d *document) list(n *yaml.Node, key string) []string {
	v := d.get(n, key)
	if v == nil {
		return nil
	}
	var out []string
	if v.Kind == yaml.ScalarNode {
		if v.ShortTag() != "!!null" && v.Value != "" {
			out = append(out, v.Value)
		}
		return out
	}
	if v.Kind == yaml.SequenceNode {
		for _, el := range v.Content {
			if el = d.follow(el); el.Kind == yaml.ScalarNode && el.ShortTag() != "!!null" {
				out = append(out, el.Value)
			}
		}
	}
	return out
}

// clip shortens a name for an error's Where.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}
