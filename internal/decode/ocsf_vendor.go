package decode

import (
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// ocsfVendor corrects what classes and activities are too coarse to tell where the
// event comes from a product whose own records we read too, so that both forms of one
// record are the same event. OCSF keeps the product's own name of an event as
// metadata.event_code or api.operation, which e.Code has.
func ocsfVendor(doc *jsonDoc, e *model.Event, class string, failed bool) {
	own := firstOf(doc.text("metadata.event_code"), doc.text("api.operation"))
	s := entitySet{list: e.Entities}
	switch e.Source.Product {
	case "github":
		e.Subsystem = model.Application
		if own != "" {
			e.Act, e.Subsystem = githubAct(own)
		}
		for i := range s.list { // accounts are those of the site
			if x := &s.list[i]; x.Type == model.User && !strings.ContainsAny(x.Value, `@\`) {
				x.Value = `github.com\` + x.Value
			}
		}
		if doc.has("resources.name") || doc.has("entity.name") { // by which the site's own log knows them
			s.list = slices.DeleteFunc(s.list, func(x model.Entity) bool { return x.Type == model.Resource && x.Role == model.Target })
		}
		n := 0
		for _, path := range [...]string{"resources.name", "entity.name"} {
			doc.each(path, func(name string) bool {
				s.codeHost(model.Resource, model.Target, "github.com", "/", name)
				n++
				return n < maxResources
			})
		}
	case "okta":
		e.Subsystem = model.Identity
		if strings.Contains(own, ".") {
			e.Act = oktaAct(own, failed)
		}
		if id := doc.text("group.uid"); id != "" {
			s.add(model.Resource, model.Target, "okta:"+id, doc.text("group.name"), "")
		}
	case "zeek": // sees all of it pass
		e.Subsystem = model.Network
	case "aws":
		if class == ocsfHTTP && (strings.HasSuffix(e.Source.Service, "waf") || doc.has("unmapped.httpRequest.clientIp")) {
			e.Subsystem = model.Application
			for i := range s.list { // the site that the request was for
				if x := &s.list[i]; x.Type == model.Domain && x.Role == model.Object {
					x.Role = model.Dst
				}
			}
		}
	}
	e.Entities = s.list
}
