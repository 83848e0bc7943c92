package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Who crosses from one realm into another is named twice, once in each. The names
// here are made the same, so that a session of the one is found behind that of the
// other: a user of an identity provider behind a role session of AWS, a service
// account of a cluster behind the cloud role it takes on, a key of Google's service
// accounts where it is made and where it is used.

// federated adds the identity that another realm vouched for, as that realm calls
// it: the user's name at a SAML or OIDC provider, or a service account of
// Kubernetes. It is no user of the account that it enters.
func (s *entitySet) federated(name string) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return
	}
	s.add(model.User, model.Actor, name, "", "")
}

// serviceAccountKey is the name of a service account's key without the project,
// which calls write as a number, a name or "-": "sa@p.iam.gserviceaccount.com/keys/k".
func serviceAccountKey(name string) string {
	if i := strings.LastIndex(name, "/serviceAccounts/"); i >= 0 {
		return strings.ToLower(name[i+len("/serviceAccounts/"):])
	}
	return name
}

// leased says whether a DHCP server's code means that a machine holds an address
// from then on: an acknowledgement, or a lease given or renewed by Windows' server.
func leased(code string) bool { return code == "ack" || code == "10" || code == "11" }

// leaseEntities are the machine and the address it was given; the server only tells.
func leaseEntities(e *model.Event) {
	var s entitySet
	if host := linuxHost(e.Text(model.FSrcHost)); host != "" {
		s.add(model.Host, model.Subject, host, "", "")
	}
	s.ip(model.Subject, e.Text(model.FSrcIp))
	if e.Host != "" {
		s.add(model.Host, model.Sensor, e.Host, "", "")
	}
	e.Entities = s.list
}

// managedIdentity adds the machine or service of Azure whose managed identity made a
// call, as its token names it: whoever runs code there acts as that identity.
func (s *entitySet) managedIdentity(resource string) {
	s.add(model.Resource, model.Subject, strings.ToLower(resource), "", "")
}
