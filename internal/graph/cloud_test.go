package graph

import (
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

func TestAnInstanceIsTheHostThatSaysSo(t *testing.T) {
	const id, arn = "i-0a1b2c3d4e5f60718", "arn:aws:iam::111122223333:role/path/web-role"
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	says := func(host string) *model.Observation {
		return &model.Observation{Event: "e-" + host, Time: at, Act: model.ActIdentify, Host: host, Entities: []model.Entity{
			{Type: model.Host, Value: host, Role: model.Subject}, {Type: model.Resource, Value: id, Role: model.Subject}}}
	}
	instance := model.Entity{Type: model.Resource, Value: id, Role: model.Subject}
	m := New(Options{})
	if got := m.Resolve(instance, "", at); got.Type != model.Resource {
		t.Errorf("an instance nobody named is %v", got)
	}
	m.Observe(says("web02"))
	if got, want := m.Resolve(instance, "", at), (model.EntityKey{Type: model.Host, Value: "web02"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	m.Observe(says("web03")) // two hosts cannot both be it
	if got := m.Resolve(instance, "", at); got.Type != model.Resource {
		t.Errorf("an instance that two hosts claim is %v", got)
	}

	m.Observe(&model.Observation{Event: "e-call", Time: at, Act: model.ActAPICall, Entities: []model.Entity{{Type: model.IAMRole, Value: arn, Role: model.Actor}}})
	if got := m.Resolve(model.Entity{Type: model.IAMRole, Value: "web-role"}, "", at); got.Value != arn {
		t.Errorf("the role's name is %v, want its ARN", got)
	}
}
