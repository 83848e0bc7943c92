package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
)

// raised counts the alerts of a detector, and those of them that an incident holds.
func raised(r *model.Report, d detect.Detector) (all, joined int) {
	for _, a := range r.Alerts {
		if a.Rule.ID == d.Definition().Rule.ID {
			all++
			if a.Incident != nil {
				joined++
			}
		}
	}
	return all, joined
}

// TestDetectorsOnSimulatedDays: in a day with a planted attack its beacons and its
// exfiltration are found and joined to it; a quiet day has none.
func TestDetectorsOnSimulatedDays(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it reads two simulated days of an estate")
	}
	for _, scenario := range []string{"phish-to-ransomware", simulate.Quiet} {
		dir := t.TempDir()
		if _, err := simulate.Write(dir, simulate.Options{Seed: 1, Scenarios: []string{scenario}}); err != nil {
			t.Fatal(err)
		}
		r := analyze(t, Options{AllAlerts: true}, filepath.Join(dir, "evidence"))
		for _, c := range []struct {
			name    string
			d       detect.Detector
			planted int
		}{{"beacons", detect.NewBeacon(), 2}, {"volume", detect.NewVolumeOut(), 1}, {"travel", detect.NewTravel(nil), 0}, {"silence", detect.NewSilence(), 0},
			{"reading", detect.NewVolumeRead(), 0}, {"calls", detect.NewNewCall(), 0}, {"countries", detect.NewNewCountry(nil), 0}, {"networks", detect.NewNewNetwork(nil), 0}} {
			want := c.planted
			if scenario == simulate.Quiet {
				want = 0
			}
			if all, joined := raised(r, c.d); all != want || joined != want {
				t.Errorf("%s, %s: %d alerts, %d of them in incidents, want %d", scenario, c.name, all, joined, want)
			}
		}
	}
}

// signIn is a sign-in as Entra's diagnostic settings write it.
func signIn(at time.Time, user, ip, location string) string {
	return fmt.Sprintf(`{"time":%q,"operationName":"Sign-in activity","category":"SignInLogs","resultType":"0","resourceId":"/tenants/x","properties":{"userPrincipalName":%q,"ipAddress":%q,"appId":"a"%s}}`+"\n",
		at.Format(time.RFC3339), user, ip, location)
}

// written writes text to a file and returns its path.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signin.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTravelEndToEnd: two sign-ins too far apart, by the log's own coordinates and by
// a database of the user's.
func TestTravelEndToEnd(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	where := func(country string, lat, lon float64) string {
		return fmt.Sprintf(`,"location":{"countryOrRegion":%q,"geoCoordinates":{"latitude":%g,"longitude":%g}}`, country, lat, lon)
	}
	told := written(t, signIn(at, "bob@corp.example", "198.51.100.7", where("DE", 52.5, 13.4))+signIn(at.Add(time.Hour), "bob@corp.example", "203.0.113.9", where("US", 40.7, -74)))
	bare := written(t, signIn(at, "bob@corp.example", "198.51.100.7", "")+signIn(at.Add(time.Hour), "bob@corp.example", "203.0.113.9", ""))
	geoip := []string{filepath.Join("..", "detect", "testdata", "places.mmdb")}
	for _, c := range []struct {
		name, path string
		geoip      []string
		want       int
	}{{"told by the log", told, nil, 1}, {"told by nobody", bare, nil, 0}, {"by the database", bare, geoip, 1}, {"by both", told, geoip, 1}} {
		if all, _ := raised(analyze(t, Options{AllAlerts: true, GeoIP: c.geoip}, c.path), detect.NewTravel(nil)); all != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, all, c.want)
		}
	}
	if _, err := New(Options{GeoIP: []string{bare}}); err == nil || !strings.Contains(err.Error(), "signin.json") {
		t.Errorf("a database that is none: %v", err)
	}
}

// TestNewCountryEndToEnd: a user of one country for a week signs in from another.
func TestNewCountryEndToEnd(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	var b strings.Builder
	for i := range 15 {
		b.WriteString(signIn(at.Add(time.Duration(i)*12*time.Hour), "bob@corp.example", "198.51.100.7", `,"location":{"countryOrRegion":"DE"}`))
	}
	b.WriteString(signIn(at.Add(9*24*time.Hour), "bob@corp.example", "203.0.113.9", `,"location":{"countryOrRegion":"US"}`))
	r := analyze(t, Options{AllAlerts: true}, written(t, b.String()))
	if all, _ := raised(r, detect.NewNewCountry(nil)); all != 1 {
		t.Errorf("%d alerts", all)
	}
}

// TestTells: what left and from where is found under each product's name for it.
func TestTells(t *testing.T) {
	names := model.NewNames()
	tl := newTells(names)
	event := func(act model.Act, pairs ...string) *model.Event {
		e := &model.Event{Act: act}
		for i := 0; i < len(pairs); i += 2 {
			e.Slots = append(e.Slots, model.Slot{Field: names.ID(pairs[i]), Text: pairs[i+1]})
		}
		return e
	}
	for _, c := range []struct {
		name  string
		e     *model.Event
		bytes int64
		place *model.Place
	}{
		{"a file", event(model.ActFileWrite, "file.size", "900"), 900, nil},
		{"zeek", event(model.ActConnect, "orig_bytes", "1234", "resp_bytes", "9"), 1234, nil},
		{"suricata", event(model.ActConnect, "flow.bytes_toserver", "77"), 77, nil},
		{"with an exponent", event(model.ActConnect, "orig_bytes", "1.5e3"), 1500, nil},
		{"zeek, unknown", event(model.ActConnect, "orig_bytes", "-"), 0, nil},
		{"no number", event(model.ActConnect, "orig_bytes", "NaN"), 0, nil},
		{"negative", event(model.ActConnect, "orig_bytes", "-5"), 0, nil},
		{"more than there is", event(model.ActConnect, "orig_bytes", "1e300"), 0, nil},
		{"s3", event(model.ActObjectRead, "additionalEventData.bytesTransferredOut", "500"), 500, nil},
		{"a write", event(model.ActObjectWrite, "additionalEventData.bytesTransferredOut", "500"), 0, nil},
		{"entra", event(model.ActLogon, "properties.location.countryOrRegion", "de", "properties.location.geoCoordinates.latitude", "52.5", "properties.location.geoCoordinates.longitude", "13.4",
			"properties.autonomousSystemNumber", "64500"), 0, &model.Place{Country: "DE", Lat: 52.5, Lon: 13.4, Located: true, Network: 64500}},
		{"log analytics", event(model.ActLogon, "Location", "DE", "LocationDetails", `{"city":"Berlin","countryOrRegion":"DE","geoCoordinates":{"latitude":52.5,"longitude":"13.4"}}`), 0,
			&model.Place{Country: "DE", Lat: 52.5, Lon: 13.4, Located: true}},
		{"okta", event(model.ActLogon, "client.geographicalContext.geolocation.lat", "52.5", "client.geographicalContext.geolocation.lon", "13.4"), 0, &model.Place{Lat: 52.5, Lon: 13.4, Located: true}},
		{"a country's name", event(model.ActLogon, "Location", "Germany"), 0, nil},
		{"nowhere on earth", event(model.ActLogon, "location.geoCoordinates.latitude", "91", "location.geoCoordinates.longitude", "13.4"), 0, nil},
		{"no coordinates", event(model.ActLogon, "location.geoCoordinates.latitude", "0", "location.geoCoordinates.longitude", "0"), 0, nil},
		{"half of them", event(model.ActLogon, "location.geoCoordinates.latitude", "52.5"), 0, nil},
		{"broken", event(model.ActLogon, "LocationDetails", `{"countryOrRegion":`), 0, nil},
		{"no sign-in", event(model.ActAPICall, "Location", "DE"), 0, nil},
	} {
		var o model.Observation
		tl.fill(&o, c.e)
		if o.Bytes != c.bytes || (o.Place == nil) != (c.place == nil) || c.place != nil && *o.Place != *c.place {
			t.Errorf("%s: %d bytes, place %+v", c.name, o.Bytes, o.Place)
		}
	}
	var none tells
	o := &model.Observation{}
	none.fill(o, event(model.ActConnect, "orig_bytes", "5"))
	if o.Bytes != 0 {
		t.Error("who knows no field knows bytes")
	}
}

// TestTellsItems: how many things a read gave out, in the words of who wrote it, of
// whole records where a decoder takes the number from them.
func TestTellsItems(t *testing.T) {
	for _, c := range []struct {
		line string
		want int64
	}{
		{`{"CreationTime":"2024-05-01T10:00:00","Operation":"MailItemsAccessed","Workload":"Exchange","ResultStatus":"Succeeded","UserId":"bob@corp.example","ClientIPAddress":"203.0.113.4:443","MailboxOwnerUPN":"boss@corp.example","OperationCount":31}`, 31},
		{`2024-03-04 10:00:01.123 UTC [77] app@shop LOG:  AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.cards,"select * from cards",<not logged>,20000`, 20000},
		{`2024-03-04 10:00:01.123 UTC [77] app@shop LOG:  AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.cards,"select ',9,9,9'",<not logged>`, 0},
		{`audit_schema_version:1 event_time:2024-03-04 10:00:01.1234567 sequence_number:1 action_id:SL succeeded:true class_type:U client_ip:10.0.0.8 server_principal_name:eve server_instance_name:DB1 database_name:shop object_name:cards response_rows:412 statement:select 'response_rows:7' additional_information:`, 412},
	} {
		a, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		from, err := a.once([]string{written(t, c.line+"\n")})
		if err != nil {
			t.Fatal(err)
		}
		err = a.walk(context.Background(), from, func(_ *inputState, d decode.Decoder, r io.Reader) error {
			return d.Frame(r, func(c decode.Chunk) error {
				var b decode.Batch
				d.Decode(c, &b)
				for i := range b.Events {
					var o model.Observation
					a.tells.fill(&o, &b.Events[i])
					got = append(got, o.Items)
				}
				return nil
			}, func(e model.InputError) { t.Errorf("%s: %s", c.line, e.Cause) })
		}, func(*inputState) {})
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %v items, %v", c.line, got, err)
		}
	}
}

func FuzzTells(f *testing.F) {
	names := model.NewNames()
	tl := newTells(names)
	lat, lon, where := names.ID("location.geoCoordinates.latitude"), names.ID("location.geoCoordinates.longitude"), names.ID("LocationDetails")
	f.Add("1", "2", `{"countryOrRegion":"DE","geoCoordinates":{"latitude":"52.5","longitude":13.4}}`)
	f.Add("Inf", "NaN", `{"geoCoordinates":[]}`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var o model.Observation
		tl.fill(&o, &model.Event{Act: model.ActLogon, Slots: []model.Slot{{Field: where, Text: c}, {Field: lat, Text: a}, {Field: lon, Text: b}}})
		if p := o.Place; p != nil && (p.Located && !(p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180) || len(p.Country) != 0 && len(p.Country) != 2) {
			t.Fatalf("%+v", *p)
		}
		o = model.Observation{}
		tl.fill(&o, &model.Event{Act: model.ActConnect, Slots: []model.Slot{{Field: names.ID("bytes"), Text: a}}})
		if o.Bytes < 0 || o.Bytes > maxBytes {
			t.Fatalf("%d bytes", o.Bytes)
		}
	})
}

// watcher notes what it is told.
type watcher struct{ ids []string }

func (*watcher) Definition() detect.Definition             { return detect.Definition{} }
func (*watcher) Observe(*model.Observation) []*model.Alert { return nil }
func (w *watcher) Alerted(a *model.Alert)                  { w.ids = append(w.ids, a.ID) }

// TestWatch: alerts of other products are told when the stream comes to their time,
// in one order, whatever order they came in.
func TestWatch(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	alert := func(id string, minute int) *model.Alert {
		return &model.Alert{ID: id, Time: at.Add(time.Duration(minute) * time.Minute)}
	}
	other := []*model.Alert{alert("late", 30), alert("b", 5), alert("a", 5), alert("first", 0)}
	w := &watcher{}
	x := newWatch([]detect.Detector{w, detect.NewSpray()}, other)
	x.until(at)
	x.tell([]*model.Alert{alert("own", 1)})
	x.until(at.Add(10 * time.Minute))
	if got := strings.Join(w.ids, " "); got != "first own a b" {
		t.Errorf("told of %s", got)
	}
	if other[0].ID != "late" {
		t.Error("the alerts were put in another order")
	}
}

// TestDetectorsAreDocumented: each has an id of its own, tags, and a line in the manual.
func TestDetectorsAreDocumented(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "detectors.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range detectors(nil) {
		def := d.Definition()
		if seen[def.Rule.ID] || def.Rule.Title == "" || len(def.Tags) == 0 || def.Rule.Source != "builtin" {
			t.Errorf("%+v", def)
		}
		seen[def.Rule.ID] = true
		if !strings.Contains(string(manual), def.Rule.Title) || !strings.Contains(string(manual), string(def.Rule.Level)) {
			t.Errorf("docs/detectors.md says nothing of %q, level %s", def.Rule.Title, def.Rule.Level)
		}
	}
}
