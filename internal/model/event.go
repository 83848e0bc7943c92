package model

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// Kind is the type of a field's value in its record. Rules compare numbers as
// numbers and tell null from absent.
type Kind uint8

// The kinds of values.
const (
	String Kind = iota
	Number
	Bool
	Null
)

// A Slot is one field of an event. A field with several values has several
// slots. Text may alias the record it came from: whoever keeps it beyond the
// event's batch clones it.
type Slot struct {
	Field FieldID
	Kind  Kind
	Text  string
}

// LogSource is where an event belongs in Sigma's terms. Empty parts are unknown.
type LogSource struct {
	Product, Category, Service string
}

// Ref says where a raw record stands.
type Ref struct {
	Input  string // the path as given; "archive!member" inside an archive
	Record int64  // 1-based number of the record in its input
	Offset int64  // bytes from the start of the (uncompressed) input
}

// Subsystem is the kind of thing that an event or alert is about.
type Subsystem string

// The subsystems of the contract.
const (
	Compute     Subsystem = "compute"
	Identity    Subsystem = "identity"
	Network     Subsystem = "network"
	Storage     Subsystem = "storage"
	Database    Subsystem = "database"
	Kubernetes  Subsystem = "kubernetes"
	Application Subsystem = "application"
	Email       Subsystem = "email"
	Secrets     Subsystem = "secrets"
	Management  Subsystem = "management"
)

// An Event is one normalized record of activity: observed, without judgement.
//
// Slots, Raw and the strings of Entities may alias the batch that decoded them.
type Event struct {
	Ref    Ref
	Format string // the decoder's name, such as "evtx" or "cloudtrail"
	Source LogSource
	// Code is what the product calls this kind of event: "4688", "AssumeRole".
	Code      string
	Host      string // canonical name of the host it happened on; see Entity
	Act       Act
	Subsystem Subsystem

	// Time is the best guess of when it happened. Decoders set it from the stamps
	// below; the clock corrects it before anything that depends on order.
	Time time.Time
	// Recorded is the stamp of the record's own header, read as UTC (or in the
	// zone the user gave) where it names no zone.
	Recorded time.Time
	// Sensed is the sensor's own UTC stamp inside the event (Sysmon's UtcTime);
	// zero if there is none.
	Sensed time.Time
	// Received is when a collector took it; zero if the record does not say.
	Received time.Time

	Slots    []Slot
	Entities []Entity
	Raw      []byte // the record as it stands in its input
}

// Get returns the first value of a field and whether the event has it.
func (e *Event) Get(f FieldID) (string, bool) {
	for i := range e.Slots {
		if e.Slots[i].Field == f {
			return e.Slots[i].Text, true
		}
	}
	return "", false
}

// Text returns the first value of a field, empty if the event has none.
func (e *Event) Text(f FieldID) string {
	s, _ := e.Get(f)
	return s
}

// Find returns the value of the first entity of that type and role, and whether
// there is one.
func (e *Event) Find(t EntityType, r Role) (Entity, bool) { return find(e.Entities, t, r) }

// ID returns the event's id, see Digest.
func (e *Event) ID() string { return e.Digest().ID() }

// Digest identifies the event: the first bytes of the SHA-256 of the raw record
// and, for formats whose records carry no number of their own, of its place. The
// same record read twice, or from two copies of a file, has one digest.
func (e *Event) Digest() (d Digest) {
	h := sha256.New()
	h.Write(e.Raw)
	if !numbered[e.Format] {
		var place [20]byte
		h.Write(strconv.AppendInt(place[:0], e.Ref.Offset, 10))
	}
	var sum [sha256.Size]byte
	copy(d[:], h.Sum(sum[:0]))
	return d
}

// A Digest identifies an event in a third of the room that its id takes.
type Digest [12]byte

// ID returns the id as reports have it: "e-" and 24 hex digits.
func (d Digest) ID() string {
	b := [2 + 2*len(d)]byte{'e', '-'}
	hex.Encode(b[2:], d[:])
	return string(b[:])
}

// DigestOf returns the digest that an id stands for, and false for what is no id.
func DigestOf(id string) (d Digest, ok bool) {
	if len(id) != 2+2*len(d) || id[:2] != "e-" {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(id[2:]))
	return d, err == nil
}

// numbered are the formats whose every record carries an id or sequence number,
// so that equal bytes mean the same record wherever they stand.
var numbered = map[string]bool{"evtx": true, "windows-xml": true, "cloudtrail": true, "auditd": true}

// Act is what an event says was done, in the terms that memory, stateful
// detection and stories need, whichever product said it.
type Act uint8

// The acts. What the entities' roles mean for each is said beside it; "actor" is
// always who did it, "subject" the host or account it happened on.
const (
	ActNone           Act = iota
	ActProcessStart       // process/subject is the new one, process/parent, user/actor, session/actor, file/object = image
	ActProcessEnd         // process/subject
	ActProcessAccess      // process/actor opened process/target
	ActInject             // process/actor started a thread in, or wrote memory of, process/target
	ActImageLoad          // process/actor loaded file/object
	ActFileWrite          // process/actor created or wrote file/object
	ActFileRead           // process/actor or user/actor read file/object
	ActFileDelete         // process/actor deleted file/object
	ActRegistrySet        // process/actor set object
	ActPipe               // process/actor created or opened a named pipe
	ActConnect            // process/actor connected ip/src -> ip/dst
	ActDNS                // process/actor or ip/src asked for domain/object
	ActLogon              // user/target got session/target on host/subject, from ip/src or host/src, as asked by user/actor
	ActLogonFailed        // as ActLogon, refused
	ActLogoff             // session/target ended
	ActExplicitCreds      // user/actor used the credentials of user/target against host/dst
	ActTicket             // user/actor asked for a Kerberos ticket for app/target (a service name)
	ActServiceInstall     // app/object = service, file/object = its program
	ActTaskCreate         // app/object = task, file/object = its program
	ActRemoteExec         // user/actor started something on host/subject from host/src or ip/src (WinRM, WMI, PsExec, ssh command)
	ActAccountChange      // user/actor changed user/target (created, password, rights, group)
	ActShareAccess        // user/actor from ip/src reached a share or file/object on host/subject
	ActScript             // process/actor or user/actor ran script text
	ActLogCleared         // user/actor cleared or stopped a log
	ActConfigChange       // user/actor changed settings of resource/target
	ActAPICall            // user/actor, role/actor, access_key/actor called a management API on resource/target
	ActAssumeRole         // user/actor or role/actor got access_key/target, session/target of role/target
	ActKeyIssued          // user/actor made access_key/target (or a secret) for user/target, app/target or role/target
	ActObjectList         // actor listed resource/target
	ActObjectRead         // actor read resource/target
	ActObjectWrite        // actor wrote or changed resource/target
	ActObjectDelete       // actor deleted resource/target
	ActMailAccess         // user/actor or app/actor read mailbox/target
	ActIdentify           // host/subject is the machine that the cloud calls resource/subject
	actCount
)

var actNames = [actCount]string{"none", "process_start", "process_end", "process_access", "inject", "image_load", "file_write", "file_read", "file_delete",
	"registry_set", "pipe", "connect", "dns", "logon", "logon_failed", "logoff", "explicit_creds", "ticket", "service_install", "task_create", "remote_exec",
	"account_change", "share_access", "script", "log_cleared", "config_change", "api_call", "assume_role", "key_issued", "object_list", "object_read",
	"object_write", "object_delete", "mail_access", "identify"}

// String returns the act's name in snake case.
func (a Act) String() string {
	if a < actCount {
		return actNames[a]
	}
	return "act(" + strconv.Itoa(int(a)) + ")"
}
