package detect

import (
	"fmt"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// call is a call of a management API.
func call(n int, at time.Duration, who, name string, act model.Act) *model.Observation {
	return &model.Observation{Event: fmt.Sprintf("%s-%s-%d", who, name, n), Time: noon.Add(at), Act: act, Code: name, Source: model.LogSource{Product: "aws", Service: "cloudtrail"},
		Entities: []model.Entity{{Type: model.User, Value: who, Role: model.Actor}}}
}

// routine is what an identity does all the time, one call every ten minutes.
func routine(n int, who string, names ...string) (out []*model.Observation) {
	for i := range n {
		out = append(out, call(i, time.Duration(i)*10*time.Minute, who, names[i%len(names)], model.ActObjectList))
	}
	return out
}

func TestNewCall(t *testing.T) {
	known := routine(100, "ci", "DescribeInstances", "ListBuckets", "DescribeImages")
	others := routine(100, "ops", "CreateAccessKey", "DescribeRegions")
	late := 20 * time.Hour
	one := func(o *model.Observation) []*model.Observation { return []*model.Observation{o} }
	for _, c := range []struct {
		name   string
		stream []*model.Observation
		want   int
	}{
		{"a key made by who never made one", joined(known, one(call(1, late, "ci", "CreateAccessKey", model.ActKeyIssued))), 1},
		{"others make them", joined(others, known, one(call(1, late, "ci", "CreateAccessKey", model.ActKeyIssued))), 1},
		{"told once", joined(known, one(call(1, late, "ci", "CreateAccessKey", model.ActKeyIssued)), one(call(2, late+time.Hour, "ci", "CreateAccessKey", model.ActKeyIssued))), 1},
		{"a listing that nobody ever asked for", joined(known, one(call(1, late, "ci", "ListSecrets", model.ActObjectList))), 1},
		{"a listing that others ask for", joined(others, known, one(call(1, late, "ci", "DescribeRegions", model.ActObjectList))), 0},
		{"what it always does", joined(known, one(call(1, late, "ci", "ListBuckets", model.ActObjectList))), 0},
		{"nothing known of it", joined(known, one(call(1, late, "eve", "CreateAccessKey", model.ActKeyIssued))), 0},
		{"the first hours", joined(routine(30, "ci", "DescribeInstances"), one(call(1, 6*time.Hour, "ci", "CreateAccessKey", model.ActKeyIssued))), 0},
		{"who does many things, each again", joined(routine(100, "ci", "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z",
			"AA", "BB", "CC", "DD", "EE", "FF", "GG", "HH", "II", "JJ", "KK", "LL", "MM", "NN", "OO", "PP", "QQ", "RR", "SS", "TT", "UU", "VV", "WW", "XX"), one(call(1, late, "ci", "CreateAccessKey", model.ActKeyIssued))), 1},
		{"a burst counts once", joined(known[:59], known[58:59], known[58:59], known[58:59], one(call(1, 10*time.Hour, "ci", "CreateAccessKey", model.ActKeyIssued))), 0},
	} {
		if got := feed(NewNewCall(), c.stream); len(got) != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
	}
	// An identity of which every tenth call is new has no routine.
	var restless []*model.Observation
	for i := range 300 {
		name := "DescribeInstances"
		if i%10 == 0 {
			name = fmt.Sprint("Call", i)
		}
		restless = append(restless, call(i, time.Duration(i)*10*time.Minute, "ci", name, model.ActObjectList))
	}
	if got := feed(NewNewCall(), joined(restless, one(call(1, 60*time.Hour, "ci", "CreateAccessKey", model.ActKeyIssued)))); len(got) != 0 {
		t.Errorf("restless: %d alerts", len(got))
	}
}

// An identity that makes ever new calls costs bounded memory.
func TestNewCallBounds(t *testing.T) {
	d := NewNewCall().(*newCall)
	for i := range 3 * maxFleetCalls {
		d.Observe(call(i, time.Duration(i)*time.Second, "eve", fmt.Sprint("Call", i), model.ActAPICall))
	}
	if n := len(d.callers.by["user:eve"].v.kinds); n > maxCallKinds {
		t.Errorf("%d kinds of one identity", n)
	}
	if n := len(d.fleet.by); n > maxFleetCalls {
		t.Errorf("%d kinds in all", n)
	}
}
