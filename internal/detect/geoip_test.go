package detect

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

var update = flag.Bool("update", false, "write testdata/places.mmdb anew")

// mmdb writes a database in the format that MaxMind publishes
// (https://maxmind.github.io/MaxMind-DB/): a tree of 24 bit records over IPv6
// addresses, and the values that its leaves point to.
type mmdb struct {
	nodes [][2]int // 0 is nothing, >0 a node, <0 the value -(n+1)
	data  [][]byte
}

func newMMDB() *mmdb { return &mmdb{nodes: make([][2]int, 1)} }

// add gives the networks of a prefix a value: strings, float64, uint32 and maps of
// such.
func (m *mmdb) add(prefix string, value any) {
	p := netip.MustParsePrefix(prefix)
	bits, addr := p.Bits(), p.Addr().As16()
	if p.Addr().Is4() { // as the format has it: in ::/96
		clear(addr[:12])
		bits += 96
	}
	m.data = append(m.data, encodeMMDB(nil, value))
	at := 0
	for i := range bits {
		side := addr[i/8] >> (7 - i%8) & 1
		if i == bits-1 {
			m.nodes[at][side] = -len(m.data)
			return
		}
		if m.nodes[at][side] <= 0 {
			m.nodes = append(m.nodes, [2]int{})
			m.nodes[at][side] = len(m.nodes) - 1
		}
		at = m.nodes[at][side]
	}
}

func (m *mmdb) bytes() []byte {
	var out []byte
	offsets, n := make([]int, len(m.data)), 0
	for i, d := range m.data {
		offsets[i] = n
		n += len(d)
	}
	for _, node := range m.nodes {
		for _, to := range node {
			v := len(m.nodes) // nothing
			if to > 0 {
				v = to
			} else if to < 0 {
				v = len(m.nodes) + 16 + offsets[-to-1]
			}
			out = append(out, byte(v>>16), byte(v>>8), byte(v))
		}
	}
	out = append(out, make([]byte, 16)...)
	for _, d := range m.data {
		out = append(out, d...)
	}
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return encodeMMDB(out, map[string]any{"node_count": uint32(len(m.nodes)), "record_size": uint16(24), "ip_version": uint16(6), "database_type": "Catena-Test",
		"languages": []string{"en"}, "binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(1767225600),
		"description": map[string]any{"en": "made for tests"}})
}

func encodeMMDB(b []byte, v any) []byte {
	head := func(typ, size int) {
		if typ > 7 {
			b = append(b, byte(size), byte(typ-7))
		} else {
			b = append(b, byte(typ<<5|size))
		}
	}
	switch v := v.(type) {
	case string:
		head(2, len(v)) // shorter than 29
		b = append(b, v...)
	case float64:
		head(3, 8)
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(v))
	case uint16:
		head(5, 2)
		b = binary.BigEndian.AppendUint16(b, v)
	case uint32:
		head(6, 4)
		b = binary.BigEndian.AppendUint32(b, v)
	case uint64:
		head(9, 8)
		b = binary.BigEndian.AppendUint64(b, v)
	case []string:
		head(11, len(v))
		for _, s := range v {
			b = encodeMMDB(b, s)
		}
	case map[string]any:
		head(7, len(v))
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			b = encodeMMDB(encodeMMDB(b, k), v[k])
		}
	}
	return b
}

func city(country string, lat, lon float64) map[string]any {
	return map[string]any{"country": map[string]any{"iso_code": country}, "location": map[string]any{"latitude": lat, "longitude": lon, "accuracy_radius": uint16(20)}}
}

// testPlaces is a world of documentation addresses: Berlin, New York, two networks
// of one provider, and records of shapes that a database may wrongly have.
func testPlaces() []byte {
	m := newMMDB()
	m.add("198.51.100.0/25", city("DE", 52.52, 13.40))
	m.add("203.0.113.0/25", city("US", 40.71, -74.01))
	m.add("2001:db8:1::/48", city("US", 40.71, -74.01))
	m.add("203.0.113.128/26", map[string]any{"autonomous_system_number": uint32(64500)})
	m.add("198.51.100.128/26", map[string]any{"autonomous_system_number": uint32(64500)})
	m.add("192.0.2.0/28", map[string]any{"country": "DE", "location": "here"})
	m.add("192.0.2.16/28", city("DEU", 91, 500))
	m.add("192.0.2.32/28", city("FR", math.NaN(), 2))
	m.add("192.0.2.48/28", "nothing")
	return m.bytes()
}

const placesFile = "testdata/places.mmdb" // read by tests of other packages too

func TestGeoIP(t *testing.T) {
	if *update {
		if err := os.WriteFile(placesFile, testPlaces(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(placesFile); err != nil || !bytes.Equal(have, testPlaces()) {
		t.Fatalf("%s is not what testPlaces makes (%v); run with -update", placesFile, err)
	}
	g, err := OpenGeoIP(placesFile)
	if err != nil {
		t.Fatal(err)
	}
	berlin := model.Place{Country: "DE", Lat: 52.52, Lon: 13.40, Located: true, Radius: 20}
	for _, c := range []struct {
		addr string
		want model.Place
	}{
		{"198.51.100.7", berlin},
		{"::ffff:198.51.100.7", berlin},
		{"203.0.113.9", model.Place{Country: "US", Lat: 40.71, Lon: -74.01, Located: true, Radius: 20}},
		{"2001:db8:1::1", model.Place{Country: "US", Lat: 40.71, Lon: -74.01, Located: true, Radius: 20}},
		{"2001:db8:2::1", model.Place{}},
		{"203.0.113.130", model.Place{Network: 64500}},
		{"10.0.0.1", model.Place{}},
		{"192.0.2.1", model.Place{}},
		{"192.0.2.17", model.Place{}},
		{"192.0.2.33", model.Place{Country: "FR"}},
		{"192.0.2.49", model.Place{}},
	} {
		for range 2 { // looked up, and remembered
			if got, ok := g.Place(netip.MustParseAddr(c.addr)); got != c.want || ok != (c.want != model.Place{}) {
				t.Errorf("%s: %+v, want %+v", c.addr, got, c.want)
			}
		}
	}
}

// What one database does not know, the next one may.
func TestGeoIPTogether(t *testing.T) {
	networks := newMMDB()
	networks.add("198.51.100.0/24", map[string]any{"autonomous_system_number": uint32(64501)})
	path := filepath.Join(t.TempDir(), "asn.mmdb")
	if err := os.WriteFile(path, networks.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	g, err := OpenGeoIP(placesFile, path)
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := g.Place(netip.MustParseAddr("198.51.100.7")); p.Country != "DE" || p.Network != 64501 {
		t.Errorf("%+v", p)
	}
	if p, _ := g.Place(netip.MustParseAddr("198.51.100.130")); p.Country != "" || p.Network != 64500 {
		t.Errorf("%+v", p)
	}
}

func TestGeoIPRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.mmdb")
	if err := os.WriteFile(text, []byte("no database at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Join(dir, "absent.mmdb"), text, dir} {
		if _, err := OpenGeoIP(p); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// FuzzGeoIP: whatever a file holds, asking it neither panics nor makes places that
// are not on earth.
func FuzzGeoIP(f *testing.F) {
	whole := testPlaces()
	f.Add(whole, "198.51.100.7")
	f.Add(whole[:len(whole)/2], "198.51.100.7")
	f.Add(append(slices.Clone(whole[:60]), whole[70:]...), "203.0.113.9")
	f.Fuzz(func(t *testing.T, data []byte, addr string) {
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return
		}
		r, err := readGeoIP(data)
		if err != nil {
			return
		}
		var p model.Place
		(&GeoIP{}).merge(&p, r.Lookup(a.Unmap().WithZone("")))
		if p.Located && !(math.Abs(p.Lat) <= 90 && math.Abs(p.Lon) <= 180) || len(p.Country) != 0 && len(p.Country) != 2 {
			t.Fatalf("%+v", p)
		}
	})
}
