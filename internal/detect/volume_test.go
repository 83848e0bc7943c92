package detect

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

const mib = 1 << 20

// send is a connection that takes bytes to the internet.
func send(n int, at time.Duration, src, dst string, bytes int64) *model.Observation {
	o := reach(n, at, "", "", dst, 443)
	o.Event = fmt.Sprint(src, dst, at, n)
	o.Entities[0].Value, o.Bytes = src, bytes
	return o
}

// sends is some hours with one connection each.
func sends(hours int, src string, bytes func(hour int) int64) (out []*model.Observation) {
	for h := range hours {
		out = append(out, send(h, time.Duration(h)*time.Hour, src, "203.0.113.9", bytes(h)))
	}
	return out
}

func TestVolumeOut(t *testing.T) {
	const pc, far = "10.0.0.5", "203.0.113.9"
	usual := func(int) int64 { return 10 * mib }
	varied := func(h int) int64 { return int64(1+h%7) * 20 * mib }
	many := func(at time.Duration, src, dst string, n int, bytes int64) (out []*model.Observation) {
		for i := range n {
			out = append(out, send(i, at+time.Duration(i)*time.Second, src, dst, bytes))
		}
		return out
	}
	told := send(1, 20*time.Hour, pc, far, 900*mib)
	told.Host = "pc5"
	for _, c := range []struct {
		name   string
		stream []*model.Observation
		want   int
	}{
		{"an archive", joined(sends(20, pc, usual), many(20*time.Hour, pc, far, 1, 900*mib)), 1},
		{"an archive in parts", joined(sends(20, pc, usual), many(20*time.Hour, pc, far, 100, 9*mib)), 1},
		{"more than the largest of varied hours, but not by far", joined(sends(20, pc, varied), many(20*time.Hour, pc, far, 1, 300*mib)), 0},
		{"far more than varied hours", joined(sends(20, pc, varied), many(20*time.Hour, pc, far, 1, 2000*mib)), 1},
		{"much for the host, little in all", joined(sends(20, pc, func(int) int64 { return mib }), many(20*time.Hour, pc, far, 1, 90*mib)), 0},
		{"it did so once", joined(sends(20, pc, func(h int) int64 {
			if h == 3 {
				return 800 * mib
			}
			return 10 * mib
		}), many(20*time.Hour, pc, far, 1, 900*mib)), 0},
		{"the first hours", joined(sends(volumeHours, pc, usual)[1:], many(20*time.Hour, pc, far, 1, 900*mib)), 0},
		{"to a server at home", joined(sends(20, pc, usual), many(20*time.Hour, pc, "10.0.0.9", 1, 900*mib)), 0},
		{"told once a day", joined(sends(20, pc, usual), many(20*time.Hour, pc, far, 1, 900*mib), many(22*time.Hour, pc, far, 1, 9000*mib)), 1},
		{"another host", joined(sends(20, pc, usual), many(20*time.Hour, "10.0.0.6", far, 1, 900*mib)), 0},
		{"told by the host and on the wire", joined(sends(20, pc, usual), []*model.Observation{told}), 0},
		{"from outside through a sensor", joined(sends(20, "198.51.100.1", usual), many(20*time.Hour, "198.51.100.1", far, 1, 900*mib)), 0},
		{"late records", joined(sends(20, pc, usual), many(2*time.Hour, pc, far, 1, 900*mib)), 0},
	} {
		got := feed(NewVolumeOut(), c.stream)
		if len(got) != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
		for _, a := range got {
			if len(a.Evidence) > volumeMarks+1 || a.Time.Before(noon.Add(20*time.Hour)) {
				t.Errorf("%s: %d records from %v", c.name, len(a.Evidence), a.Time)
			}
		}
	}
}

// The evidence of an hour is what brought it about, not what came beside.
func TestVolumeEvidence(t *testing.T) {
	stream := sends(20, "10.0.0.5", func(int) int64 { return 10 * mib })
	for i, n := range []int64{1, 2, 400 * mib, 500 * mib} {
		stream = append(stream, send(i, 20*time.Hour+time.Duration(i)*time.Minute, "10.0.0.5", "203.0.113.9", n))
	}
	got := feed(NewVolumeOut(), stream[:len(stream)-1])
	if len(got) != 1 || len(got[0].Evidence) != 1 || got[0].Evidence[0].ID != stream[22].Event || !got[0].Time.Equal(stream[22].Time) {
		t.Errorf("%+v", got)
	}
}

// reading is an object read by somebody.
func reading(n int, at time.Duration, who, object string, bytes int64) *model.Observation {
	return &model.Observation{Event: fmt.Sprint(who, object, at, n), Time: noon.Add(at), Act: model.ActObjectRead, Bytes: bytes,
		Entities: []model.Entity{{Type: model.User, Value: who, Role: model.Actor}, {Type: model.Resource, Value: object, Role: model.Target}}}
}

func TestVolumeRead(t *testing.T) {
	const bucket = "arn:aws:s3:::plans/"
	usual := func(who string) (out []*model.Observation) {
		for h := range 20 {
			for i := range 10 {
				out = append(out, reading(i, time.Duration(h)*time.Hour+time.Duration(i)*time.Second, who, bucket+fmt.Sprint(i), 1000))
			}
		}
		return out
	}
	all := func(who string, n int, bytes int64) (out []*model.Observation) {
		for i := range n {
			out = append(out, reading(i, 20*time.Hour+time.Duration(i)*time.Second, who, bucket+fmt.Sprint("all", i), bytes))
		}
		return out
	}
	var mail []*model.Observation
	for h := range 21 {
		n := 5
		if h == 20 {
			n = 1000
		}
		for i := range n {
			o := reading(i, time.Duration(h)*time.Hour+time.Duration(i)*time.Second, "app", "", 0)
			o.Act, o.Entities = model.ActMailAccess, []model.Entity{{Type: model.App, Value: "app", Role: model.Actor}, {Type: model.Mailbox, Value: "boss@corp.example", Role: model.Target}}
			mail = append(mail, o)
		}
	}
	for _, c := range []struct {
		name   string
		stream []*model.Observation
		want   int
	}{
		{"everything, by one who reads some", joined(usual("ci"), all("ci", 1000, 1000)), 1},
		{"everything, by one who never read", joined(usual("ci"), all("eve", 1000, 1000)), 1},
		{"a few large ones", joined(usual("ci"), all("ci", 3, 500*mib)), 1},
		{"somewhat more", joined(usual("ci"), all("ci", 25, 1000)), 0},
		{"much more of nearly nothing", joined(usual("ci"), all("ci", volumeReads-1, 1000)), 0},
		{"a bucket without history", all("ci", 1000, 1000), 0},
		{"a mailbox", mail, 1},
	} {
		if got := feed(NewVolumeRead(), c.stream); len(got) != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
	}
}

// Whatever comes in whatever order, an hour's sum is that of its records, what is
// kept is bounded, and a day has one alert.
func TestHoursLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h hours
		newest, sum := int64(0), 0.0
		var told time.Time
		for i := range rapid.IntRange(1, 300).Draw(t, "n") {
			o := send(i, time.Duration(rapid.IntRange(0, 200*60).Draw(t, "minute"))*time.Minute, "a", "b", 1)
			n := float64(rapid.IntRange(0, 1000).Draw(t, "bytes"))
			hour := o.Time.Unix() / 3600
			if hour > newest {
				newest, sum = hour, 0
			}
			if hour == newest {
				sum += n
			}
			if h.add(o, n, 1) {
				if !told.IsZero() && o.Time.Sub(told) < volumeAgain {
					t.Fatalf("told at %v and %v", told, o.Time)
				}
				told, h.told = o.Time, o.Time
			}
			if h.sum != sum || len(h.past) > volumeKept || len(h.marks) > volumeMarks {
				t.Fatalf("sum %f, want %f; %d hours, %d marks", h.sum, sum, len(h.past), len(h.marks))
			}
		}
	})
}

func TestVolumeBounds(t *testing.T) {
	out, read := NewVolumeOut().(*volume), NewVolumeRead().(*volume)
	for i := range 2 * maxVolumeKey {
		at := time.Duration(i) * time.Second
		out.Observe(send(i, at, fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), "203.0.113.9", mib))
		read.Observe(reading(i, at, fmt.Sprint("u", i), fmt.Sprint("b", i, "/x"), mib))
	}
	if len(out.series.by) > maxVolumeKey || len(read.series.by) > maxVolumeKey {
		t.Errorf("%d and %d series", len(out.series.by), len(read.series.by))
	}
}
