package report

import (
	"encoding/xml"
	"fmt"
	"io"
)

// A Suite is a group of checks for JUnit XML, the form in which build servers
// take results: one file of rules, say.
type Suite struct {
	Name  string
	File  string // where it stands; may be empty
	Cases []Check
}

// A Check is one result of a Suite. It passed unless one of Failure, Error and
// Skipped says otherwise.
type Check struct {
	Name    string
	Class   string // the group that build servers sort by; the suite's name if empty
	Line    int    // in the suite's file; 0 when unknown
	Failure string // the check was made, and this is wrong; its first line is the summary
	Error   string // the check could not be made, and this is why
	Skipped string // the check was not made on purpose, or only warns
	Output  string // what else there is to say
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	File     string      `xml:"file,attr,omitempty"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Skipped *junitProblem `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes suites as JUnit XML under a name. Every text may be hostile:
// it is cleaned as for a terminal, so that no character that XML forbids is left.
// There are no times in it: equal results give equal bytes.
func WriteJUnit(w io.Writer, name string, suites []Suite) error {
	all := junitSuites{Name: Clean(name)}
	for _, s := range suites {
		js := junitSuite{Name: Clean(s.Name), File: Clean(s.File), Tests: len(s.Cases)}
		for _, c := range s.Cases {
			jc := junitCase{Name: Clean(c.Name), Class: Clean(c.Class), File: js.File, Line: c.Line, Output: CleanBlock(c.Output)}
			if jc.Class == "" {
				jc.Class = js.Name
			}
			switch {
			case c.Error != "":
				jc.Error = problem(c.Error)
				js.Errors++
			case c.Failure != "":
				jc.Failure = problem(c.Failure)
				js.Failures++
			case c.Skipped != "":
				jc.Skipped = problem(c.Skipped)
				js.Skipped++
			}
			js.Cases = append(js.Cases, jc)
		}
		all.Tests += js.Tests
		all.Failures += js.Failures
		all.Errors += js.Errors
		all.Skipped += js.Skipped
		all.Suites = append(all.Suites, js)
	}
	out, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, out)
	}
	if err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	return nil
}

// problem puts the first line of a text where build servers show it, and all of
// it below if there is more.
func problem(text string) *junitProblem {
	text = CleanBlock(text)
	for i := range text {
		if text[i] == '\n' {
			return &junitProblem{Message: text[:i], Text: text}
		}
	}
	return &junitProblem{Message: text}
}
