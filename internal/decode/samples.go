package decode

import (
	"bytes"
	"embed"
	"io/fs"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// A Sample is a small input of ours that shows what a format looks like. Decoding
// all of them says what each source gives, so that no list of it can be wrong: to
// show more of a format, add an input to its file in the folder samples.
type Sample struct {
	Format  string // what its records' Format is, also the file's name
	Decoder string // the decoder that reads it
	Data    []byte
}

//go:embed samples/*.txt
var samples embed.FS

// Samples returns all samples, by format and then in the order of their files. A
// file holds inputs, each below a line "-- decoder --".
func Samples() ([]Sample, error) {
	var out []Sample
	files, err := fs.Glob(samples, "samples/*.txt")
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		data, err := samples.ReadFile(path)
		if err != nil {
			return nil, err
		}
		format := strings.TrimSuffix(strings.TrimPrefix(path, "samples/"), ".txt")
		for rest := data; len(rest) > 0; {
			var line []byte
			line, rest, _ = bytes.Cut(rest, []byte("\n"))
			if decoder, ok := sampleHead(line); ok {
				out = append(out, Sample{Format: format, Decoder: decoder})
				continue
			}
			if n := len(out) - 1; n >= 0 && out[n].Format == format {
				out[n].Data = append(append(out[n].Data, line...), '\n')
			}
		}
	}
	return out, nil
}

func sampleHead(line []byte) (decoder string, ok bool) {
	text, ok := strings.CutPrefix(string(line), "-- ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(text, " --")
}

// sampledSources returns the log sources that the events of all samples have, in the
// order of the samples. It leaves out formats whose records say themselves whose they
// are, such as CEF: what stands in a sample of those is an example and no more.
func sampledSources() []model.LogSource {
	list, err := Samples()
	if err != nil {
		return nil // they are embedded, and a test reads them
	}
	o := Options{Names: model.NewNames(), Year: 2024}
	r := NewRegistry(WindowsXML(o), WindowsText(o), Auditd(o), ZeekTSV(o), JSON(o), CSV(o), Columns(o), Syslog(o), Text(o))
	var out []model.LogSource
	for _, s := range list {
		d := r.Named(s.Decoder)
		if d == nil {
			continue
		}
		var b Batch
		if d.Frame(bytes.NewReader(s.Data), func(c Chunk) error { d.Decode(c, &b); return nil }, func(model.InputError) {}) != nil {
			continue
		}
		for i := range b.Events {
			if e := &b.Events[i]; e.Source.Product != "" && !saysWhose(e.Format) {
				out = append(out, e.Source)
			}
		}
	}
	return out
}

// saysWhose says whether records of a format name the product that they are of.
func saysWhose(format string) bool {
	switch format {
	case "cef", "leef", "ecs", "ocsf", "otlp", "wazuh":
		return true
	}
	return false
}

// Alike returns the format whose samples stand for a format: several write the same
// records in other forms. It is the format itself for most.
func Alike(format string) string {
	switch format {
	case "evtx", "windows-xml", "windows-text":
		return "windows-json"
	}
	return format
}

// Wrapping says whether a format is only a form around records of others, which are
// what they would be without it.
func Wrapping(format string) bool { return format == "elastic" || format == "fastlog" }

// FormatSources returns the log sources that records of a format can have beyond
// those of its samples: the channels of Windows and the logs of Zeek are too many
// to show one of each.
func FormatSources(format string) []model.LogSource {
	var product string
	switch Alike(format) {
	case "windows-json":
		product = "windows"
	case "zeek":
		product = "zeek"
	default:
		return nil
	}
	var out []model.LogSource
	for _, s := range LogSources() {
		if s.Product == product {
			out = append(out, s)
		}
	}
	return out
}

// Formats returns the names of all formats that records can have: those of the
// decoders that read one format each, the shapes of JSON and the kinds of lines.
func Formats() []string {
	out := []string{"evtx", "windows-xml", "windows-text", "auditd", "zeek", "w3c", "json", "syslog"}
	have := map[string]bool{}
	for _, f := range out {
		have[f] = true
	}
	add := func(f string) {
		if !have[f] {
			have[f] = true
			out = append(out, f)
		}
	}
	for _, s := range jsonShapes() {
		add(s.name)
	}
	for _, l := range lineFormats() {
		add(l.name)
	}
	return out
}

// A Part is an entity's type and the role it plays.
type Part struct {
	Type model.EntityType
	Role model.Role
}

// Parts returns the entities that a mapping can give, in its order, each once.
func (m *Mapping) Parts() []Part {
	var out []Part
	seen := map[Part]bool{}
	for i := range m.entities {
		p := Part{m.entities[i].typ, m.entities[i].role}
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// Act returns the act that all rows of a mapping are about, model.ActNone if they
// differ or none is told.
func (m *Mapping) Act() model.Act { return m.act }
