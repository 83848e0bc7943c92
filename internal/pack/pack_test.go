package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const manifest = "name: acme\nversion: 1.2.0\ndescription: what acme watches\nlicence: Apache-2.0\nmin_engine: 0.1.0\n"

// rule returns a detection rule for events of product with the field x of value n.
func rule(n int, product string) string {
	return fmt.Sprintf("title: Rule %d\nid: %08d-0000-4000-8000-000000000000\nlevel: low\ntags: [attack.t1110.003]\nlogsource: {product: %s}\ndetection: {s: {x: %d}, condition: s}\n", n, n, product, n)
}

// folder writes files, path to content, below a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, src := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func acme(t testing.TB) string {
	return folder(t, map[string]string{ManifestFile: manifest, "README.md": "# acme\n", "linux/one.yml": rule(1, "linux"), "linux/one.test.yml": "fires: []\n",
		"two.yaml": rule(2, "windows"), ".git/HEAD": "left behind", "linux/.swp": "left behind"})
}

func packed(t testing.TB, dir, out string) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Write(&b, out, dir); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(name string, src []byte) (*Pack, error) {
	return Read(name, bytes.NewReader(src), int64(len(src)))
}

func paths(files []File) string {
	var out []string
	for _, f := range files {
		out = append(out, f.path)
	}
	return strings.Join(out, " ")
}

// A folder, both kinds of archive and the archive unpacked again hold the same
// pack, and the same files give the same bytes.
func TestWriteAndRead(t *testing.T) {
	dir := acme(t)
	for _, out := range []string{"acme.zip", "acme.tar.gz", "acme.tgz"} {
		src := packed(t, dir, out)
		if again := packed(t, acme(t), out); !bytes.Equal(src, again) {
			t.Errorf("%s: %d and %d bytes of the same files differ", out, len(src), len(again))
		}
		p, err := read(out, src)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Sealed || p.String() != "acme 1.2.0" || paths(p.Rules()) != "linux/one.yml two.yaml" || p.Manifest.Licence != "Apache-2.0" || len(p.Check("1.0.0")) > 0 {
			t.Errorf("%s: %+v, rules %s, problems %v", out, p.Manifest, paths(p.Rules()), p.Check("1.0.0"))
		}
		one, err := p.Rules()[0].Read()
		if err != nil || string(one) != rule(1, "linux") || p.Rules()[0].Name != out+"!linux/one.yml" {
			t.Errorf("%s: %q %v", p.Rules()[0].Name, one, err)
		}
		if name := filepath.Join(dir, "..", out); os.WriteFile(name, src, 0o600) != nil {
			t.Fatal("cannot write " + name)
		} else if p, err := Open(name); err != nil || len(p.Check("")) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := Open(dir)
	if err != nil || p.Sealed || p.Name() != "acme" || paths(p.Rules()) != "linux/one.yml two.yaml" {
		t.Errorf("folder: %v, %+v", err, p)
	}
}

// What is wrong with a pack is told by file.
func TestCheck(t *testing.T) {
	unpacked := func(t *testing.T) string {
		z, err := zip.NewReader(bytes.NewReader(packed(t, acme(t), "acme.zip")), int64(len(packed(t, acme(t), "acme.zip"))))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.CopyFS(dir, z); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	write := func(t *testing.T, dir, name, src string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
		engine string
		want   []string // file and part of the reason
	}{
		{"as made", func(*testing.T, string) {}, "0.1.0", nil},
		{"dot files do not matter", func(t *testing.T, dir string) { write(t, dir, ".DS_Store", "x") }, "dev", nil},
		{"missing", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "two.yaml")); err != nil {
				t.Fatal(err)
			}
		}, "1.0.0", []string{"two.yaml", "is missing"}},
		{"changed", func(t *testing.T, dir string) { write(t, dir, "two.yaml", rule(3, "windows")) }, "1.0.0", []string{"two.yaml", "was changed"}},
		{"extra", func(t *testing.T, dir string) { write(t, dir, "linux/new.yml", rule(3, "linux")) }, "1.0.0", []string{"new.yml", "is not in SHA256SUMS"}},
		{"manifest changed", func(t *testing.T, dir string) {
			write(t, dir, ManifestFile, strings.Replace(manifest, "1.2.0", "1.3.0", 1))
		}, "1.0.0", []string{ManifestFile, "was changed"}},
		{"link", func(t *testing.T, dir string) {
			if err := os.Symlink("/etc/hosts", filepath.Join(dir, "hosts.yml")); err != nil {
				t.Skip("this system makes no symbolic links:", err)
			}
		}, "1.0.0", []string{"hosts.yml", "a link"}},
		{"engine too old", func(*testing.T, string) {}, "v0.0.9", []string{"", "is for Catena 0.1.0 or newer, and this is v0.0.9"}},
		{"too large", func(t *testing.T, dir string) { write(t, dir, "two.yaml", strings.Repeat("#", MaxRule+1)) }, "1.0.0", []string{"two.yaml", "larger than"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := unpacked(t)
			c.change(t, dir)
			p, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := p.Check(c.engine)
			if c.want == nil {
				if len(got) > 0 {
					t.Errorf("problems %v", got)
				}
				return
			}
			if len(got) == 0 || !strings.HasSuffix(got[0].File, c.want[0]) || !strings.HasPrefix(got[0].File, dir) || !strings.Contains(got[0].Reason, c.want[1]) {
				t.Errorf("problems %v, want %q", got, c.want)
			}
		})
	}
}

// A folder without hashes, and one without a manifest, is taken as it is.
func TestFolderWithoutHashes(t *testing.T) {
	for _, files := range []map[string]string{{"a.yml": rule(1, "linux"), "b/c.yml": "title: [\n"}, {ManifestFile: manifest, "a.yml": rule(1, "linux"), "b/c.yml": "title: [\n"}} {
		p, err := Open(folder(t, files))
		if err != nil || p.Sealed || paths(p.Rules()) != "a.yml b/c.yml" || len(p.Check("1.0.0")) > 0 {
			t.Fatalf("%v %+v", err, p)
		}
		set, problems, err := Load([]*Pack{p}, Options{})
		if err != nil || len(set.Rules.Rules()) != 1 || len(problems) != 1 || problems[0].Line == 0 {
			t.Errorf("%v, problems %v", err, problems)
		}
	}
}

// What is no file is not opened: a pipe would wait for ever.
func TestPipe(t *testing.T) {
	dir := folder(t, map[string]string{"a.yml": rule(1, "linux")})
	if err := makePipe(filepath.Join(dir, "b.yml")); err != nil {
		t.Skip("this system makes no named pipes:", err)
	}
	if _, err := Open(filepath.Join(dir, "b.yml")); err == nil || !strings.Contains(err.Error(), "neither a folder nor a file") {
		t.Errorf("the pipe alone: %v", err)
	}
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	set, problems := load(t, []*Pack{p}, Options{})
	if inUse(set) != "Rule 1" || len(problems) != 1 || problems[0].Reason != "not a regular file" {
		t.Errorf("%s, %v", inUse(set), problems)
	}
}

func makePipe(path string) error { return exec.Command("mkfifo", path).Run() }

func TestManifestErrors(t *testing.T) {
	for _, c := range [][2]string{
		{"", "it is empty"}, {"name: acme\n", "version: \"\" is none"}, {"version: 1.0.0\n", "name: \"\" is none"},
		{"name: Acme Rules\nversion: 1.0.0\n", "name: \"Acme Rules\" is none"}, {"name: acme\nversion: latest\n", "version: \"latest\" is none"},
		{"name: acme\nversion: 1.0.0\nmin_engine: new\n", "min_engine: \"new\" is no version"},
		{"name: acme\nversion: 1.0.0\ncolour: green\n", "line 3: there is no key \"colour\" here"},
		{"name: [acme\n", "line 1"}, {"name: \xff", "not UTF-8"}, {"# " + strings.Repeat("x", maxManifest), "larger than"},
		{"name: acme\nversion: 1.0.0\ndescription: " + strings.Repeat("x", maxField+1), "longer than"},
	} {
		if _, err := ParseManifest([]byte(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%.60q: %v, want %q", c[0], err, c[1])
		}
	}
	dir := folder(t, map[string]string{ManifestFile: "name: [acme\n"})
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, ManifestFile)+": ") {
		t.Errorf("%v", err)
	}
}

func TestSumsErrors(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for _, c := range [][2]string{
		{"x", "line 1: want 64 hex digits"}, {hash + "  a.yml\n" + hash[1:] + "  b.yml\n", "line 2: want 64 hex digits"},
		{hash + "  a.yml\n\n" + hash + "  a.yml\n", "line 3: a.yml stands on line 1"}, {hash + "  ../a.yml\n", "leaves the pack"},
		{hash + "  /etc/a.yml\n", "leaves the pack"}, {hash + "  C:a.yml\n", `with \ or :`}, {hash + "  a\x1b[2J.yml\n", "cannot be shown"},
		{hash + "  " + strings.Repeat("a/", MaxDepth) + "b\n", "folders deep"}, {hash + "  " + strings.Repeat("a", MaxPath+1) + "\n", "longer than"},
	} {
		if _, err := parseSums([]byte(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%.80q: %v, want %q", c[0], err, c[1])
		}
	}
	sums, err := parseSums([]byte(strings.ToUpper(hash) + " *a b.yml\r\n"))
	if err != nil || len(sums) != 1 || sums[0].path != "a b.yml" || sums[0].hash != hash {
		t.Errorf("%v %v", sums, err)
	}
}

// tarred is a gzipped tar of headers, with content where they have a size.
func tarred(headers ...*tar.Header) []byte {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	t := tar.NewWriter(g)
	for _, h := range headers {
		if t.WriteHeader(h) == nil {
			t.Write(make([]byte, h.Size)) //nolint:errcheck // into memory
		}
	}
	t.Close()
	g.Close()
	return b.Bytes()
}

func zipped(put func(z *zip.Writer)) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	put(z)
	z.Close()
	return b.Bytes()
}

func zipOf(names ...string) []byte {
	return zipped(func(z *zip.Writer) {
		for _, n := range names {
			w, err := z.Create(n)
			if err == nil {
				w.Write([]byte("title: x\n")) //nolint:errcheck // into memory
			}
		}
	})
}

// hostile are archives that must not be used, by what is said of them.
func hostile() map[string][]byte {
	link := func(mode os.FileMode) []byte {
		return zipped(func(z *zip.Writer) {
			h := &zip.FileHeader{Name: "a.yml"}
			h.SetMode(mode | 0o777)
			w, err := z.CreateHeader(h)
			if err == nil {
				w.Write([]byte("/etc/hosts")) //nolint:errcheck // into memory
			}
		})
	}
	whole := tarred(&tar.Header{Name: "a.yml", Size: 5000, Typeflag: tar.TypeReg})
	return map[string][]byte{
		"up":              zipOf("../a.yml"),
		"inside up":       zipOf("a/../../b.yml"),
		"root":            zipOf("/etc/a.yml"),
		"drive":           zipOf(`C:\a.yml`),
		"control":         zipOf("a\x07.yml"),
		"link in zip":     link(os.ModeSymlink),
		"device in zip":   link(os.ModeDevice),
		"up in tar":       tarred(&tar.Header{Name: "../a.yml", Typeflag: tar.TypeReg}),
		"link in tar":     tarred(&tar.Header{Name: "a.yml", Linkname: "/etc/hosts", Typeflag: tar.TypeSymlink}),
		"hard link":       tarred(&tar.Header{Name: "a.yml", Linkname: "b.yml", Typeflag: tar.TypeLink}),
		"pipe":            tarred(&tar.Header{Name: "a.yml", Typeflag: tar.TypeFifo}),
		"cut short":       whole[:len(whole)/2],
		"cut zip":         zipOf("a.yml", "b.yml")[:60],
		"no archive":      []byte("title: x\n"),
		"empty":           nil,
		"wrong checksum":  append(slices.Clone(whole[:len(whole)-8]), 0, 0, 0, 0, 0, 0, 0, 0),
		"empty gzip":      tarred(),
		"broken manifest": zipped(func(z *zip.Writer) { w, _ := z.Create(ManifestFile); w.Write([]byte("name: [")) }), //nolint:errcheck // into memory
	}
}

// bomb is small and unpacks to more than a pack may be.
func bomb() []byte {
	return zipped(func(z *zip.Writer) {
		nothing := make([]byte, MaxFile)
		for i := range MaxUnpacked/MaxFile + 1 {
			w, err := z.Create(fmt.Sprintf("%d.bin", i))
			if err == nil {
				w.Write(nothing) //nolint:errcheck // into memory
			}
		}
	})
}

// lateBomb is a tar of one file, and beyond its end more than a pack may be: the
// reading goes on there, since the checksum stands last.
func lateBomb() []byte {
	var nothing bytes.Buffer
	g := gzip.NewWriter(&nothing)
	g.Write(make([]byte, 16<<20)) //nolint:errcheck // into memory
	g.Close()
	src := tarred(&tar.Header{Name: "a.yml", Size: 9, Typeflag: tar.TypeReg})
	return append(src, bytes.Repeat(nothing.Bytes(), (MaxUnpacked+MaxFiles*4*512)>>24+1)...)
}

func TestHostileArchives(t *testing.T) {
	if _, err := read("x.tgz", lateBomb()); err == nil || !strings.Contains(err.Error(), "larger than 134217728 bytes unpacked") {
		t.Errorf("the late bomb: %v", err)
	}
	if src := bomb(); len(src) > 1<<20 {
		t.Errorf("the bomb is %d bytes", len(src))
	} else if _, err := read("x.zip", src); err == nil || !strings.Contains(err.Error(), "larger than 134217728 bytes unpacked") {
		t.Errorf("the bomb: %v", err)
	}
	for name, src := range hostile() {
		if p, err := read("x.zip", src); err == nil || !strings.HasPrefix(err.Error(), "x.zip") {
			t.Errorf("%s: %v, %+v", name, err, p)
		}
	}
}

// An archive with a manifest and no hashes must not be used: a list that was lost
// would hide that rules were.
func TestArchiveWithoutHashes(t *testing.T) {
	src := zipped(func(z *zip.Writer) { w, _ := z.Create(ManifestFile); w.Write([]byte(manifest)) }) //nolint:errcheck // into memory
	p, err := read("x.zip", src)
	if err != nil {
		t.Fatal(err)
	}
	if bad := p.Check(""); len(bad) != 1 || bad[0].File != "x.zip!"+SumsFile {
		t.Errorf("%v", bad)
	}
	if p, err = read("x.zip", zipOf("a.yml", "A.yml")); err != nil || len(p.Check("")) != 1 || !strings.Contains(p.Check("")[0].Reason, "twice") {
		t.Errorf("%v %v", err, p)
	}
}

func TestWriteErrors(t *testing.T) {
	linked := acme(t)
	if err := os.Symlink("two.yaml", filepath.Join(linked, "three.yml")); err != nil {
		t.Skip("this system makes no symbolic links:", err)
	}
	for _, c := range []struct{ dir, out, want string }{
		{folder(t, map[string]string{"a.yml": rule(1, "linux")}), "a.zip", "there is no pack.yml"}, {acme(t), "a.rar", "want a name that ends with .zip"},
		{folder(t, map[string]string{ManifestFile: "name: acme\n"}), "a.zip", "version: "}, {linked, "a.zip", "three.yml: a link"},
		{filepath.Join(t.TempDir(), "nowhere"), "a.zip", "nowhere"},
		{folder(t, map[string]string{ManifestFile: manifest, "a.yml": strings.Repeat("#", MaxRule+1)}), "a.zip", "a.yml: larger than"},
	} {
		var b bytes.Buffer
		if _, err := Write(&b, c.out, c.dir); err == nil || !strings.Contains(err.Error(), c.want) || b.Len() > 0 {
			t.Errorf("%s: %v, want %q; %d bytes", c.dir, err, c.want, b.Len())
		}
	}
}

// Our own pack can be written, read again, and holds the same rules.
func TestBuiltin(t *testing.T) {
	own, err := Builtin("v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if own.String() != "catena v1.2.3" || !own.Sealed || len(own.Check("v1.2.3")) > 0 || len(own.Rules()) == 0 {
		t.Errorf("%s, %d rules", own, len(own.Rules()))
	}
	for _, v := range []string{"v0.1.0-12-gabc-dirty", "abc1234"} {
		var b bytes.Buffer
		p, err := WriteBuiltin(&b, "catena.tar.gz", v)
		if err != nil || paths(p.YAML()) != paths(own.YAML()) || p.Name() != "catena" {
			t.Fatalf("%s: %v", v, err)
		}
	}
}

func TestOlderThan(t *testing.T) {
	for _, c := range []struct {
		engine, want string
		older        bool
	}{{"1.0.0", "1.0.0", false}, {"v1.9.0", "1.10.0", true}, {"2.0.0", "v1.10.3", false}, {"1.10.2", "1.10.3", true}, {"dev", "9.0.0", false}, {"1.0.0", "", false}, {"v0.9.1-3-gabc", "1.0.0", true}} {
		if olderThan(c.engine, c.want) != c.older {
			t.Errorf("%s older than %s: %t", c.engine, c.want, !c.older)
		}
	}
}

// Whatever an archive holds, it is read within bounds, what is read stays inside
// the pack, and a manifest without hashes is a problem.
func FuzzRead(f *testing.F) {
	dir := acme(f)
	for _, out := range []string{"a.zip", "a.tar.gz"} {
		f.Add(packed(f, dir, out))
	}
	for _, src := range hostile() {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := read("x", src)
		if err != nil {
			return
		}
		if p.Manifest != nil && !p.Sealed && len(p.Check("")) == 0 {
			t.Error("an archive with a manifest and without hashes has no problem")
		}
		for _, file := range p.YAML() {
			if _, err := file.Read(); err != nil || validPath(file.path) != nil {
				t.Errorf("%q: %v", file.path, err)
			}
		}
		if _, _, err := Load([]*Pack{p}, Options{Workers: 1}); err != nil && len(p.Check("")) == 0 {
			t.Errorf("load: %v", err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(manifest))
	f.Add([]byte("a: &a [x, x]\nb: &b [*a, *a]\nname: *b\n"))
	f.Add([]byte("name: acme\nversion: 1.0.0\n---\nname: other\n"))
	f.Add([]byte("!!binary x"))
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := ParseManifest(src)
		if err != nil {
			return
		}
		again, err := ParseManifest(m.yaml())
		if err != nil || *again != *m {
			t.Errorf("%+v is written as %q and read as %+v, %v", m, m.yaml(), again, err)
		}
	})
}

func FuzzSums(f *testing.F) {
	f.Add([]byte(strings.Repeat("0a", 32) + "  a/b.yml\n" + strings.Repeat("ff", 32) + " *c.yml\r\n"))
	f.Add([]byte("x\n\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		sums, err := parseSums(src)
		if err != nil {
			return
		}
		for _, s := range sums {
			if len(s.hash) != 64 || validPath(s.path) != nil || strings.Contains(s.path, "..") && slices.Contains(strings.Split(s.path, "/"), "..") {
				t.Errorf("%+v", s)
			}
		}
	})
}

func FuzzSelector(f *testing.F) {
	f.Add("rule=a")
	f.Add("level=LOW")
	f.Add("tag=")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			return
		}
		if again, err := ParseSelector(s.String()); err != nil || again != s {
			t.Errorf("%q: %q is read as %+v, %v", text, s, again, err)
		}
	})
}
