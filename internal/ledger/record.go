package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// A digest names an entity, a place or a day. The file holds digests and no names:
// what it remembers can be asked of, but not read out.
type digest [16]byte

func digestOf(kind, value string) digest {
	sum := sha256.Sum256([]byte(kind + "\x00" + value))
	return digest(sum[:16])
}

// kinds are the types of entities that mean the same months later, by the number
// that the file holds. Further ones are appended; none is ever renumbered.
var kinds = [...]model.EntityType{model.Host, model.User, model.IP, model.AccessKey, model.Hash, model.Domain, model.Resource, model.IAMRole, model.Mailbox, model.App}

// tactics are the ATT&CK tactics by the bit that the file holds. Further ones are
// appended; none is ever renumbered.
var tactics = [...]string{
	"reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation", "stealth", "defense-impairment",
	"credential-access", "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact",
}

// tacticBits is the set of the named tactics, leaving out what is none.
func tacticBits(names []string) uint16 {
	var set uint16
	for _, n := range names {
		if i := slices.Index(tactics[:], n); i >= 0 {
			set |= 1 << i
		}
	}
	return set
}

func tacticNames(set uint16) []string {
	var out []string
	for i, n := range tactics {
		if set&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

const (
	week = 7 * 24 * 3600 // seconds
	day  = 24 * 3600
	// maxDeeds is how many weeks of an entity are remembered by an act of their own.
	maxDeeds = 4
	// maxAlertID bounds the id of an alert, in bytes; the act of one with a longer id
	// could not be cited.
	maxAlertID = 64
	// latest is the last second that is taken for a time: the end of the year 9999.
	latest = 253402300799
)

// A deed is one alert that an entity was in: the strongest of its week.
type deed struct {
	at      int64 // Unix seconds
	level   uint8 // of the rule, low (1) to critical (4)
	tactics uint16
	rule    int // number in the list of rules, 0 if that was full
	alert   string
}

// before orders deeds by what they are worth: graver first, then earlier.
func (d *deed) before(o *deed) int {
	return cmp.Or(cmp.Compare(o.level, d.level), cmp.Compare(d.at, o.at), cmp.Compare(d.alert, o.alert))
}

// A record is all that is remembered of one entity. What is added only ever joins
// (least, greatest, union, the best of each week, the best weeks), so the order in
// which evidence comes does not matter, nor how often.
type record struct {
	kind        uint8
	first, last int64 // Unix seconds
	subjects    sketch
	days        sketch
	common      uint8 // percent of all acts of a run that named it, at most
	tactics     uint16
	deeds       []deed // best first
}

// level is that of the strongest deed, 0 without one.
func (r *record) level() uint8 {
	if len(r.deeds) == 0 {
		return 0
	}
	return r.deeds[0].level
}

func (r *record) add(d deed) {
	i := slices.IndexFunc(r.deeds, func(o deed) bool { return o.at/week == d.at/week })
	switch {
	case i < 0:
		r.deeds = append(r.deeds, d)
	case d.before(&r.deeds[i]) < 0:
		r.deeds[i] = d
	default:
		return
	}
	slices.SortFunc(r.deeds, func(a, b deed) int { return a.before(&b) })
	r.deeds = r.deeds[:min(len(r.deeds), maxDeeds)]
}

// recordVersion begins every encoded record.
const recordVersion = 1

// encode writes r: version, kind, times, sketches, share, tactics, deeds, and the
// CRC-32 (IEEE) of all that, since the store itself keeps no checksums.
func (r *record) encode() []byte {
	b := make([]byte, 0, 96)
	b = append(b, recordVersion, r.kind)
	b = binary.AppendUvarint(b, uint64(r.first))
	b = binary.AppendUvarint(b, uint64(r.last-r.first))
	b = binary.BigEndian.AppendUint64(b, uint64(r.subjects))
	b = binary.BigEndian.AppendUint64(b, uint64(r.days))
	b = append(b, r.common)
	b = binary.BigEndian.AppendUint16(b, r.tactics)
	b = append(b, byte(len(r.deeds)))
	for i := range r.deeds {
		d := &r.deeds[i]
		b = binary.AppendUvarint(b, uint64(d.at-r.first))
		b = append(b, d.level)
		b = binary.BigEndian.AppendUint16(b, d.tactics)
		b = binary.AppendUvarint(b, uint64(d.rule))
		b = appendAlert(b, d.alert)
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// appendAlert writes an alert's id: those of model.AlertID as their ten bytes behind
// a zero, others as text behind their length.
func appendAlert(b []byte, id string) []byte {
	if rest, ok := strings.CutPrefix(id, "a-"); ok && len(rest) == 20 && rest == strings.ToLower(rest) {
		if raw, err := hex.DecodeString(rest); err == nil {
			return append(append(b, 0), raw...)
		}
	}
	return append(append(b, byte(len(id))), id...)
}

var errRecord = errors.New("a record is not as it was written")

// decodeRecord reads what encode wrote.
func decodeRecord(b []byte) (*record, error) {
	if len(b) < 4 || crc32.ChecksumIEEE(b[:len(b)-4]) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: its checksum differs", errRecord)
	}
	p := parser{b: b[:len(b)-4]}
	if v := p.byte(); v != recordVersion {
		return nil, fmt.Errorf("%w: version %d", errRecord, v)
	}
	r := &record{kind: p.byte()}
	r.first = p.seconds(0)
	r.last = p.seconds(r.first)
	r.subjects, r.days = sketch(p.uint(8)), sketch(p.uint(8))
	r.common = p.byte()
	r.tactics = uint16(p.uint(2))
	n := int(p.byte())
	if int(r.kind) >= len(kinds) || n > maxDeeds {
		return nil, fmt.Errorf("%w: out of range", errRecord)
	}
	for range n {
		d := deed{at: p.seconds(r.first), level: p.byte(), tactics: uint16(p.uint(2)), rule: int(p.varint(maxRules))}
		d.alert = p.alert()
		if d.level < 1 || d.level > 4 {
			p.bad = true
		}
		r.deeds = append(r.deeds, d)
	}
	if p.bad || len(p.b) > 0 || !slices.IsSortedFunc(r.deeds, func(a, b deed) int { return a.before(&b) }) {
		return nil, fmt.Errorf("%w: out of range", errRecord)
	}
	return r, nil
}

// A parser takes values off the front of b; bad once one was missing or too large.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) take(n int) []byte {
	if n > len(p.b) {
		p.bad, p.b = true, nil
		return make([]byte, n)
	}
	head := p.b[:n]
	p.b = p.b[n:]
	return head
}

func (p *parser) byte() byte { return p.take(1)[0] }

func (p *parser) uint(size int) uint64 {
	var v uint64
	for _, c := range p.take(size) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (p *parser) varint(most uint64) uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || v > most {
		p.bad, p.b = true, nil
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) seconds(since int64) int64 { return since + int64(p.varint(uint64(latest-since))) }

func (p *parser) alert() string {
	switch n := int(p.byte()); {
	case n == 0:
		return "a-" + hex.EncodeToString(p.take(10))
	case n > maxAlertID:
		p.bad = true
		return ""
	default:
		return string(p.take(n))
	}
}
