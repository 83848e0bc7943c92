package app

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// tells are the fields that say how much left with an act, or from where on earth
// it was done, whichever product wrote them. The zero value knows none.
type tells struct {
	by []saying // by FieldID
}

// saying is what one field says.
type saying uint8

const (
	tellNothing saying = iota
	tellSent           // bytes that the source of a connection sent
	tellGiven          // bytes that a read gave out
	tellSize           // bytes of a file
	tellItems          // rows or messages that a read gave out
	tellCountry        // a country's code
	tellLat            // degrees
	tellLon
	tellWhere // Entra's location as JSON text
	tellASN
)

// tellFields are the products' names for the same things: Zeek, Suricata, AWS flow
// logs, Azure VMConnection, firewalls, web proxies; S3's data events; files as
// Defender, the Elastic Common Schema and CrowdStrike name them; mailboxes of Microsoft
// 365, the audits of PostgreSQL and SQL Server, MySQL, MongoDB; the sign-in logs of Entra (Graph, diagnostic settings, Log Analytics), Okta and GitHub.
var tellFields = []struct {
	saying saying
	names  []string
}{
	{tellSent, []string{"orig_bytes", "flow.bytes_toserver", "bytes", "BytesSent", "sentbyte", "bytes_sent", "sent_bytes", "cs-bytes"}},
	{tellGiven, []string{"additionalEventData.bytesTransferredOut"}},
	{tellSize, []string{"FileSize", "file.size", "file_size", "fileSize"}},
	{tellItems, []string{"OperationCount", "rows", "response_rows", "rows_sent", "Rows_sent", "attr.nreturned"}},
	{tellCountry, []string{"location.countryOrRegion", "properties.location.countryOrRegion", "LocationDetails.countryOrRegion", "Location", "actor_location.country_code"}},
	{tellLat, []string{"location.geoCoordinates.latitude", "properties.location.geoCoordinates.latitude", "LocationDetails.geoCoordinates.latitude", "client.geographicalContext.geolocation.lat"}},
	{tellLon, []string{"location.geoCoordinates.longitude", "properties.location.geoCoordinates.longitude", "LocationDetails.geoCoordinates.longitude", "client.geographicalContext.geolocation.lon"}},
	{tellWhere, []string{"LocationDetails"}},
	{tellASN, []string{"autonomousSystemNumber", "properties.autonomousSystemNumber", "AutonomousSystemNumber", "securityContext.asNumber"}},
}

// newTells looks the fields up in names, the table that decoders use.
func newTells(names *model.Names) tells {
	var t tells
	for _, f := range tellFields {
		for _, n := range f.names {
			id := names.ID(n)
			for len(t.by) <= int(id) {
				t.by = append(t.by, tellNothing)
			}
			t.by[id] = f.saying
		}
	}
	t.by[model.Unnamed] = tellNothing
	return t
}

// fill sets o.Bytes, o.Items and o.Place to what ev says of them.
func (t *tells) fill(o *model.Observation, ev *model.Event) {
	switch ev.Act {
	case model.ActConnect:
		o.Bytes = t.number(ev, tellSent)
	case model.ActObjectRead, model.ActMailAccess:
		o.Bytes, o.Items = t.number(ev, tellGiven), t.number(ev, tellItems)
	case model.ActFileWrite:
		o.Bytes = t.number(ev, tellSize)
	case model.ActLogon:
		o.Place = t.place(ev)
	}
}

func (t *tells) of(s *model.Slot) saying {
	if int(s.Field) < len(t.by) {
		return t.by[s.Field]
	}
	return tellNothing
}

// maxBytes is more than one record can rightly count, so that sums of such
// numbers stay numbers.
const maxBytes = 1 << 50

// number is the first field of an event that says what is wanted; 0 if none does.
func (t *tells) number(ev *model.Event, want saying) int64 {
	for i := range ev.Slots {
		if s := &ev.Slots[i]; t.of(s) == want {
			f, err := strconv.ParseFloat(s.Text, 64) // JSON writers may use an exponent
			if err == nil && f > 0 && f <= maxBytes {
				return int64(f)
			}
		}
	}
	return 0
}

func (t *tells) place(ev *model.Event) *model.Place {
	var p model.Place
	var lat, lon string
	for i := range ev.Slots {
		s := &ev.Slots[i]
		switch t.of(s) {
		case tellCountry:
			p.Country = countryCode(s.Text)
		case tellLat:
			lat = s.Text
		case tellLon:
			lon = s.Text
		case tellASN:
			if n, err := strconv.ParseUint(s.Text, 10, 32); err == nil {
				p.Network = uint32(n)
			}
		case tellWhere:
			if c, la, lo, ok := entraWhere(s.Text); ok {
				p.Country, lat, lon = countryCode(c), la, lo
			}
		}
	}
	la, err1 := strconv.ParseFloat(lat, 64)
	lo, err2 := strconv.ParseFloat(lon, 64)
	if err1 == nil && err2 == nil && la >= -90 && la <= 90 && lo >= -180 && lo <= 180 && (la != 0 || lo != 0) {
		p.Lat, p.Lon, p.Located = la, lo, true
	}
	if p == (model.Place{}) {
		return nil
	}
	return &p
}

// countryCode returns s if it is a code of two letters, in upper case; names of
// countries have too many spellings to be compared.
func countryCode(s string) string {
	s = strings.ToUpper(strings.TrimSpace(s))
	if len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return ""
	}
	return s
}

// maxWhere bounds the location that is read as JSON, in bytes.
const maxWhere = 4096

// entraWhere reads the column LocationDetails as Log Analytics exports it: JSON in
// a string, the coordinates as numbers or as text.
func entraWhere(text string) (country, lat, lon string, ok bool) {
	if len(text) > maxWhere || !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return "", "", "", false
	}
	var d struct {
		Country string `json:"countryOrRegion"`
		Geo     struct {
			Lat json.RawMessage `json:"latitude"`
			Lon json.RawMessage `json:"longitude"`
		} `json:"geoCoordinates"`
	}
	if json.Unmarshal([]byte(text), &d) != nil {
		return "", "", "", false
	}
	return d.Country, strings.Trim(string(d.Geo.Lat), `"`), strings.Trim(string(d.Geo.Lon), `"`), true
}
