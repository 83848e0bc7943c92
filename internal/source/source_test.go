package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/catena-sec/catena/internal/model"
)

// walked is what a walk handed on: "path: content", and "path: cause".
type walked struct {
	got, bad []string
	err      error
}

// walkAll walks paths; content longer than 64 bytes is told by its length. A read
// error stands behind the content that came before it.
func walkAll(t *testing.T, o Options, paths ...string) (w walked) {
	t.Helper()
	w.err = Walk(t.Context(), paths, o, func(in Input) error {
		data, err := io.ReadAll(in.Reader)
		s := string(data)
		if len(s) > 64 {
			s = fmt.Sprintf("%d bytes", len(s))
		}
		if err != nil {
			s += " then " + err.Error()
		}
		w.got = append(w.got, filepath.ToSlash(in.Path)+": "+s)
		return nil
	}, func(path string, e model.InputError) {
		w.bad = append(w.bad, filepath.ToSlash(path)+": "+e.Cause)
	})
	return w
}

func (w walked) check(t *testing.T, got, bad []string) {
	t.Helper()
	if w.err != nil {
		t.Error(w.err)
	}
	if !slices.Equal(w.got, got) {
		t.Errorf("got  %q\nwant %q", w.got, got)
	}
	if len(w.bad) != len(bad) {
		t.Errorf("errors %q, want %q", w.bad, bad)
		return
	}
	for i := range bad {
		if !strings.Contains(w.bad[i], bad[i]) {
			t.Errorf("error %q, want %q", w.bad[i], bad[i])
		}
	}
}

type file struct{ name, data string }

func makeZip(t *testing.T, files ...file) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate})
		if err == nil {
			_, err = io.WriteString(w, f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func makeTar(t *testing.T, headers []tar.Header, files ...file) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range headers {
		if err := w.WriteHeader(&headers[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.data)), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.WriteString(w, f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gz(t *testing.T, data string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zst(t *testing.T, data string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(data), nil))
}

// folder writes files below a new folder and makes it the working one, so that
// paths are short.
func folder(t *testing.T, files ...file) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.name, []byte(f.data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWalkFolders(t *testing.T) {
	folder(t, file{"d/b.log", "B"}, file{"d/a.log", "A"}, file{"d/sub/c.log", "C"}, file{"d/empty", ""},
		file{"d/__MACOSX/x", "X"}, file{"d/._a.log", "X"}, file{"e.log", "E"})
	want := []string{"d/a.log: A", "d/b.log: B", "d/sub/c.log: C", "e.log: E"}
	walkAll(t, Options{}, "d", "e.log").check(t, want, nil)
	walkAll(t, Options{}, "e.log", "d/sub", "d", "./d/", "d/a.log", "e.log").check(t, want, nil)
	walkAll(t, Options{}, "missing", "e.log").check(t, want[3:], []string{"missing: "})
}

func TestWalkSameFileUnderTwoNames(t *testing.T) {
	folder(t, file{"d/a.log", "A"})
	abs, err := filepath.Abs("d")
	if err != nil {
		t.Fatal(err)
	}
	one, two := walkAll(t, Options{}, abs, "d"), walkAll(t, Options{}, "d", abs)
	if len(one.got) != 1 || !slices.Equal(one.got, two.got) {
		t.Errorf("%q, %q", one.got, two.got)
	}
}

func TestWalkLinks(t *testing.T) {
	folder(t, file{"d/a.log", "A"}, file{"out/o.log", "O"}, file{"f.log", "F"})
	for _, l := range [][2]string{{"..", "d/up"}, {".", "d/self"}, {"../out", "d/out"}, {"../f.log", "d/f"}, {"a.log", "d/same"}, {"nowhere", "d/broken"}} {
		if err := os.Symlink(l[0], l[1]); err != nil {
			t.Skip("this system makes no symbolic links:", err)
		}
	}
	walkAll(t, Options{}, "d").check(t, []string{"d/a.log: A", "d/f: F"},
		[]string{"d/broken: stat: ", "d/out: symbolic link to a folder elsewhere", "d/up: symbolic link to a folder elsewhere"})
}

func TestWalkStdin(t *testing.T) {
	walkAll(t, Options{Stdin: strings.NewReader(gz(t, "hello"))}, "-").check(t, []string{"-: hello"}, nil)
	walkAll(t, Options{Stdin: strings.NewReader(makeZip(t, file{"a", "A"}))}, "-").check(t, []string{"-!a: A"}, nil)
	walkAll(t, Options{Stdin: strings.NewReader("")}, "-").check(t, nil, nil)
}

func TestWalkArchives(t *testing.T) {
	inner := makeZip(t, file{"deep.log", "deep"})
	folder(t,
		file{"any.name", makeZip(t, file{"z.log", "Z"}, file{"dir/", ""}, file{`win\logs\a.evtx`, "W"}, file{"__MACOSX/._z.log", "x"}, file{"empty", ""}, file{"in.zip", inner})},
		file{"b.tgz", gz(t, makeTar(t, nil, file{"t.log", "T"}, file{"in.zip", inner}))},
		file{"c.zst", zst(t, "S")},
		file{"d.tar", makeTar(t, nil, file{"x.gz", gz(t, "G")})},
		file{"e.7z", "7z\xbc\xaf\x27\x1c rest"},
		file{"f.zip", makeZip(t)},
	)
	walkAll(t, Options{}, ".").check(t, []string{"any.name!z.log: Z", `any.name!win\logs\a.evtx: W`, "any.name!in.zip!deep.log: deep",
		"b.tgz!t.log: T", "b.tgz!in.zip!deep.log: deep", "c.zst: S", "d.tar!x.gz: G", "e.7z: 7z\xbc\xaf\x27\x1c rest"}, nil)
}

func TestWalkUnsafeNames(t *testing.T) {
	folder(t,
		file{"a.tar", makeTar(t, []tar.Header{
			{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
			{Name: "hard", Linkname: "abs.log", Typeflag: tar.TypeLink},
			{Name: "dev", Typeflag: tar.TypeChar},
		}, file{"/etc/abs.log", "1"}, file{"../../up.log", "2"})},
		file{"b.zip", makeZip(t, file{"../x\x1b[31m.log", "3"}, file{`C:\y.log`, "4"}, file{"bidi\u202e.log", "5"}, file{"..", "6"}, file{"cp\x82.log", "7"})},
	)
	walkAll(t, Options{}, ".").check(t, []string{"a.tar!etc/abs.log: 1", "a.tar!up.log: 2",
		`b.zip!x\x1b[31m.log: 3`, "b.zip!y.log: 4", `b.zip!bidi\u{202e}.log: 5`, "b.zip!unnamed: 6", `b.zip!cp\x82.log: 7`}, nil)
}

// What a damaged archive still yields is handed on, then the error.
func TestWalkDamaged(t *testing.T) {
	var noise strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&noise, "%08x\n", crc32.ChecksumIEEE([]byte{byte(i), byte(i >> 8)}))
	}
	whole := gz(t, noise.String())
	tarred := makeTar(t, nil, file{"a", "A"}, file{"b", noise.String()})
	encrypted := []byte(makeZip(t, file{"secret", "S"}, file{"open", "O"}))
	encrypted[bytes.Index(encrypted, []byte("PK\x01\x02"))+8] |= 1
	method := []byte(makeZip(t, file{"odd", "S"}, file{"open", "O"}))
	method[bytes.Index(method, []byte("PK\x01\x02"))+10] = 98
	sum := []byte(makeZip(t, file{"sum", "S"}, file{"open", "O"}))
	sum[bytes.Index(sum, []byte("PK\x01\x02"))+16] ^= 1
	folder(t,
		file{"a.gz", whole[:len(whole)/2]},
		file{"b.tar", tarred[:len(tarred)-40_000]},
		file{"c.zip", string(encrypted)},
		file{"d.zip", string(method)},
		file{"e.zip", "PK\x03\x04 and nothing more"},
		file{"f.gz", "\x1f\x8b\x08"},
		file{"g.zip", string(sum)},
		file{"h.log", "still read"},
	)
	w := walkAll(t, Options{}, ".")
	if len(w.got) != 8 {
		t.Fatalf("got %q", w.got)
	}
	prefix, rest, _ := strings.Cut(w.got[0], " bytes then ")
	if prefix == "a.gz: 0" || rest != io.ErrUnexpectedEOF.Error() {
		t.Errorf("truncated gzip: %q", w.got[0])
	}
	if !strings.HasPrefix(w.got[2], "b.tar!b: ") || !strings.HasSuffix(w.got[2], io.ErrUnexpectedEOF.Error()) {
		t.Errorf("truncated tar: %q", w.got[2])
	}
	w.got = slices.Concat(w.got[1:2], w.got[3:])
	w.check(t, []string{"b.tar!a: A", "c.zip!open: O", "d.zip!open: O", "g.zip!sum: S then zip: checksum error", "g.zip!open: O", "h.log: still read"},
		[]string{"b.tar: tar archive, after 2 members", "c.zip!secret: encrypted", "d.zip!odd: compression method 98", "e.zip: ", "f.gz: "})
}

func TestWalkBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 4<<20)
	o := Options{Ratio: 100, RatioFrom: 1 << 20}
	nested := zeros
	for range 2 {
		nested = makeZip(t, file{"a.zip", nested}, file{"b.zip", nested})
	}
	deep := "bottom"
	for range 5 {
		deep = gz(t, deep)
	}
	folder(t, file{"flat.zip", makeZip(t, file{"bomb", zeros}, file{"later", "L"})},
		file{"gz.gz", gz(t, zeros)}, file{"zst.zst", zst(t, zeros)},
		file{"nested.zip", nested}, file{"plain.log", zeros}, file{"z.log", "last"})
	w := walkAll(t, o, ".")
	bombs := 0
	for _, g := range w.got {
		name, _, _ := strings.Cut(g, ":")
		if name == "plain.log" || name == "z.log" {
			continue
		}
		bombs++
		if !strings.HasSuffix(g, "then unpacks to more than 100 times its size: not read further") {
			t.Errorf("%q", g)
		}
	}
	if bombs < 3 {
		t.Errorf("%d bombs in %q", bombs, w.got)
	}
	if !slices.Contains(w.got, "z.log: last") || !slices.Contains(w.got, "plain.log: 4194304 bytes") {
		t.Errorf("the rest was not read: %q", w.got)
	}
	if !slices.ContainsFunc(w.bad, func(s string) bool { return strings.HasPrefix(s, "flat.zip: unpacks") }) ||
		!slices.ContainsFunc(w.bad, func(s string) bool { return strings.HasPrefix(s, "nested.zip: unpacks") }) {
		t.Errorf("errors %q", w.bad)
	}
	if w.err != nil {
		t.Error(w.err)
	}

	folder(t, file{"a.gz", deep}, file{"b.log", "B"})
	walkAll(t, Options{Depth: 4}, ".").check(t, []string{"b.log: B"}, []string{"a.gz: containers nested deeper than 4"})
	walkAll(t, Options{}, ".").check(t, []string{"a.gz: bottom", "b.log: B"}, nil)

	folder(t, file{"m.zip", makeZip(t, file{"a", "A"}, file{"b", "B"}, file{"c", "C"})}, file{"n.tar", makeTar(t, nil, file{"a", "A"}, file{"b", "B"}, file{"c", "C"})})
	walkAll(t, Options{Members: 2}, ".").check(t, []string{"m.zip!a: A", "m.zip!b: B", "n.tar!a: A", "n.tar!b: B"},
		[]string{"m.zip: more than 2 members", "n.tar: more than 2 members"})

	folder(t, file{"a.gz", gz(t, strings.Repeat("0123456789", 1000))})
	if w := walkAll(t, Options{Unpacked: 5000}, "."); len(w.got) != 1 || !strings.HasSuffix(w.got[0], "more than 5000 bytes: not read further") {
		t.Errorf("%q", w.got)
	}
}

// A zip that lost its end is read member by member, up to where it was cut.
func TestWalkCutZip(t *testing.T) {
	var noise strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&noise, "%08x\n", crc32.ChecksumIEEE([]byte{byte(i), byte(i >> 8)}))
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(h zip.FileHeader, data string) {
		w, err := z.CreateRaw(&h)
		if err == nil {
			_, err = io.WriteString(w, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add(zip.FileHeader{Name: "stored", Method: zip.Store, CompressedSize64: 2, UncompressedSize64: 2}, "S1")
	add(zip.FileHeader{Name: "unsized", Method: zip.Store, Flags: 8}, "??")
	add(zip.FileHeader{Name: "secret", Method: zip.Store, Flags: 1, CompressedSize64: 2, UncompressedSize64: 2}, "XX")
	add(zip.FileHeader{Name: "dir/", Method: zip.Store}, "")
	for _, f := range []file{{"../a.log", "A"}, {"b.gz", gz(t, "B")}, {"c.log", noise.String()}} { // deflated, sizes behind the data
		w, err := z.Create(f.name)
		if err == nil {
			_, err = io.WriteString(w, f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	whole := b.String()
	cut := strings.Index(whole, "c.log")
	folder(t, file{"a.zip", whole[:cut+20_000]}, file{"b.zip", whole[:cut+3]}, file{"c.zip", whole[:len(whole)-10]}, file{"d.zip", whole[:31]}, file{"e.log", "E"})
	w := walkAll(t, Options{}, ".")
	members := func(in string) []string { return []string{in + "!stored: S1", in + "!a.log: A", in + "!b.gz: B"} }
	var got []string
	for _, g := range w.got {
		if strings.HasPrefix(g, "a.zip!c.log: ") {
			if !strings.HasSuffix(g, " bytes then "+io.ErrUnexpectedEOF.Error()) || strings.HasPrefix(g, "a.zip!c.log: 0 ") {
				t.Errorf("cut member: %q", g)
			}
			continue
		}
		got = append(got, g)
	}
	want := slices.Concat(members("a.zip"), members("b.zip"), members("c.zip"), []string{"c.zip!c.log: 180000 bytes", "e.log: E"})
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, in := range []string{"a.zip", "b.zip", "c.zip", "d.zip"} {
		if !slices.ContainsFunc(w.bad, func(s string) bool { return strings.HasPrefix(s, in+": zip: ") }) {
			t.Errorf("%s is not named in %q", in, w.bad)
		}
	}
	if !slices.Contains(w.bad, "a.zip!secret: encrypted: cannot be read without its password") ||
		!slices.Contains(w.bad, "a.zip!unsized: cannot be read without the archive's directory (compression method 0)") {
		t.Errorf("errors %q", w.bad)
	}
	if w.err != nil {
		t.Error(w.err)
	}
}

// A zip in a zip larger than memory should hold goes through a temporary file,
// which does not stay.
func TestWalkSpool(t *testing.T) {
	temp := t.TempDir()
	var big strings.Builder
	for i := range spoolMemory / 8 {
		fmt.Fprintf(&big, "%08x ", crc32.ChecksumIEEE([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
	}
	var inner bytes.Buffer
	z := zip.NewWriter(&inner)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "big", Method: zip.Store})
	if err == nil {
		_, err = io.WriteString(w, big.String())
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	folder(t, file{"o.tar", makeTar(t, nil, file{"in.zip", inner.String()})})
	walkAll(t, Options{TempDir: temp}, "o.tar").check(t, []string{fmt.Sprintf("o.tar!in.zip!big: %d bytes", big.Len())}, nil)
	walkAll(t, Options{TempDir: temp, Spool: spoolMemory}, "o.tar").check(t, nil, []string{"o.tar!in.zip: zip archive: larger than"})
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWalkStops(t *testing.T) {
	folder(t, file{"a.zip", makeZip(t, file{"a", "A"}, file{"b", "B"})}, file{"c", "C"})
	enough := errors.New("enough")
	n := 0
	err := Walk(t.Context(), []string{"."}, Options{}, func(Input) error { n++; return enough }, func(string, model.InputError) {})
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	err = Walk(ctx, []string{"."}, Options{}, func(Input) error { n++; cancel(); return nil }, func(string, model.InputError) {})
	if !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
	if err := Walk(ctx, []string{"."}, Options{}, func(Input) error { return nil }, func(string, model.InputError) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before it began: %v", err)
	}
}

// A member that its visitor does not read is no obstacle to the next one.
func TestWalkUnread(t *testing.T) {
	folder(t, file{"a.tar", makeTar(t, nil, file{"a", strings.Repeat("x", 3*HeadLen)}, file{"b", "B"})})
	var heads []string
	err := Walk(t.Context(), []string{"a.tar"}, Options{}, func(in Input) error {
		head, err := in.Reader.Peek(HeadLen)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		heads = append(heads, fmt.Sprint(in.Path, " ", in.Size, " ", len(head)))
		return nil
	}, func(path string, e model.InputError) { t.Error(path, e) })
	if want := []string{"a.tar!a 196608 65536", "a.tar!b 1 1"}; err != nil || !slices.Equal(heads, want) {
		t.Errorf("%q, %v", heads, err)
	}
}

func FuzzWalk(f *testing.F) {
	t := &testing.T{}
	f.Add([]byte(makeZip(t, file{"a", "A"}, file{"b.gz", gz(t, "B")})))
	f.Add([]byte(gz(t, makeTar(t, nil, file{"a", "A"}))))
	f.Add([]byte(zst(t, "data")))
	f.Add([]byte("BZh91AY&SY"))
	cut := makeZip(t, file{"a", "A"}, file{"b", strings.Repeat("B", 100)})
	f.Add([]byte(cut[:len(cut)-30]))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{Stdin: bytes.NewReader(data), Unpacked: 1 << 20}
		var total int64
		err := Walk(t.Context(), []string{"-"}, o, func(in Input) error {
			n, _ := io.Copy(io.Discard, in.Reader)
			total += n
			return nil
		}, func(_ string, e model.InputError) {
			if e.Cause == "" {
				t.Error("error without a cause")
			}
		})
		if err != nil {
			t.Error(err)
		}
		if total > 1<<20+HeadLen+int64(len(data)) {
			t.Errorf("%d bytes unpacked", total)
		}
	})
}
