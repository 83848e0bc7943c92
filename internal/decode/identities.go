package decode

import (
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// What a record says of the same machine or user under several names goes into
// Entity.Alt: graph joins the sources of evidence by it. Here stands who may say
// what. An id counts only where it is the subject's: that of the agent which sent on
// the record of another machine is the sensor's.

// maxAlt bounds the names in one Alt, in bytes.
const maxAlt = 1024

// joinIDs writes ids as Entity.Alt has them, each once. What is joined already
// is taken apart.
func joinIDs(ids ...string) string {
	var out []string
	n := 0
	for _, list := range ids {
		for id := range strings.FieldsSeq(list) {
			if n += len(id) + 1; n > maxAlt {
				return strings.Join(out, " ")
			}
			if !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return strings.Join(out, " ")
}

// also notes what else the first entity of a type and role is called, adding the
// entity if it is not there and has a value.
func (s *entitySet) also(t model.EntityType, role model.Role, value string, ids ...string) {
	for i := range s.list {
		if e := &s.list[i]; e.Type == t && e.Role == role && (value == "" || e.Value == value) {
			e.Alt = joinIDs(append([]string{e.Alt}, ids...)...)
			return
		}
	}
	s.add(t, role, value, "", joinIDs(ids...))
}

// hostIDs adds to the host of an event the ids that its agents and the store it came
// from give it.
func hostIDs(e *model.Event) {
	if e.Host == "" {
		return
	}
	var ids string
	switch e.Format {
	case "windows-json", "syslog-row", "syslog":
		// What Elastic's agents add of the machine they run on, which need not be the
		// event's; Azure Monitor likewise, whose collectors of forwarded events report
		// many machines under one id: that contradicts itself, and graph believes none.
		if name := e.Text(model.FHostName); name != "" && sameHost(name, e.Host) {
			ids = joinIDs(e.Text(model.FHostId), e.Text(model.FAgentId), e.Text(model.FCloudInstanceId))
		}
		ids = joinIDs(ids, e.Text(model.FResourceIdUnderscore), e.Text(model.FSourceComputerId))
	case "m365-defender":
		ids = joinIDs(e.Text(model.FDeviceId))
	case "vmconnection":
		ids = joinIDs(e.Text(model.FResourceIdUnderscore))
	}
	if ids == "" {
		return
	}
	s := entitySet{list: e.Entities}
	for i := range s.list {
		if h := &s.list[i]; h.Type == model.Host && h.Role == model.Subject && h.Value == e.Host {
			h.Alt = joinIDs(h.Alt, ids)
			return
		}
	}
}

// sameHost says whether two names may be of one machine: their first labels are equal.
func sameHost(a, b string) bool {
	a, _, _ = strings.Cut(a, ".")
	b, _, _ = strings.Cut(b, ".")
	return strings.EqualFold(a, b)
}

// maxAddressed bounds the machines whose addresses one call tells.
const maxAddressed = 16

// addresses adds which machines, interfaces and addresses of EC2 a call put together
// or took apart, from its answer. What the call names besides is told by its fields.
//
// The members are those of the EC2 API reference's RunInstances, TerminateInstances,
// AllocateAddress, AssociateAddress, DisassociateAddress, ReleaseAddress,
// CreateNetworkInterface, AttachNetworkInterface, DeleteNetworkInterface and
// CreateNatGateway, as CloudTrail writes them.
func (s *entitySet) addresses(e *model.Event) {
	switch e.Code {
	case "RunInstances", "TerminateInstances", "AllocateAddress", "AssociateAddress", "DisassociateAddress", "ReleaseAddress",
		"CreateNetworkInterface", "AttachNetworkInterface", "DeleteNetworkInterface", "CreateNatGateway":
	default:
		return
	}
	if e.Text(model.FErrorCode) != "" || len(e.Raw) > maxMicrosoftText {
		return
	}
	record := aliasString(e.Raw)
	request, answer := memberText(record, "requestParameters"), memberText(record, "responseElements")
	for _, envelope := range [...]string{"detail", "_source", "Event"} {
		if request == "" && answer == "" {
			inner := memberText(record, envelope)
			request, answer = memberText(inner, "requestParameters"), memberText(inner, "responseElements")
		}
	}
	asked := func(path ...string) string { return jsonString(memberText(request, path...)) }
	told := func(path ...string) string { return jsonString(memberText(answer, path...)) }
	resource := func(value string, alt ...string) {
		if value != "" {
			s.also(model.Resource, model.Target, value, alt...)
		}
	}
	// freed are addresses that no machine has any more.
	freed := func(address string) {
		if a, ok := usableIP(address); ok {
			s.also(model.IP, model.Target, a.String(), model.Ended)
		}
	}
	switch e.Code {
	case "RunInstances":
		eachInstance(answer, func(item string) {
			ids := []string{jsonString(memberText(item, "privateIpAddress")), jsonString(memberText(item, "ipAddress"))}
			eachElement(memberText(item, "networkInterfaceSet", "items"), func(nic string) bool {
				ids = append(ids, jsonString(memberText(nic, "networkInterfaceId")))
				return len(ids) < maxAddressed
			})
			resource(jsonString(memberText(item, "instanceId")), ids...)
		})
	case "TerminateInstances":
		eachInstance(firstOf(answer, request), func(item string) { resource(jsonString(memberText(item, "instanceId")), model.Ended) })
	case "AllocateAddress":
		resource(told("allocationId"), told("publicIp"))
	case "AssociateAddress":
		resource(firstOf(asked("instanceId"), asked("networkInterfaceId")), asked("publicIp"), asked("allocationId"), told("associationId"))
	case "DisassociateAddress":
		resource(asked("associationId"), model.Ended)
		freed(asked("publicIp"))
	case "ReleaseAddress":
		resource(asked("allocationId"), model.Ended)
		freed(asked("publicIp"))
	case "CreateNetworkInterface":
		resource(told("networkInterface", "networkInterfaceId"), told("networkInterface", "privateIpAddress"))
	case "AttachNetworkInterface":
		resource(asked("instanceId"), asked("networkInterfaceId"))
	case "DeleteNetworkInterface":
		resource(asked("networkInterfaceId"), model.Ended)
	case "CreateNatGateway": // whose address speaks for all behind it
		resource(firstOf(asked("CreateNatGatewayRequest", "AllocationId"), asked("allocationId")), model.Ended)
	}
}

// eachInstance calls fn with the instances that a call names.
func eachInstance(text string, fn func(item string)) {
	n := 0
	eachElement(memberText(text, "instancesSet", "items"), func(item string) bool {
		fn(item)
		n++
		return n < maxAddressed
	})
}

// ownFlow adds the machine of EC2 that a flow was seen at, with the address that is
// its own: that of the source of what leaves and of the destination of what comes in.
func (l *entityList) ownFlow(e *model.Event) {
	id := e.Text(model.FInstanceId)
	if !isInstanceID(id) {
		return
	}
	own := ""
	switch e.Text(model.FFlowDirection) {
	case "egress":
		own = e.Text(model.FSrcIp)
	case "ingress":
		own = e.Text(model.FDstIp)
	}
	l.add(model.Entity{Type: model.Resource, Value: id, Role: model.Subject, Alt: own})
}
