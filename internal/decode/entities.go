package decode

import "github.com/catena-sec/catena/internal/model"

// Entities fills e.Entities from its slots, canonical as model.Entity says. It is
// apart from decoding because only events that a rule matched, or whose Act memory
// keeps, need it: most events of most logs do not.
func (r *Registry) Entities(e *model.Event) {
	if e.Entities != nil {
		return
	}
	if extract := extractors[e.Source.Product]; extract != nil {
		extract(e)
	}
}

// extractors says by product who knows an event's entities.
var extractors = map[string]func(*model.Event){
	"windows": windowsEntities,
	"aws":     cloudTrailEntities,
	"azure":   m365Entities,
	"m365":    m365Entities,
	"linux":   linuxEntities,
	"zeek":    zeekEntities,
}
