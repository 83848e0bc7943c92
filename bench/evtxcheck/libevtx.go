package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// libevtxRecords decodes a file with evtxexport.
func libevtxRecords(f file) ([]record, error) {
	tmp, err := os.CreateTemp("", "evtxcheck-*.evtx")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(f.data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("evtxexport", "-f", "xml", tmp.Name())
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	runErr := cmd.Run()
	if runErr != nil {
		line, _, _ := strings.Cut(diag.String(), "\n")
		runErr = fmt.Errorf("%w: %s", runErr, line)
	}
	text := out.Bytes()
	for i, x := range text {
		if x < ' ' && x != '\n' && x != '\r' && x != '\t' { // it writes control characters as they are, which is no XML
			text[i] = '?'
		}
	}
	records, err := xmlRecords(text)
	return records, errors.Join(runErr, err)
}

type element struct {
	name  string
	named string // its Name attribute, if it is a Data
	text  []byte
	kids  int
	attrs int
}

// xmlRecords names the leaves of each <Event> as Catena does.
func xmlRecords(doc []byte) (out []record, err error) {
	for {
		start := bytes.Index(doc, []byte("<Event "))
		if start < 0 {
			return out, err
		}
		end := bytes.Index(doc[start:], []byte("\n</Event>"))
		if end < 0 {
			return out, fmt.Errorf("event without end")
		}
		one := doc[start : start+end+len("\n</Event>")]
		doc = doc[start+end:]
		r, xerr := xmlRecord(one)
		if xerr != nil {
			err = xerr
			continue
		}
		out = append(out, r)
	}
}

func xmlRecord(one []byte) (r record, err error) {
	d := xml.NewDecoder(bytes.NewReader(one))
	var open []element
	rendering := false
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			e := element{name: t.Name.Local}
			if len(open) > 0 {
				open[len(open)-1].kids++
			}
			rendering = rendering || e.name == "RenderingInfo"
			for _, a := range t.Attr {
				switch {
				case a.Name.Local == "xmlns" || a.Name.Space == "xmlns":
				case a.Name.Local == "Name" && (e.name == "Data" || e.name == "ComplexData"):
					e.named = a.Value
				default:
					e.attrs++
					r.fields = append(r.fields, field{e.name + "_" + a.Name.Local, a.Value})
				}
			}
			open = append(open, e)
		case xml.CharData:
			if len(open) > 0 {
				e := &open[len(open)-1]
				e.text = append(e.text, t...)
			}
		case xml.EndElement:
			if len(open) == 0 {
				continue
			}
			e := &open[len(open)-1]
			name := e.name
			if e.named != "" {
				name = e.named
			}
			if rendering && name != "Message" {
				name = "RenderingInfo_" + name
			}
			if e.kids == 0 && (len(e.text) > 0 || e.attrs == 0) {
				value := string(e.text)
				if name == "EventRecordID" && r.id == "" {
					r.id = value
				}
				r.fields = append(r.fields, field{name, value})
			}
			if e.name == "RenderingInfo" {
				rendering = false
			}
			open = open[:len(open)-1]
		}
	}
}
