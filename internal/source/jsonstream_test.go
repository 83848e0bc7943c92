package source

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// objectsOf reads all objects of a text, and the causes of what is none.
func objectsOf(text string, limit, buffer int) (objects, causes []string, err error) {
	j := &jsonReader{r: bufio.NewReaderSize(strings.NewReader(text), buffer), max: limit}
	for {
		o, err := j.next()
		var bad *recordError
		switch {
		case errors.Is(err, io.EOF):
			return objects, causes, nil
		case errors.As(err, &bad):
			causes = append(causes, bad.Error())
		case err != nil:
			return objects, causes, err
		default:
			objects = append(objects, string(o))
		}
	}
}

func TestJSONReader(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
		causes   []string
	}{
		{"lines", "{\"a\":1}\n{\"b\":\"}\\\"{\"}\r\n\n{\"c\":{}}", []string{`{"a":1}`, `{"b":"}\"{"}`, `{"c":{}}`}, nil},
		{"array", ` [ {"a":1},{"b":[1,{"c":2}]} , {"d":3} ]`, []string{`{"a":1}`, `{"b":[1,{"c":2}]}`, `{"d":3}`}, nil},
		{"concatenated", `{"a":1}{"b":2} {"c":3}`, []string{`{"a":1}`, `{"b":2}`, `{"c":3}`}, nil},
		{"printed", "{\n \"a\": {\n  \"b\": 1\n }\n}\n{\"c\":2}", []string{"{\n \"a\": {\n  \"b\": 1\n }\n}", `{"c":2}`}, nil},
		{"wrapper", `{"Records":[{"a":1},{"b":[{"x":"]}"}]}]}`, []string{`{"a":1}`, `{"b":[{"x":"]}"}]}`}, nil},
		{"printed wrapper", "{\n\"value\": [\n{\"a\":1}\n],\n\"next\": {\"x\": \"]\"}, \"n\": 1}\n{\"z\":1}", []string{`{"a":1}`, `{"z":1}`}, nil},
		{"no wrapper", `{"list":[{"a":1}]}`, []string{`{"list":[{"a":1}]}`}, nil},
		{"damaged line", "{\"a\":1}\nnonsense {\n{\"b\":\"x\n{\"c\":3}", []string{`{"a":1}`, `{"c":3}`}, []string{
			"record 2: begins with 'n' where an object would with {", "record 3: a line end inside a string"}},
		{"cut off", `{"a":1}{"b":`, []string{`{"a":1}`}, []string{"record 2: ends inside an object"}},
		{"too large", `{"a":1}` + "\n{\"b\":\"" + strings.Repeat("x", 200) + "\"}\n{\"c\":3}", []string{`{"a":1}`, `{"c":3}`}, []string{"record 2: an object of more than 100 bytes"}},
		{"mark", "\xef\xbb\xbf{\"a\":1}", []string{`{"a":1}`}, nil},
		{"nothing", " \n", nil, nil},
	} {
		for _, buffer := range []int{16, 64, 4096} {
			got, causes, err := objectsOf(c.in, 100, buffer)
			if err != nil || !slices.Equal(got, c.want) || !slices.Equal(causes, c.causes) {
				t.Errorf("%s (buffer %d): %q, %q, %v; want %q, %q", c.name, buffer, got, causes, err, c.want, c.causes)
				break
			}
		}
	}
}

// TestJSONReaderHoldsWhatItMust: what is skipped is not kept.
func TestJSONReaderHoldsWhatItMust(t *testing.T) {
	j := &jsonReader{r: bufio.NewReaderSize(io.LimitReader(endless(`{"a":"`), 64<<20), 4096), max: 1 << 10}
	if _, err := j.next(); err == nil || !strings.Contains(err.Error(), "more than 1024 bytes") {
		t.Errorf("an endless object: %v", err)
	}
	if cap(j.held) > 16<<10 {
		t.Errorf("%d bytes are held", cap(j.held))
	}
}

// endless yields a text, then the letter x for ever.
func endless(text string) io.Reader {
	return io.MultiReader(strings.NewReader(text), readerFunc(func(p []byte) (int, error) {
		for i := range p {
			p[i] = 'x'
		}
		return len(p), nil
	}))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func FuzzJSONReader(f *testing.F) {
	f.Add("{\"a\":1}\n[{\"b\":\"}\\\\\"}]\n{\"Records\":[{\"c\":[]}],\"x\":{}}{\"d\":\n{}}", 16)
	f.Add("{]", 1)
	f.Add("]}{\"value\" : [ {} , {}", 17)
	f.Fuzz(func(t *testing.T, text string, buffer int) {
		a, ac, err := objectsOf(text, 1<<20, 16)
		if err != nil {
			t.Fatal(err)
		}
		b, bc, _ := objectsOf(text, 1<<20, 16+max(0, buffer%4096))
		if !slices.Equal(a, b) || !slices.Equal(ac, bc) {
			t.Fatalf("with another buffer: %q %q and %q %q", a, ac, b, bc)
		}
		for _, o := range a {
			if end := o[len(o)-1]; o[0] != '{' || end != '}' && end != ']' {
				t.Fatalf("object %q", o)
			}
		}
		// What is one valid object comes out as it is, unless it wraps a list.
		if trimmed := bytes.TrimSpace([]byte(text)); json.Valid(trimmed) && len(trimmed) > 0 && trimmed[0] == '{' &&
			!isWrapperText(string(trimmed)) && (len(a) != 1 || a[0] != string(trimmed)) {
			t.Fatalf("%q became %q, %q", trimmed, a, ac)
		}
	})
}

func isWrapperText(s string) bool {
	s = strings.Join(strings.Fields(s), "")
	return strings.HasPrefix(s, `{"Records":[`) || strings.HasPrefix(s, `{"records":[`) || strings.HasPrefix(s, `{"value":[`)
}
