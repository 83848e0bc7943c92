package clock

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"
)

// TestStateGoesOn: an estimator written and read again in the middle comes to what one
// that saw all comes to.
func TestStateGoesOn(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	observe := func(e *Estimator, i int) {
		host := fmt.Sprintf("host%d", i%5)
		true1 := at.Add(time.Duration(i) * time.Minute)
		e.Observe(Source{"a.log", host}, fmt.Sprint(i%3), Stamps{Recorded: true1.Add(-time.Duration(i%5) * time.Hour), Sensed: true1})
		e.Observe(Source{"b.log", host}, "x", Stamps{Recorded: true1.Add(-2 * time.Hour), Received: true1.Add(3 * time.Second)})
	}
	var whole, part Estimator
	for i := range 200 {
		observe(&whole, i)
		if i < 90 {
			observe(&part, i)
		}
	}
	b, err := json.Marshal(&part)
	if err != nil {
		t.Fatal(err)
	}
	var again Estimator
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if c, err := json.Marshal(&again); err != nil || string(c) != string(b) {
		t.Fatalf("written twice it differs: %v", err)
	}
	for i := 90; i < 200; i++ {
		observe(&again, i)
	}
	if x, y := again.Solve(), whole.Solve(); len(y.Offsets()) == 0 || !reflect.DeepEqual(x.Offsets(), y.Offsets()) {
		t.Errorf("offsets %v, want %v", x.Offsets(), y.Offsets())
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`[{"input":"a","host":"h","sensed":[{"s":3600,"c":"1","n":5}],"received":[{"s":0,"n":2}]}]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Estimator
		if e.UnmarshalJSON(b) != nil {
			return
		}
		e.Solve()
		if _, err := json.Marshal(&e); err != nil {
			t.Fatal(err)
		}
	})
}
