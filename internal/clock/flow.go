package clock

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A Flow is one connection as both of its observers name it: "address:port" of
// who opened it and of whom it was opened to.
type Flow struct {
	From, To string
}

type flowSeen struct {
	src    Source
	net    bool // seen by a network sensor
	stamps Stamps
}

const (
	maxFlows   = 1 << 18         // flows remembered
	maxSeen    = 4               // reports of one flow: what is seen more often is no single flow
	minMatches = 5               // flows that must agree before a host is corrected by them
	maxSpread  = 5 * time.Second // by which the middle half of them may differ
	// minShift is from where on a difference is corrected. A smaller one is only
	// told: sensors report connections some seconds late, and either may be right.
	minShift = time.Minute
)

// ObserveFlow takes the stamps of an event that tells of a connection; net says
// that a network sensor reported it, whose clock is taken for the true one.
func (e *Estimator) ObserveFlow(f Flow, src Source, net bool, s Stamps) {
	e.addFlow(f, flowSeen{src, net, s})
}

func (e *Estimator) addFlow(f Flow, s flowSeen) {
	if e.flows == nil {
		e.flows = map[Flow][]flowSeen{}
	}
	seen, ok := e.flows[f]
	if !ok && len(e.flows) >= maxFlows || len(seen) >= maxSeen {
		return
	}
	e.flows[f] = append(seen, s)
}

// byNetwork compares hosts with the network sensors that saw the same
// connections, and shifts a host whose times are off by the same amount in all.
func (e *Estimator) byNetwork(c *Correction) {
	diffs := map[Source][]time.Duration{}
	for _, seen := range e.flows {
		var host, net *flowSeen
		for i := range seen {
			if seen[i].net {
				net = &seen[i]
			} else {
				host = &seen[i]
			}
		}
		if len(seen) != 2 || host == nil || net == nil {
			continue
		}
		diffs[host.src] = append(diffs[host.src], c.Time(net.src, net.stamps).Sub(c.Time(host.src, host.stamps)))
	}
	for src, ds := range diffs {
		if len(ds) < minMatches {
			continue
		}
		slices.SortFunc(ds, cmp.Compare)
		median := ds[len(ds)/2]
		if median.Abs() <= tolerance || ds[len(ds)*3/4]-ds[len(ds)/4] > maxSpread {
			continue
		}
		v := c.by[src]
		if median.Abs() < minShift {
			v.apart = median.Round(time.Second)
			v.known = true
			c.by[src] = v
			continue
		}
		v.offset += median.Round(time.Second)
		v.sensor += median.Round(time.Second)
		v.known = true
		v.ground = fmt.Sprintf("%d connections that a network sensor saw as well", len(ds))
		c.by[src] = v
	}
}
