package sigma

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// exprOp is what an expr does with its kids.
type exprOp uint8

const (
	exprTest  exprOp = iota
	exprAnd          // all kids
	exprOr           // any kid
	exprNot          // not the one kid
	exprCount        // at least n kids
)

// An expr is what a rule says, with modifiers expanded. A selection is one expr,
// shared by every place of the condition that names it.
type expr struct {
	op   exprOp
	n    int // exprCount
	kids []*expr
	test *test
	name string // of a selection's root: the selection
}

// combine joins kids under op; a single kid stands for itself.
func combine(op exprOp, kids []*expr) *expr {
	if len(kids) == 1 && (op == exprAnd || op == exprOr) {
		return kids[0]
	}
	return &expr{op: op, kids: kids}
}

// testOp is the kind of a test.
type testOp uint8

const (
	testPattern  testOp = iota // text with wildcards
	testRegex                  // regular expression found anywhere in the text
	testCIDR                   // address inside a network
	testNumber                 // equal as a number
	testCompare                // gt, gte, lt, lte, and equality of a part of a time
	testFieldRef               // compared with the values of another field
	testNull                   // the field is missing or null
	testExists                 // the field is there, null or not
)

// A test asks one question of one field; it holds if any value of the field
// passes, except testNull.
type test struct {
	op    testOp
	cased bool
	cmp   cmpOp
	part  timePart
	shape shape  // testFieldRef: exact, prefix, suffix or contains
	field string // empty: every value of the event (a keyword)

	pat    pattern // testPattern; folded unless cased
	text   string  // testNumber: the canonical number; testRegex: its source; testFieldRef: the other field
	re     *regex
	prefix netip.Prefix
	num    float64 // testCompare
}

// cmpOp is an order relation.
type cmpOp uint8

const (
	cmpEQ cmpOp = iota
	cmpGT
	cmpGE
	cmpLT
	cmpLE
)

var cmpNames = [...]string{"=", ">", ">=", "<", "<="}

func (c cmpOp) holds(a, b float64) bool {
	switch c {
	case cmpGT:
		return a > b
	case cmpGE:
		return a >= b
	case cmpLT:
		return a < b
	case cmpLE:
		return a <= b
	}
	return a == b
}

// timePart is the part of a time that a test looks at.
type timePart uint8

const (
	partNone timePart = iota
	partMinute
	partHour
	partDay
	partWeek
	partMonth
	partYear
)

var partNames = [...]string{"", "minute", "hour", "day", "week", "month", "year"}

func (p timePart) of(t time.Time) float64 {
	switch p {
	case partMinute:
		return float64(t.Minute())
	case partHour:
		return float64(t.Hour())
	case partDay:
		return float64(t.Day())
	case partWeek:
		_, w := t.ISOWeek()
		return float64(w)
	case partMonth:
		return float64(t.Month())
	}
	return float64(t.Year())
}

// parseTime reads the time stamps that events carry as text. A stamp without a
// zone is taken as UTC.
func parseTime(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02") || len(s) > 40 || s[0]-'0' > 9 {
		return time.Time{}, false
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// parseAddr reads an address as networks are asked for it: of IPv6 those that are
// IPv4's are taken as such, and zones do not matter.
func parseAddr(s string) (netip.Addr, bool) {
	const longest = 128 // far above what an address and the name of its zone take
	if len(s) > longest || len(s) < 2 || s[0] != ':' && s[0]-'0' > 9 && (s[0]|0x20)-'a' > 5 {
		return netip.Addr{}, false // most texts, without making an error of them
	}
	addr, err := netip.ParseAddr(s)
	return addr.Unmap().WithZone(""), err == nil
}

// matchValue reports whether one value that is not null passes. It does not
// serve testFieldRef, testNull and testExists, which need more than one value.
func (t *test) matchValue(text string) bool {
	switch t.op {
	case testPattern:
		return t.pat.match(text, t.cased)
	case testRegex:
		return t.re.MatchString(text)
	case testCIDR:
		addr, ok := parseAddr(text)
		return ok && t.prefix.Contains(addr)
	case testNumber:
		var buf [maxNumberLen]byte
		num, ok := appendNumber(buf[:0], text)
		return ok && string(num) == t.text
	case testCompare:
		if t.part != partNone {
			at, ok := parseTime(text)
			return ok && t.cmp.holds(t.part.of(at), t.num)
		}
		f, ok := parseNumber(text)
		return ok && t.cmp.holds(f, t.num)
	}
	return false
}

// related reports whether a value of the field stands to a value of the other
// field as a testFieldRef says.
func (t *test) related(text, other string) bool {
	switch t.shape {
	case shapeExact:
		return foldEqual(text, other, t.cased)
	case shapePrefix:
		if t.cased {
			return strings.HasPrefix(text, other)
		}
		return strings.HasPrefix(fold(text), fold(other))
	case shapeSuffix:
		if t.cased {
			return strings.HasSuffix(text, other)
		}
		return strings.HasSuffix(fold(text), fold(other))
	}
	if t.cased {
		return strings.Contains(text, other)
	}
	return strings.Contains(fold(text), fold(other))
}

// A Field is one value of an event, for Explain.
type Field struct {
	Name string
	Kind Kind
	Text string
}

// matchEvent is the plain meaning of a test, without any plan. It is what
// Explain uses and what the plan is tested against.
func (t *test) matchEvent(event []Field) bool {
	seen, null := false, false
	for _, f := range event {
		if t.field != "" && f.Name != t.field {
			continue
		}
		seen = true
		if f.Kind == Null {
			null = true
			continue
		}
		if t.op == testFieldRef {
			for _, other := range event {
				if other.Name == t.text && other.Kind != Null && t.related(f.Text, other.Text) {
					return true
				}
			}
		} else if t.matchValue(f.Text) {
			return true
		}
	}
	switch t.op {
	case testNull:
		return null || !seen
	case testExists:
		return seen
	}
	return false
}

// matchEvent is the plain meaning of an expression.
func (e *expr) matchEvent(event []Field) bool {
	switch e.op {
	case exprTest:
		return e.test.matchEvent(event)
	case exprNot:
		return !e.kids[0].matchEvent(event)
	}
	n := 0
	for _, k := range e.kids {
		if k.matchEvent(event) {
			n++
		}
	}
	switch e.op {
	case exprAnd:
		return n == len(e.kids)
	case exprOr:
		return n > 0
	}
	return n >= e.n
}

// String renders the test in words close to the rule's.
func (t *test) String() string {
	field := t.field
	if field == "" {
		field = "any field"
	}
	if t.part != partNone {
		field = partNames[t.part] + " of " + field
	}
	cased := ""
	if t.cased {
		cased = " (case as written)"
	}
	switch t.op {
	case testPattern:
		return field + " is " + quote(t.pat.String()) + cased
	case testRegex:
		return field + " matches " + quote(t.text)
	case testCIDR:
		return field + " is in " + t.prefix.String()
	case testNumber:
		return field + " = " + t.text
	case testCompare:
		return field + " " + cmpNames[t.cmp] + " " + strconv.FormatFloat(t.num, 'g', -1, 64)
	case testFieldRef:
		rel := [...]string{" equals field ", " starts with field ", " ends with field ", " contains field "}
		return field + rel[t.shape] + quote(t.text) + cased
	case testNull:
		return field + " is missing or null"
	}
	return field + " exists"
}
