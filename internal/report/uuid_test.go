package report

import "testing"

// TestUUID checks against the examples that RFC 9562 (appendix A.4) and STIX 2.1 (an
// address) give.
func TestUUID(t *testing.T) {
	dns := uuid{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	if got, want := dns.of("www.example.com"), "2ed6657d-e927-568b-95e1-2665a8aea6a2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := stixSpace.of(`{"value":"198.51.100.3"}`), "28bb3599-77cd-5a82-a950-b5bc3caf07c4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if catenaSpace.of("a", "bc") == catenaSpace.of("ab", "c") {
		t.Error("parts run into each other")
	}
}
