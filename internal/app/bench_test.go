package app

import "testing"

// Bench finds what an analysis finds, and the parts of its time make up the whole.
func TestBench(t *testing.T) {
	folder(t, file{"auth.log", guessing(3000)}, file{"sysmon.json", dumping()})
	want := analyze(t, Options{}, ".")
	res, err := Bench(t.Context(), Options{Workers: 1}, []string{"."})
	if err != nil {
		t.Fatal(err)
	}
	if res.Events != want.Totals.Events || res.Alerts != want.Totals.Alerts || res.Incidents != want.Totals.Incidents || res.Bytes == 0 || res.Rules == 0 {
		t.Errorf("%+v, want what the analysis found: %+v", res, want.Totals)
	}
	s := res.Seconds
	for name, v := range map[string]float64{"decode": s.Decode, "detect": s.Detect, "keep": s.Keep, "read": s.Read, "scan": s.Scan, "order": s.Order, "stream": s.Stream,
		"evidence": s.Evidence, "fuse": s.Fuse, "rate": res.EventsPerSecond, "ratio": res.DetectOverDecode, "allocations": float64(res.Allocs), "bytes": float64(res.AllocBytes)} {
		if v <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	if d := s.Total - s.Scan - s.Fuse; d < -1e-6 || d > 1e-6 {
		t.Errorf("scan %v and fuse %v are not the total %v", s.Scan, s.Fuse, s.Total)
	}
	if busy := s.Decode + s.Detect + s.Keep; busy > s.Scan {
		t.Errorf("one worker was busy for %v s of %v", busy, s.Scan)
	}
	if parts := s.Order + s.Stream + s.Link + s.Story + s.Evidence; parts > s.Fuse*1.01 || parts < s.Fuse/2 {
		t.Errorf("parts of %v, fuse %v", parts, s.Fuse)
	}
	if res.GCShare < 0 || res.GCShare > 1 {
		t.Errorf("collecting garbage took %v of the time", res.GCShare)
	}
}
