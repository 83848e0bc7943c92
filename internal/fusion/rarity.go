package fusion

import (
	"fmt"
	"math"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// rarity says how rare in this estate what links m is: on how many of the hosts that
// raised alerts it was, in what time. It is empty for what is of one host by nature.
func (e *Engine) rarity(m *meta) string {
	switch m.via.key.Type {
	case model.Host, model.Process, model.File, model.Session, model.Container:
		return ""
	}
	r := e.ring(m.via.key)
	if r == nil || m.via.class <= wide || e.rates.machines < 2 {
		return ""
	}
	on := map[model.EntityKey]bool{}
	for _, o := range r.all {
		switch {
		case o.fan:
			for _, a := range o.alerts {
				if a.Host != "" {
					on[model.EntityKey{Type: model.Host, Value: a.Host}] = true
				}
			}
		case o.subject.Type == model.Host:
			on[o.subject] = true
		}
	}
	if len(on) == 0 {
		return ""
	}
	least := ""
	if len(r.all) >= ringBack*3/4 { // a ring keeps the latest
		least = "at least "
	}
	days := int(math.Ceil(e.now.Sub(e.begin).Hours() / 24))
	if days <= 1 {
		return fmt.Sprintf("; seen on %s%d of %d hosts that had alerts in %s", least, len(on), max(e.rates.machines, len(on)), short(max(e.now.Sub(e.begin), time.Minute)))
	}
	return fmt.Sprintf("; seen on %s%d of %d hosts that had alerts in %d days", least, len(on), max(e.rates.machines, len(on)), days)
}
