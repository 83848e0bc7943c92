package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// A jsonPath is the dotted path of a leaf, interned once a worker, with what the
// shapes make of it.
type jsonPath struct {
	hash   uint64
	parent *jsonPath
	key    string // the last label, as it stands in the record
	name   string // the whole path
	id     model.FieldID
	keys   []jsonKey     // those it is a spelling of; of most paths none
	shaped shapedField   // of the shape that met it first
	others []shapedField // of further ones
}

// A shapedField is what a shape makes of a path.
type shapedField struct {
	shape int32 // 0 is none, 1 the first
	drop  bool
	id    model.FieldID
	name  string // needed where the names are all given and id is Unnamed
}

// jsonPaths interns paths. It is bounded: keys come from evidence, so what does
// not fit, or collides too often, is made anew each time.
type jsonPaths struct {
	names *model.Names
	keys  *jsonKeys
	table []*jsonPath
	count int
}

const (
	jsonPathSlots = 1 << 14
	jsonPathMax   = jsonPathSlots / 2
	jsonProbes    = 16
)

func newJSONPaths(names *model.Names, keys *jsonKeys) *jsonPaths {
	return &jsonPaths{names: names, keys: keys, table: make([]*jsonPath, jsonPathSlots)}
}

// child returns the path of key under parent, which is nil at the top.
func (t *jsonPaths) child(parent *jsonPath, key []byte) *jsonPath {
	var seed uint64
	if parent != nil {
		seed = parent.hash
	}
	h := hashKey(seed, key)
	at := h & (jsonPathSlots - 1)
	for range jsonProbes {
		p := t.table[at]
		if p == nil {
			p = t.make(h, parent, key)
			if t.count < jsonPathMax {
				t.count++
				t.table[at] = p
			}
			return p
		}
		if p.hash == h && p.parent == parent && p.key == string(key) {
			return p
		}
		at = (at + 1) & (jsonPathSlots - 1)
	}
	return t.make(h, parent, key)
}

func (t *jsonPaths) make(h uint64, parent *jsonPath, key []byte) *jsonPath {
	p := &jsonPath{hash: h, parent: parent, key: string(key)}
	p.name = strings.ToValidUTF8(p.key, "\uFFFD")
	if parent != nil {
		p.name = parent.name + "." + p.name
	}
	if len(p.name) > 2*model.MaxNameLen { // keep depth times width from growing
		p.name = strings.ToValidUTF8(p.name[:2*model.MaxNameLen], "\uFFFD")
	}
	p.keys = t.keys.spelled[p.name]
	if len(p.name) > model.MaxNameLen {
		p.id = model.Unnamed
	} else {
		p.id = t.names.ID(p.name)
	}
	return p
}

// hashKey mixes a key into the hash of its parent.
func hashKey(seed uint64, b []byte) uint64 {
	const k1, k2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
	h := seed ^ uint64(len(b))*k1
	for len(b) >= 8 {
		hi, lo := bits.Mul64(h^binary.LittleEndian.Uint64(b), k2)
		h = hi ^ lo
		b = b[8:]
	}
	var tail uint64
	for i, c := range b {
		tail |= uint64(c) << (8 * uint(i))
	}
	hi, lo := bits.Mul64(h^tail^k1, k2)
	return hi ^ lo
}

// A jsonLeaf is one value of a flattened record.
type jsonLeaf struct {
	path *jsonPath
	kind model.Kind
	text string
}

// A jsonDoc is one record, flattened: its leaves in order of appearance, arrays
// as several leaves of one path, empty objects and arrays as nothing.
type jsonDoc struct {
	paths  *jsonPaths
	leaves []jsonLeaf
	marks  []uint64  // the set of keys that the record has
	first  []int32   // the first leaf of each
	batch  *Batch    // gives the blocks of arena
	arena  []byte    // holds unescaped strings
	key    [256]byte // scratch for escaped keys
	data   []byte    // what is being parsed
	from   int       // where the record begins in data
	p      int
	more   bool  // leaves beyond MaxFields were left out
	asked  Paths // notes which paths are looked at, nil mostly; see Batch.Trace
}

// newJSONDoc returns a document that looks out for the keys of paths.
func newJSONDoc(paths *jsonPaths) jsonDoc {
	n := paths.keys.count()
	return jsonDoc{paths: paths, marks: make([]uint64, (n+63)/64), first: make([]int32, n)}
}

// reset makes the document ready for another record.
func (d *jsonDoc) reset() {
	d.leaves, d.more = d.leaves[:0], false
	clear(d.marks)
}

// jsonArena is how much memory for unescaped strings is taken at once, in bytes.
const jsonArena = 128 << 10

var (
	errJSONEnd    = errors.New("record ends in the middle of a value")
	errJSONDepth  = fmt.Errorf("nested deeper than %d", MaxDepth)
	errJSONString = errors.New("control character in a string")
	errJSONEscape = errors.New("broken escape in a string")
	errJSONNumber = errors.New("broken number")
	errJSONValue  = errors.New("unexpected character where a value should begin")
	errJSONComma  = errors.New("missing comma, colon or bracket")
	errJSONKey    = errors.New("missing key")
)

// parse flattens the value that begins at data[at] and returns where it ends.
func (d *jsonDoc) parse(data []byte, at int) (int, error) {
	d.reset()
	d.data, d.from, d.p = data, at, at
	err := d.value(nil, 0)
	if d.more && err == nil {
		d.rest(aliasString(data[at:d.p]), nil, 0)
	}
	return d.p, err
}

// rest adds those leaves beyond MaxFields that shapes ask for: what a record is told
// by counts however much stands before it. Paths in arrays are not among them.
func (d *jsonDoc) rest(text string, parent *jsonPath, depth int) {
	eachMember(text, func(key, value string) bool {
		path := d.paths.child(parent, stringBytes(key))
		switch c := value[0]; {
		case c == '{' && depth < 4:
			d.rest(value, path, depth+1)
		case c == '{' || c == '[' || len(path.keys) == 0 || d.marked(path.keys[0]):
		default:
			for _, k := range path.keys {
				d.marks[k/64] |= 1 << (k % 64)
				d.first[k] = int32(len(d.leaves)) //nolint:gosec // at most MaxFields and the keys
			}
			kind := model.Number
			switch c {
			case '"':
				kind = model.String
			case 't', 'f':
				kind = model.Bool
			case 'n':
				kind = model.Null
			}
			d.leaves = append(d.leaves, jsonLeaf{path, kind, jsonString(value)})
		}
		return true
	})
}

func (d *jsonDoc) space() {
	p := d.p
	for p < len(d.data) {
		switch d.data[p] {
		case ' ', '\t', '\n', '\r':
			p++
			continue
		}
		break
	}
	d.p = p
}

func (d *jsonDoc) leaf(path *jsonPath, kind model.Kind, text string) {
	if len(d.leaves) >= MaxFields {
		d.more = true
		return
	}
	for _, k := range path.keys {
		if !d.marked(k) {
			d.marks[k/64] |= 1 << (k % 64)
			d.first[k] = int32(len(d.leaves)) //nolint:gosec // at most MaxFields
		}
	}
	d.leaves = append(d.leaves, jsonLeaf{path, kind, text})
}

func (d *jsonDoc) value(path *jsonPath, depth int) error {
	if d.p >= len(d.data) {
		return errJSONEnd
	}
	switch c := d.data[d.p]; {
	case c == '"':
		d.p++
		s, err := d.str()
		if err != nil {
			return err
		}
		if path != nil {
			d.leaf(path, model.String, s)
		}
		return nil
	case c == '{':
		return d.object(path, depth+1)
	case c == '[':
		return d.array(path, depth+1)
	case c == '-' || '0' <= c && c <= '9':
		s, err := d.number()
		if err == nil && path != nil {
			d.leaf(path, model.Number, s)
		}
		return err
	case c == 't':
		return d.literal(path, "true", model.Bool)
	case c == 'f':
		return d.literal(path, "false", model.Bool)
	case c == 'n':
		return d.literal(path, "null", model.Null)
	}
	return errJSONValue
}

func (d *jsonDoc) literal(path *jsonPath, word string, kind model.Kind) error {
	if d.p+len(word) > len(d.data) {
		return errJSONEnd
	}
	if string(d.data[d.p:d.p+len(word)]) != word {
		return errJSONValue
	}
	d.p += len(word)
	if path != nil {
		if kind == model.Null {
			word = ""
		}
		d.leaf(path, kind, word)
	}
	return nil
}

func (d *jsonDoc) object(path *jsonPath, depth int) error {
	if depth > MaxDepth {
		return errJSONDepth
	}
	d.p++
	d.space()
	if d.p < len(d.data) && d.data[d.p] == '}' {
		d.p++
		return nil
	}
	for {
		if d.p >= len(d.data) {
			return errJSONEnd
		}
		if d.data[d.p] != '"' {
			return errJSONKey
		}
		d.p++
		key, err := d.keyBytes()
		if err != nil {
			return err
		}
		d.space()
		if d.p >= len(d.data) {
			return errJSONEnd
		}
		if d.data[d.p] != ':' {
			return errJSONComma
		}
		d.p++
		d.space()
		if err := d.value(d.paths.child(path, key), depth); err != nil {
			return err
		}
		d.space()
		if d.p >= len(d.data) {
			return errJSONEnd
		}
		switch d.data[d.p] {
		case ',':
			d.p++
			d.space()
		case '}':
			d.p++
			return nil
		default:
			return errJSONComma
		}
	}
}

func (d *jsonDoc) array(path *jsonPath, depth int) error {
	if depth > MaxDepth {
		return errJSONDepth
	}
	d.p++
	d.space()
	if d.p < len(d.data) && d.data[d.p] == ']' {
		d.p++
		return nil
	}
	for {
		if err := d.value(path, depth); err != nil {
			return err
		}
		d.space()
		if d.p >= len(d.data) {
			return errJSONEnd
		}
		switch d.data[d.p] {
		case ',':
			d.p++
			d.space()
		case ']':
			d.p++
			return nil
		default:
			return errJSONComma
		}
	}
}

// number reads a number exactly as RFC 8259 writes it.
func (d *jsonDoc) number() (string, error) {
	b, s := d.data, d.p
	p := s
	if b[p] == '-' {
		p++
	}
	run := func() bool {
		from := p
		for p < len(b) && b[p]-'0' <= 9 {
			p++
		}
		return p > from
	}
	if p < len(b) && b[p] == '0' {
		p++
	} else if !run() {
		return "", errJSONNumber
	}
	if p < len(b) && b[p] == '.' {
		p++
		if !run() {
			return "", errJSONNumber
		}
	}
	if p < len(b) && b[p]|0x20 == 'e' {
		p++
		if p < len(b) && (b[p] == '+' || b[p] == '-') {
			p++
		}
		if !run() {
			return "", errJSONNumber
		}
	}
	d.p = p
	return aliasString(b[s:p]), nil
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks (in the top bit of each byte) at least the first byte of x that
// is a quote, a backslash, a control character or beyond ASCII; bytes after it
// may be marked wrongly.
func special(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return ((quote - ones) &^ quote & highs) | ((slash - ones) &^ slash & highs) | ((x - ones*0x20) &^ x & highs) | x&highs
}

// plainRun returns the first position from p on of a byte that special marks.
func plainRun(b []byte, p int) int {
	for p+8 <= len(b) {
		if m := special(binary.LittleEndian.Uint64(b[p:])); m != 0 {
			return p + bits.TrailingZeros64(m)>>3
		}
		p += 8
	}
	for p < len(b) {
		if c := b[p]; c == '"' || c == '\\' || c < 0x20 || c >= 0x80 {
			break
		}
		p++
	}
	return p
}

// str reads a string after its opening quote. It aliases the record unless
// something had to be unescaped or was no UTF-8.
func (d *jsonDoc) str() (string, error) {
	b, s := d.data, d.p
	p, ascii := s, true
	for {
		p = plainRun(b, p)
		if p >= len(b) {
			d.p = p
			return "", errJSONEnd
		}
		c := b[p]
		if c == '"' {
			d.p = p + 1
			if ascii || utf8.Valid(b[s:p]) {
				return aliasString(b[s:p]), nil
			}
			return strings.ToValidUTF8(string(b[s:p]), "\uFFFD"), nil
		}
		if c >= 0x80 {
			ascii = false
			for p < len(b) && b[p] >= 0x80 {
				p++
			}
			continue
		}
		break // an escape or a control character
	}
	// What is unescaped is never longer than what stands in the record.
	from, room := len(d.arena), stringLen(b[s:])
	if cap(d.arena)-from < room {
		d.arena, from = d.batch.textBlock(max(jsonArena, room)), 0
	}
	out, p, err := unescape(append(d.arena, b[s:p]...), b, p)
	if err != nil {
		d.p = p
		return "", err
	}
	d.arena, d.p = out, p+1
	return validString(out[from:]), nil
}

// stringLen returns where the string that begins at b[0] ends, or the length of b.
func stringLen(b []byte) int {
	for p := 0; ; p++ {
		i := bytes.IndexByte(b[p:], '"')
		if i < 0 {
			return len(b)
		}
		p += i
		slashes := 0
		for p-slashes > 0 && b[p-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return p
		}
	}
}

func validString(b []byte) string {
	if utf8.Valid(b) {
		return aliasString(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// keyBytes reads a key after its opening quote. The bytes are good until the next
// key is read.
func (d *jsonDoc) keyBytes() ([]byte, error) {
	b, s := d.data, d.p
	p := s
	for {
		p = plainRun(b, p)
		if p >= len(b) {
			d.p = p
			return nil, errJSONEnd
		}
		if b[p] == '"' {
			d.p = p + 1
			return b[s:p], nil
		}
		if b[p] >= 0x80 {
			p++
			continue
		}
		break
	}
	out, p, err := unescape(append(d.key[:0], b[s:p]...), b, p)
	if err != nil {
		d.p = p
		return nil, err
	}
	d.p = p + 1
	return out, nil
}

// unescape appends the rest of a string, from p on, to out and returns where its
// closing quote stands.
func unescape(out, b []byte, p int) ([]byte, int, error) {
	for p < len(b) {
		q := plainRun(b, p)
		out = append(out, b[p:q]...)
		p = q
		if p >= len(b) {
			break
		}
		switch c := b[p]; {
		case c == '"':
			return out, p, nil
		case c >= 0x80:
			out = append(out, c)
			p++
			continue
		case c != '\\':
			return out, p, errJSONString
		}
		p++
		if p >= len(b) {
			break
		}
		switch b[p] {
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case '"', '\\', '/':
			out = append(out, b[p])
		case 'u':
			r, ok := hex4(b, p+1)
			if !ok {
				return out, p, errJSONEscape
			}
			p += 4
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if p+2 < len(b) && b[p+1] == '\\' && b[p+2] == 'u' {
					if second, ok := hex4(b, p+3); ok {
						pair = utf16.DecodeRune(r, second)
					}
				}
				if pair != utf8.RuneError {
					p += 6
				}
				r = pair
			}
			out = utf8.AppendRune(out, r)
		default:
			return out, p, errJSONEscape
		}
		p++
	}
	return out, p, errJSONEnd
}

func hex4(b []byte, p int) (rune, bool) {
	if p+4 > len(b) {
		return 0, false
	}
	var r rune
	for _, c := range b[p : p+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
