package model

// EntityType is what kind of thing an entity is.
type EntityType string

// The entity types of the contract.
const (
	Host      EntityType = "host"
	User      EntityType = "user"
	Process   EntityType = "process"
	File      EntityType = "file"
	Hash      EntityType = "hash"
	IP        EntityType = "ip"
	Domain    EntityType = "domain"
	URL       EntityType = "url"
	Session   EntityType = "session"
	AccessKey EntityType = "access_key"
	IAMRole   EntityType = "role"
	Resource  EntityType = "resource"
	Container EntityType = "container"
	Pod       EntityType = "pod"
	Namespace EntityType = "namespace"
	Mailbox   EntityType = "mailbox"
	App       EntityType = "app"
)

// Role is the part an entity plays in an event or alert.
type Role string

// The roles of the contract. A sensor never links alerts.
const (
	Subject   Role = "subject"
	Actor     Role = "actor"
	Parent    Role = "parent"
	Src       Role = "src"
	Dst       Role = "dst"
	Target    Role = "target"
	Object    Role = "object"
	Indicator Role = "indicator"
	Sensor    Role = "sensor"
)

// An Entity is a thing with identity, resolved from the values of an event.
//
// Value is canonical, so that equal values mean the same thing:
//
//   - host: lower case, fully qualified where known ("mkt01.pandalab.com");
//     a bare name is resolved to the qualified one when the evidence knows just one
//   - user: lower case "domain\name" with the NetBIOS domain, a UPN, or an ARN;
//     built-in accounts carry their host ("mkt01.pandalab.com\system")
//   - process: the sensor's GUID in lower case without braces, else
//     "<host>:<pid>" (see Alt)
//   - file: lower case path, prefixed "<host>:" since a path means nothing
//     without its machine
//   - session: "<host>:<logon id>" or the provider's session name
//   - ip: as netip.Addr prints it; an address that does not parse is no entity
//   - access_key, role, resource: as the cloud names them (ARN where there is one)
type Entity struct {
	Type  EntityType `json:"type"`
	Value string     `json:"value"`
	Role  Role       `json:"role,omitempty"`
	// Name is how people call it where Value is no name: a process's image path.
	Name string `json:"name,omitempty"`
	// Alt is what else the same thing is called, by the record that names it:
	//
	//   - process known by GUID: "<host>:<pid>"
	//   - user: its SID, object id, principal name or e-mail address
	//   - host: its ids at the agents on it and at the cloud that runs it
	//   - resource that is a machine or its interface: its addresses and the ids of
	//     its interfaces from then on, or Ended once it is gone
	//   - ip: Ended if no machine has it from then on
	//
	// Several stand apart by spaces. Never shown, used to join sources.
	Alt string `json:"-"`
}

// Ended in Entity.Alt says that from then on the machine is gone, or the address
// nobody's.
const Ended = "-"

// Key is the identity of the entity without its role.
func (e Entity) Key() EntityKey { return EntityKey{e.Type, e.Value} }

// Label is what a person calls the entity.
func (e Entity) Label() string {
	if e.Name != "" {
		return e.Name
	}
	return e.Value
}

// EntityKey identifies an entity.
type EntityKey struct {
	Type  EntityType
	Value string
}

// String returns "type:value".
func (k EntityKey) String() string { return string(k.Type) + ":" + k.Value }

// Less orders keys by type and value.
func (k EntityKey) Less(o EntityKey) bool {
	if k.Type != o.Type {
		return k.Type < o.Type
	}
	return k.Value < o.Value
}

func find(es []Entity, t EntityType, r Role) (Entity, bool) {
	for _, e := range es {
		if e.Type == t && e.Role == r {
			return e, true
		}
	}
	return Entity{}, false
}
