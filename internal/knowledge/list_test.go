package knowledge

import "testing"

func TestTechniques(t *testing.T) {
	all := Techniques()
	if len(all) < 600 {
		t.Errorf("%d techniques", len(all))
	}
	for i, x := range all {
		if now, ok := Resolve(x.ID); !ok || now != x.ID || len(x.Tactics) == 0 {
			t.Errorf("%+v is not in use", x)
		}
		if i > 0 && all[i-1].ID >= x.ID {
			t.Errorf("%s stands before %s", all[i-1].ID, x.ID)
		}
	}
}
