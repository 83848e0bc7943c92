package sigma

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// globRegexp says what a pattern means in terms of an engine that is not ours.
func globRegexp(p pattern) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?is)\A`)
	for p != "" {
		switch i := indexWildcard(string(p)); {
		case i > 0:
			b.WriteString(regexp.QuoteMeta(string(p[:i])))
			p = p[i:]
		case p[0] == star:
			b.WriteString(".*")
			p = p[1:]
		default:
			b.WriteString(".")
			p = p[1:]
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func TestShape(t *testing.T) {
	for src, want := range map[string]struct {
		shape shape
		lit   string
	}{
		"":          {shapeExact, ""},
		"abc":       {shapeExact, "abc"},
		"abc*":      {shapePrefix, "abc"},
		"*abc":      {shapeSuffix, "abc"},
		"*abc*":     {shapeContains, "abc"},
		"*":         {shapeAny, ""},
		"**":        {shapeAny, ""},
		"a*bcd?e":   {shapeGlob, "bcd"},
		"*ab?cde":   {shapeGlob, "cde"},
		"?":         {shapeGlob, ""},
		`a\*b`:      {shapeExact, "a*b"},
		`dir\\*`:    {shapePrefix, `dir\`},
		`\\\\srv\x`: {shapeExact, `\\srv\x`},
	} {
		if s, lit := parsePattern(src).shape(); s != want.shape || lit != want.lit {
			t.Errorf("%q: shape %d, literal %q", src, s, lit)
		}
	}
}

func TestWindashRefusesTooMany(t *testing.T) {
	if n := len(parsePattern("-a -b -c -d").windash()); n != 625 {
		t.Errorf("four dashes have %d variants", n)
	}
	if parsePattern("-a -b -c -d -e").windash() != nil {
		t.Error("five dashes are not refused")
	}
}

// The specification's example: the three offsets of "foo".
func TestBase64Offsets(t *testing.T) {
	want := []string{"Zm9v", "Zvb", "mb2"}
	got := base64Offsets("foo")
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRequiredLiterals(t *testing.T) {
	for src, want := range map[string][]string{
		`abc`:            {"abc"},
		`(?i)ABC`:        {"abc"},
		`a+bc*`:          {"a"},
		`(foo|barn)x?`:   {"foo", "barn"},
		`x(ab){2,}`:      {"ab"},
		`[ab]c.*longer`:  {"longer"},
		`a*`:             nil,
		`foo|.*`:         nil,
		`\x{FFFD}`:       nil,
		`^\\\\[^\\]+\\c`: {`\\`},
	} {
		got := requiredLiterals(src)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}
