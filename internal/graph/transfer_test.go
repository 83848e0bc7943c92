package graph

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestTransfers(t *testing.T) {
	m := New(Options{})
	x := NewTransfers(m)
	read := func(min int, src, object string, bytes int64) {
		o := wayAct(min, model.ActObjectRead, "", wayEnt(model.AccessKey, model.Actor, "AKIA1"), wayEnt(model.User, model.Actor, "arn:aws:iam::1:user/ci"),
			wayEnt(model.IP, model.Src, src), wayEnt(model.Resource, model.Target, object), wayEnt(model.Resource, model.Target, "arn:aws:s3:::pay"))
		o.Bytes = bytes
		m.Observe(o)
		x.Observe(o)
	}
	read(0, "192.0.2.1", "arn:aws:s3:::pay/a", 100)
	read(1, "192.0.2.1", "arn:aws:s3:::pay/a", 0)
	read(2, "192.0.2.1", "arn:aws:s3:::pay/b", 50)
	read(3, "198.51.100.7", "arn:aws:s3:::pay/b", 7)
	read(600, "192.0.2.1", "arn:aws:s3:::pay/b", 1000)
	sent := func(dst string, bytes int64) {
		o := wayAct(4, model.ActConnect, "", wayEnt(model.IP, model.Src, "10.0.0.1"), wayEnt(model.IP, model.Dst, dst))
		o.Bytes = bytes
		m.Observe(o)
		x.Observe(o)
	}
	sent("203.0.113.5", 900)
	sent("203.0.113.5", 100)
	sent("10.0.0.2", 5000) // stays inside
	sent("203.0.113.6", 0)

	got := x.By(model.EntityKey{Type: model.AccessKey, Value: "AKIA1"}, wayTime(0), wayTime(10))
	if len(got) != 3 || got[0].Count != 2 || got[0].Bytes != 100 || got[0].Told != 1 || got[0].To.Value != "arn:aws:s3:::pay/a" || got[1].Bytes != 50 || got[2].Src != "198.51.100.7" {
		t.Errorf("%+v", got)
	}
	got = x.By(model.EntityKey{Type: model.IP, Value: "10.0.0.1"}, wayTime(0), wayTime(10))
	if len(got) != 1 || got[0].Bytes != 1000 || got[0].Count != 2 {
		t.Errorf("%+v", got)
	}
	if x.Dropped() != 0 {
		t.Errorf("%d dropped", x.Dropped())
	}
}

// What records claim cannot make a sum overflow.
func TestTransferSumsStayNumbers(t *testing.T) {
	x := NewTransfers(New(Options{}))
	for range 5000 {
		o := wayAct(0, model.ActConnect, "", wayEnt(model.IP, model.Src, "10.0.0.1"), wayEnt(model.IP, model.Dst, "203.0.113.5"))
		o.Bytes = 1 << 50
		x.Observe(o)
	}
	if got := x.By(model.EntityKey{Type: model.IP, Value: "10.0.0.1"}, wayTime(0), wayTime(1)); len(got) != 1 || got[0].Bytes < 1<<60 || got[0].Count != 5000 {
		t.Errorf("%+v", got)
	}
}
