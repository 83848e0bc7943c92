package decode

import "github.com/catena-sec/catena/internal/model"

// Entities fills e.Entities from its slots, canonical as model.Entity says. It is
// apart from decoding because only events that a rule matched, or whose Act memory
// keeps, need it: most events of most logs do not.
func (r *Registry) Entities(e *model.Event) {
	if e.Entities != nil {
		return
	}
	extract := formatExtractors[e.Format]
	if extract == nil {
		extract = extractors[e.Source.Product]
	}
	if extract == nil {
		extract = textEntities
	}
	extract(e)
	hostIDs(e)
}

// extractors says by product who knows an event's entities.
var extractors = map[string]func(*model.Event){
	"windows":  windowsEntities,
	"aws":      cloudTrailEntities,
	"azure":    m365Entities,
	"m365":     m365Entities,
	"linux":    linuxEntities,
	"macos":    linuxEntities,
	"zeek":     zeekEntities,
	"suricata": suricataEntities,
}

// formatExtractors says by format who knows the entities of events that share their
// product with others of another kind.
var formatExtractors = map[string]func(*model.Event){
	"netfilter":  textEntities,
	"elb":        textEntities,
	"aws-waf":    textEntities,
	"vpc-flow":   textEntities,
	"cloudfront": textEntities,
	"dhcp":       leaseEntities,
	"s3-access":  s3Entities,
}
