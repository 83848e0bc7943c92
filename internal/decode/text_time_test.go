package decode

import (
	"testing"
	"time"
)

func TestReadStamp(t *testing.T) {
	for in, want := range map[string]string{
		"2022-03-04T05:06:07.5Z rest":            "2022-03-04T05:06:07.5Z zoned",
		"2022-03-04 05:06:07,250 INFO":           "2022-03-04T05:06:07.25Z",
		"2022-03-04 05:06:07.311 -05:00 [WRN]":   "2022-03-04T10:06:07.311Z zoned",
		"2022-03-04  5:06:07 8 [Warning]":        "2022-03-04T05:06:07Z",
		"2022/03/04 - 05:06:07 | 401":            "2022-03-04T05:06:07Z",
		"2022-03-04 05:06:07 UTC] x":             "2022-03-04T05:06:07Z zoned",
		"04/Mar/2022:05:06:07 +0200] \"GET":      "2022-03-04T03:06:07Z zoned",
		"04-Mar-2022 05:06:07.425 client":        "2022-03-04T05:06:07.425Z",
		"03/04/2022 05:06:07 PM\n":               "2022-03-04T17:06:07Z",
		"03/04/2022 12:06:07 AM":                 "2022-03-04T00:06:07Z",
		"13/04/2022 05:06:07":                    "2022-04-13T05:06:07Z",
		"03/04/22 05:06:07.393003 web_php[1]":    "2022-03-04T05:06:07.393003Z",
		"03/04/2022-05:06:07.860293  [**]":       "2022-03-04T05:06:07.860293Z",
		"220304  5:06:07 [Note]":                 "2022-03-04T05:06:07Z",
		"Fri Mar 04 05:06:07.203277 2022] [core": "2022-03-04T05:06:07.203277Z",
		"Fri Mar  4 05:06:07 CEST 2022|CAS":      "2022-03-04T05:06:07Z",
		"Fri, 04 Mar 2022 05:06:07.02 UTC]":      "2022-03-04T05:06:07.02Z zoned",
		"Mar  4 2022 05:06:07 host":              "2022-03-04T05:06:07Z",
		"Mar  4 05:06:07 host 2022":              "0000-03-04T05:06:07Z yearless",
		"Mar  4 05:06:07.643] failed to":         "0000-03-04T05:06:07.643Z yearless",
	} {
		st, n := readStamp(in)
		got := st.at.Format(time.RFC3339Nano)
		if st.zoned {
			got += " zoned"
		}
		if st.yearless {
			got += " yearless"
		}
		if n == 0 || got != want {
			t.Errorf("%q: %q (%d bytes), want %q", in, got, n, want)
		}
	}
	for _, in := range []string{"", "2022-13-04 05:06:07", "2022-03-04 25:06:07", "2022-03-04", "Foo  4 05:06:07 2022", "32/Mar/2022:05:06:07", "1.2.3.4 - - [x]", "2022-03-04X05:06:07"} {
		if st, n := readStamp(in); n != 0 {
			t.Errorf("%q was read as %v", in, st.at)
		}
	}
	if st, at, n := findStamp(`name  | time="2022-03-04T05:06:07Z" x`); n == 0 || at != 14 || !st.zoned {
		t.Errorf("found %v at %d, %d bytes", st, at, n)
	}
}

func FuzzReadStamp(f *testing.F) {
	f.Add("Fri, 04 Mar 2022 05:06:07.02 UTC]")
	f.Add("03/04/2022 12:06:07 AM +0100")
	f.Add("2022-03-04 05:06:07,1 -05:0")
	f.Fuzz(func(t *testing.T, in string) {
		if _, n := readStamp(in); n > len(in) {
			t.Fatalf("%d bytes of %d", n, len(in))
		}
		findStamp(in)
	})
}
