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
	// Alt is another identity of the same thing: "<host>:<pid>" of a process
	// known by GUID, the SID of a user. Never shown, used to join sources.
	Alt string `json:"-"`
}

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
