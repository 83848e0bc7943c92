package detect

import (
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/catena-sec/catena/internal/model"
)

// Places knows where on earth addresses are.
type Places interface {
	// Place returns what is known of the place of a, and whether anything is.
	Place(a netip.Addr) (model.Place, bool)
}

// Bounds of what is read as a database and remembered of it.
const (
	maxGeoIP       = 1 << 30 // bytes of one file; the largest in use have a few hundred million
	maxGeoIPPlaces = 1 << 14 // addresses whose places are remembered
)

// GeoIP is Places from databases in MaxMind's format. It is not safe for
// concurrent use.
type GeoIP struct {
	readers []*maxminddb.Reader
	known   map[netip.Addr]model.Place
}

// OpenGeoIP reads databases in MaxMind's format (GeoLite2 or GeoIP2 of cities,
// countries or autonomous systems, or others that name things as they do). What one
// does not know, a later one may. An error names the file.
func OpenGeoIP(paths ...string) (*GeoIP, error) {
	g := &GeoIP{known: map[netip.Addr]model.Place{}}
	for _, p := range paths {
		r, err := openGeoIP(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		g.readers = append(g.readers, r)
	}
	return g, nil
}

// openGeoIP reads one database into memory: a mapped file that is replaced while
// we look something up would end the program.
func openGeoIP(path string) (*maxminddb.Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("no regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxGeoIP+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxGeoIP {
		return nil, fmt.Errorf("larger than %d bytes", maxGeoIP)
	}
	return readGeoIP(data)
}

func readGeoIP(data []byte) (*maxminddb.Reader, error) {
	r, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("no database in MaxMind's format (.mmdb): %w", err)
	}
	return r, nil
}

// Place implements Places. A record that is broken or says nothing of places is as
// if it were absent.
func (g *GeoIP) Place(a netip.Addr) (model.Place, bool) {
	a = a.Unmap().WithZone("")
	p, ok := g.known[a]
	if !ok {
		for _, r := range g.readers {
			g.merge(&p, r.Lookup(a))
		}
		if len(g.known) >= maxGeoIPPlaces {
			clear(g.known)
		}
		g.known[a] = p
	}
	return p, p != model.Place{}
}

// merge adds to p what a record knows beyond it. The names are those of MaxMind's
// City, Country and ASN databases.
func (g *GeoIP) merge(p *model.Place, r maxminddb.Result) {
	if !r.Found() {
		return
	}
	if p.Country == "" {
		var code string
		if r.DecodePath(&code, "country", "iso_code") == nil && len(code) == 2 {
			p.Country = code
		}
	}
	if p.Network == 0 {
		var n uint32
		if r.DecodePath(&n, "autonomous_system_number") == nil {
			p.Network = n
		}
	}
	if !p.Located {
		var lat, lon *float64
		if r.DecodePath(&lat, "location", "latitude") == nil && r.DecodePath(&lon, "location", "longitude") == nil &&
			lat != nil && lon != nil && *lat >= -90 && *lat <= 90 && *lon >= -180 && *lon <= 180 {
			p.Lat, p.Lon, p.Located = *lat, *lon, true
			var km uint16
			if r.DecodePath(&km, "location", "accuracy_radius") == nil {
				p.Radius = float64(km)
			}
		}
	}
}
