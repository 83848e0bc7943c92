package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/catena-sec/catena/internal/pack"
	"github.com/catena-sec/catena/internal/report"
)

// A PackLine describes one pack.
type PackLine struct {
	Name        string `json:"name,omitempty"` // empty without a manifest
	Version     string `json:"version,omitempty"`
	Description string `json:"description,omitempty"`
	Licence     string `json:"licence,omitempty"`
	MinEngine   string `json:"min_engine,omitempty"`
	Path        string `json:"path"`
	Builtin     bool   `json:"builtin"`
	Sealed      bool   `json:"sealed"` // its files were held against their hashes
	Files       int    `json:"files"`  // of rules
}

func packLine(p *pack.Pack) PackLine {
	l := PackLine{Path: p.Path, Builtin: p.Builtin, Sealed: p.Sealed, Files: len(p.Rules())}
	if m := p.Manifest; m != nil {
		l.Name, l.Version, l.Description, l.Licence, l.MinEngine = m.Name, m.Version, m.Description, m.Licence, m.MinEngine
	}
	return l
}

// Text says what the pack is on one line.
func (l *PackLine) Text() string {
	how := "no hashes"
	if l.Sealed {
		how = "every file with its hash"
	}
	return fmt.Sprintf("pack %s %s (%s): %s of rules, %s", l.Name, l.Version, l.Path, count(l.Files, "file"), how)
}

// PackUse is a pack with what is in use of it.
type PackUse struct {
	PackLine
	Rules  int `json:"rules"`  // in use: detections and correlations, steps of correlations among them
	Alerts int `json:"alerts"` // of them those that alert by themselves
	Off    int `json:"off"`    // switched off
}

// Packs lists the packs in use, in the order given, ours first.
func (a *App) Packs() []PackUse {
	out := make([]PackUse, len(a.packs.Packs))
	at := map[*pack.Pack]*PackUse{}
	for i, p := range a.packs.Packs {
		out[i].PackLine = packLine(p)
		at[p] = &out[i]
	}
	for i, r := range a.rules {
		u := at[a.packs.Pack(r)]
		u.Rules++
		if a.engine.Alerts(i) {
			u.Alerts++
		}
	}
	for _, o := range a.packs.Off() {
		at[a.packs.Pack(o.Rule)].Off++
	}
	return out
}

// WritePacksText writes packs as a table.
func WritePacksText(w io.Writer, list []PackUse) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "PACK\tVERSION\tRULES\tALERT\tOFF\tHASHES\tFROM")
	for _, p := range list {
		name, version, sealed := p.Name, p.Version, "none"
		if p.Name == "" {
			name, version = "-", "-"
		}
		switch {
		case p.Builtin:
			sealed = "built in"
		case p.Sealed:
			sealed = "right"
		}
		if _, err := fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", report.Clean(name), report.Clean(version), p.Rules, p.Alerts, p.Off, sealed, report.Clean(p.Path)); err != nil {
			return err
		}
	}
	return t.Flush()
}

// WritePack makes a pack of the folder dir or, if that is empty, of our own rules,
// and writes it to the file out, which appears whole or not at all.
func WritePack(dir, out, version string) (*PackLine, error) {
	if dir != "" {
		from, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		to, err := filepath.Abs(out)
		if err != nil {
			return nil, err
		}
		if rel, err := filepath.Rel(from, to); err == nil && filepath.IsLocal(rel) {
			return nil, fmt.Errorf("%s: lies in the folder that is packed, and would be part of the next pack: write it elsewhere", out)
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), ".catena-pack-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // it is gone if all went well
	var p *pack.Pack
	if dir == "" {
		p, err = pack.WriteBuiltin(tmp, out, version)
	} else {
		p, err = pack.Write(tmp, out, dir)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644) //nolint:gosec // a pack is for others to read
	}
	if err == nil {
		err = os.Rename(tmp.Name(), out)
	}
	if err != nil {
		return nil, err
	}
	l := packLine(p)
	return &l, nil
}
