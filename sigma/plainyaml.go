package sigma

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parsePlainYAML reads the YAML in which nearly all rules are written: maps and
// lists in blocks, lists and scalars on one line, and literal blocks of text. It gives the
// nodes that the library gives, without comments, in a sixth of the time, which is
// most of what loading rules costs. Whatever else a document has in it, right or
// wrong, makes it return false, and is for the library to judge.
func parsePlainYAML(src []byte) (*yaml.Node, bool) {
	p := plainYAML{}
	if !p.split(src) || len(p.lines) == 0 {
		return nil, false
	}
	root, ok := p.block(p.lines[0].indent, 0)
	return root, ok && p.at == len(p.lines)
}

// plainYAML is a document while it is read.
type plainYAML struct {
	text  string
	lines []plainLine // those with content
	at    int         // the line to be read
	nodes []yaml.Node // made, not yet used
}

// A plainLine is a line with content.
type plainLine struct {
	indent     int
	number     int // 1-based
	start, end int // in the text, without the indentation and blanks at the end
}

// split finds the lines with content, and whether all is of the plain kind.
func (p *plainYAML) split(src []byte) bool {
	if bytes.HasPrefix(src, []byte("---\n")) {
		src = append([]byte("\n"), src[4:]...) // the line still counts
	}
	if len(src) == 0 || src[len(src)-1] != '\n' {
		return false
	}
	p.text = string(src)
	p.lines = make([]plainLine, 0, bytes.Count(src, []byte("\n")))
	for at, number := 0, 1; at < len(p.text); number++ {
		end := at + strings.IndexByte(p.text[at:], '\n')
		l := plainLine{number: number, start: at, end: end}
		for l.start < end && p.text[l.start] == ' ' {
			l.start++
		}
		l.indent = l.start - at
		for i := l.start; i < end; {
			c := p.text[i]
			size := 1
			switch {
			case c < ' ' || c == 0x7f: // tabs and returns among them
				return false
			case c >= utf8.RuneSelf:
				var r rune
				r, size = utf8.DecodeRuneInString(p.text[i:])
				switch { // line breaks, and what may not stand in YAML
				case r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff, r == utf8.RuneError && size == 1:
					return false
				}
			}
			i += size
		}
		for l.end > l.start && p.text[l.end-1] == ' ' {
			l.end--
		}
		if l.start < l.end && p.text[l.start] != '#' {
			if l.indent == 0 && (strings.HasPrefix(p.text[at:], "---") || strings.HasPrefix(p.text[at:], "...")) {
				return false
			}
			p.lines = append(p.lines, l)
		}
		at = end + 1
	}
	return true
}

// block reads a map or a list whose entries begin in one column.
func (p *plainYAML) block(column, depth int) (*yaml.Node, bool) {
	if depth > MaxNesting {
		return nil, false
	}
	l := &p.lines[p.at]
	if p.dash(l) {
		return p.sequence(column, depth)
	}
	return p.mapping(column, depth)
}

// dash reports whether a line begins an entry of a list.
func (p *plainYAML) dash(l *plainLine) bool {
	return p.text[l.start] == '-' && (l.start+1 == l.end || p.text[l.start+1] == ' ')
}

func (p *plainYAML) mapping(column, depth int) (*yaml.Node, bool) {
	first := &p.lines[p.at]
	out := p.node(yaml.MappingNode, "!!map", "", first, first.start)
	for p.at < len(p.lines) && p.lines[p.at].indent == column {
		l := &p.lines[p.at]
		if p.dash(l) {
			return nil, false
		}
		text, style, after, ok := p.key(l)
		if !ok {
			return nil, false
		}
		key := p.tag(p.node(yaml.ScalarNode, "", text, l, l.start), style)
		value, ok := p.value(l, after, column, depth)
		if !ok {
			return nil, false
		}
		out.Content = append(out.Content, key, value)
	}
	return out, p.at == len(p.lines) || p.lines[p.at].indent < column
}

// value reads what stands after a key, in its line or below.
func (p *plainYAML) value(l *plainLine, at, column, depth int) (*yaml.Node, bool) {
	for at < l.end && p.text[at] == ' ' {
		at++
	}
	if at < l.end && p.text[at] != '#' {
		if p.text[at] == '|' {
			return p.literal(l, at, column)
		}
		p.at++
		if p.text[at] == '[' {
			return p.flow(l, at)
		}
		return p.scalar(l, at)
	}
	p.at++
	if p.at == len(p.lines) {
		return nil, false
	}
	next := &p.lines[p.at]
	if next.indent > column || next.indent == column && p.dash(next) {
		if _, _, _, ok := p.key(next); !ok && !p.dash(next) {
			return nil, false // a scalar below its key
		}
		return p.block(next.indent, depth+1)
	}
	return nil, false // no value
}

func (p *plainYAML) sequence(column, depth int) (*yaml.Node, bool) {
	first := &p.lines[p.at]
	out := p.node(yaml.SequenceNode, "!!seq", "", first, first.start)
	for p.at < len(p.lines) && p.lines[p.at].indent == column && p.dash(&p.lines[p.at]) {
		l := &p.lines[p.at]
		at := l.start + 1
		for at < l.end && p.text[at] == ' ' {
			at++
		}
		if at == l.end {
			return nil, false
		}
		below := *l // what stands after the dash, as a line of its own
		below.indent, below.start = column+at-l.start, at
		if p.dash(&below) {
			return nil, false
		}
		var entry *yaml.Node
		var ok bool
		if _, _, _, isKey := p.key(&below); isKey {
			*l = below
			entry, ok = p.mapping(below.indent, depth+1)
		} else {
			p.at++
			entry, ok = p.scalar(l, at)
		}
		if !ok {
			return nil, false
		}
		out.Content = append(out.Content, entry)
	}
	return out, p.at == len(p.lines) || p.lines[p.at].indent <= column
}

// key reads the key that a line begins with, and says where its colon ends.
func (p *plainYAML) key(l *plainLine) (text string, style yaml.Style, after int, ok bool) {
	if c := p.text[l.start]; c == '\'' || c == '"' {
		text, style, after, ok = p.quoted(l.start, l.end)
		if !ok || after >= l.end || p.text[after] != ':' || after+1 < l.end && p.text[after+1] != ' ' {
			return "", 0, 0, false
		}
	} else {
		if !plainStart(p.text[l.start:l.end]) {
			return "", 0, 0, false
		}
		for after = l.start; after < l.end; after++ {
			c := p.text[after]
			if c == ':' && (after+1 == l.end || p.text[after+1] == ' ') {
				break
			}
			if c == '#' && p.text[after-1] == ' ' {
				return "", 0, 0, false
			}
		}
		if after == l.end {
			return "", 0, 0, false
		}
		text = strings.TrimRight(p.text[l.start:after], " ")
	}
	const longest = 512 // bytes; the library's limit is above
	return text, style, after + 1, len(text) <= longest
}

// scalar reads a scalar that ends with its line.
func (p *plainYAML) scalar(l *plainLine, at int) (*yaml.Node, bool) {
	if c := p.text[at]; c == '\'' || c == '"' {
		text, style, end, ok := p.quoted(at, l.end)
		if !ok || !p.blank(end, l.end) {
			return nil, false
		}
		return p.tag(p.node(yaml.ScalarNode, "", text, l, at), style), true
	}
	text := p.text[at:l.end]
	if !plainStart(text) {
		return nil, false
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == ':' && (i+1 == len(text) || text[i+1] == ' '):
			return nil, false
		case c == '#' && text[i-1] == ' ':
			text = strings.TrimRight(text[:i], " ")
		}
	}
	return p.tag(p.node(yaml.ScalarNode, "", text, l, at), 0), true
}

// flow reads a list of scalars between brackets that ends with its line. What
// brackets make of plain scalars is for the library if it is not simple.
func (p *plainYAML) flow(l *plainLine, at int) (*yaml.Node, bool) {
	out := p.node(yaml.SequenceNode, "!!seq", "", l, at)
	out.Style = yaml.FlowStyle
	for at++; ; at++ {
		at = p.skip(at, l.end)
		if at == l.end {
			return nil, false
		}
		if p.text[at] == ']' && len(out.Content) == 0 {
			break
		}
		var text string
		var style yaml.Style
		var ok bool
		start := at
		if c := p.text[at]; c == '\'' || c == '"' {
			text, style, at, ok = p.quoted(at, l.end)
		} else {
			n := strings.IndexAny(p.text[at:l.end], ",]")
			if n <= 0 || strings.ContainsAny(p.text[at:at+n], `[{}:#?!&*|>%@"'`+"`") {
				return nil, false
			}
			text = strings.TrimRight(p.text[at:at+n], " ")
			at += n
			ok = plainStart(text) && text[0] != '-'
		}
		if !ok {
			return nil, false
		}
		out.Content = append(out.Content, p.tag(p.node(yaml.ScalarNode, "", text, l, start), style))
		if at = p.skip(at, l.end); at == l.end || p.text[at] != ',' && p.text[at] != ']' {
			return nil, false
		}
		if p.text[at] == ']' {
			break
		}
	}
	return out, p.blank(at+1, l.end)
}

// skip returns where the blanks end.
func (p *plainYAML) skip(at, end int) int {
	for at < end && p.text[at] == ' ' {
		at++
	}
	return at
}

// quoted reads a quoted text without escapes other than a doubled single quote,
// and says where it ends.
func (p *plainYAML) quoted(at, end int) (string, yaml.Style, int, bool) {
	quote := p.text[at]
	at++
	if quote == '"' {
		n := strings.IndexAny(p.text[at:end], `"\`)
		if n < 0 || p.text[at+n] == '\\' {
			return "", 0, 0, false
		}
		return p.text[at : at+n], yaml.DoubleQuotedStyle, at + n + 1, true
	}
	doubled := false
	for i := at; i < end; i++ {
		if p.text[i] != '\'' {
			continue
		}
		if i+1 < end && p.text[i+1] == '\'' {
			doubled = true
			i++
			continue
		}
		text := p.text[at:i]
		if doubled {
			text = strings.ReplaceAll(text, "''", "'")
		}
		return text, yaml.SingleQuotedStyle, i + 1, true
	}
	return "", 0, 0, false
}

// blank reports whether nothing but a comment stands there.
func (p *plainYAML) blank(at, end int) bool {
	rest := p.text[at:end]
	text := strings.TrimLeft(rest, " ")
	return text == "" || text[0] == '#' && len(text) < len(rest)
}

// literal reads a block of text whose lines stand as they are.
func (p *plainYAML) literal(l *plainLine, at, column int) (*yaml.Node, bool) {
	strip := p.text[at:l.end] == "|-"
	if !strip && p.text[at:l.end] != "|" {
		return nil, false
	}
	end := l.start + strings.IndexByte(p.text[l.start:], '\n')
	indent := 0
	var b strings.Builder
	blanks := 0 // lines not yet written
	start := end + 1
	for ; start < len(p.text); start = end + 1 {
		end = start + strings.IndexByte(p.text[start:], '\n')
		line := p.text[start:end]
		text := strings.TrimLeft(line, " ")
		if indent == 0 {
			if indent = len(line) - len(text); text == "" || indent <= column {
				return nil, false
			}
		}
		have := len(line) - len(text)
		if text == "" {
			if have > indent {
				return nil, false
			}
			blanks++
			continue
		}
		if have < indent {
			if have > column {
				return nil, false
			}
			break
		}
		for ; blanks > 0; blanks-- {
			b.WriteByte('\n')
		}
		b.WriteString(line[indent:])
		blanks = 1
	}
	if indent == 0 {
		return nil, false
	}
	if !strip {
		b.WriteByte('\n')
	}
	for p.at++; p.at < len(p.lines) && p.lines[p.at].start < start; p.at++ {
	}
	n := p.node(yaml.ScalarNode, "!!str", b.String(), l, at)
	n.Style = yaml.LiteralStyle
	return n, true
}

// plainStart reports whether a plain scalar may begin so without a second thought.
func plainStart(s string) bool {
	switch c := s[0]; {
	case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c >= utf8.RuneSelf:
		return true
	case c == '-':
		return len(s) > 1 && s[1] != ' '
	}
	return strings.IndexByte(`_/\.$(+;^`, s[0]) >= 0
}

// tag gives a scalar its style, and the type that the style and its text imply.
func (p *plainYAML) tag(n *yaml.Node, style yaml.Style) *yaml.Node {
	n.Style = style
	n.Tag = "!!str"
	if style == 0 && mayBeTyped(n.Value) {
		n.Tag = ""
		n.Tag = n.ShortTag()
	}
	return n
}

// mayBeTyped reports whether a plain scalar that begins so could be a number, a
// time, a boolean (yes, no, on, off, true, false) or null. Most are none of these,
// and need not be asked about.
func mayBeTyped(text string) bool {
	return strings.IndexByte("0123456789+-.ytfnoYTFNO", text[0]) >= 0
}

func (p *plainYAML) node(kind yaml.Kind, tag, value string, l *plainLine, at int) *yaml.Node {
	if len(p.nodes) == 0 {
		p.nodes = make([]yaml.Node, 32)
	}
	n := &p.nodes[0]
	p.nodes = p.nodes[1:]
	n.Kind, n.Tag, n.Value, n.Line = kind, tag, value, l.number
	n.Column = l.indent + utf8.RuneCountInString(p.text[l.start:at]) + 1
	return n
}
