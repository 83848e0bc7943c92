package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// m365Entities fills e.Entities of Microsoft's cloud logs.
func m365Entities(e *model.Event) {
	s := entitySet{host: e.Host}
	if e.Host != "" {
		s.add(model.Host, model.Subject, e.Host, "", "")
	}
	switch e.Format {
	case "entra", "azure":
		entraEntities(e, &s)
	case "m365":
		officeEntities(e, &s)
	case "m365-defender":
		defenderEntities(e, &s)
	case "vmconnection":
		s.ip(model.Src, e.Text(model.FSourceIp))
		s.ip(model.Dst, e.Text(model.FDestinationIp))
	}
	e.Entities = s.list
}

// upn adds a user known to Microsoft's cloud by principal name.
func (s *entitySet) upn(role model.Role, name string) {
	if name = strings.ToLower(strings.TrimSpace(name)); strings.Contains(name, "@") {
		s.add(model.User, role, name, "", "")
	}
}

// objectID notes the directory's number of the user of a role, if there is one.
func (s *entitySet) objectID(role model.Role, id string) {
	for i := range s.list {
		if s.list[i].Type == model.User && s.list[i].Role == role && !strings.Contains(id, "@") {
			s.also(model.User, role, s.list[i].Value, id)
			return
		}
	}
}

// app adds an application by its id, with the name people know it by.
func (s *entitySet) app(role model.Role, id, name string) {
	s.add(model.App, role, strings.ToLower(firstOf(id, name)), name, "")
}

// clientIP adds an address as the unified audit log writes it: with a port, or in
// brackets.
func (s *entitySet) clientIP(text string) {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		text, _, _ = strings.Cut(rest, "]")
	} else if strings.Count(text, ":") == 1 {
		text, _, _ = strings.Cut(text, ":")
	}
	s.ip(model.Src, text)
}

func entraEntities(e *model.Event, s *entitySet) {
	s.upn(model.Actor, firstOf(e.Text(model.FInitiatedByUserUserPrincipalName), e.Text(model.FPropertiesInitiatedByUserUserPrincipalName)))
	s.objectID(model.Actor, firstOf(e.Text(model.FInitiatedByUserId), e.Text(model.FPropertiesInitiatedByUserId)))
	if name := firstOf(e.Text(model.FInitiatedByAppDisplayName), e.Text(model.FPropertiesInitiatedByAppDisplayName)); name != "" {
		s.app(model.Actor, firstOf(e.Text(model.FInitiatedByAppAppId), e.Text(model.FInitiatedByAppServicePrincipalId), e.Text(model.FPropertiesInitiatedByAppAppId)), name)
	}
	s.clientIP(firstOf(e.Text(model.FInitiatedByUserIpAddress), e.Text(model.FPropertiesInitiatedByUserIpAddress), e.Text(model.FPropertiesIpAddress),
		e.Text(model.FCallerIpAddress), e.Text(model.FIPAddress)))
	switch e.Act {
	case model.ActLogon, model.ActLogonFailed:
		s.upn(model.Target, firstOf(e.Text(model.FUserPrincipalName), e.Text(model.FPropertiesUserPrincipalName), e.Text(model.FIdentity)))
		s.objectID(model.Target, firstOf(e.Text(model.FUserId), e.Text(model.FUserIdLower), e.Text(model.FPropertiesUserId)))
		s.app(model.Object, firstOf(e.Text(model.FAppId), e.Text(model.FPropertiesAppId)), firstOf(e.Text(model.FAppDisplayName), e.Text(model.FPropertiesAppDisplayName)))
		return
	}
	if c := e.Text(model.FCaller); c != "" {
		if strings.Contains(c, "@") {
			s.upn(model.Actor, c)
		} else {
			s.app(model.Actor, c, "")
		}
	}
	if e.Source.Service == "activitylogs" {
		if id := e.Text(model.FResourceId); id != "" {
			s.add(model.Resource, model.Target, strings.ToLower(id), "", "")
		}
		return
	}
	entraTargets(e, s)
}

// entraTargets adds the targets of an audit event. Their fields repeat, one a
// target, in the order in which the record has them: id, displayName, type,
// userPrincipalName; a record's order is the only tie between them.
func entraTargets(e *model.Event, s *entitySet) {
	var id, name, typ, upn string
	flush := func() {
		switch {
		case upn != "":
			s.upn(model.Target, upn)
			if strings.Contains(upn, "@") && (typ == "" || strings.EqualFold(typ, "User")) {
				s.also(model.User, model.Target, strings.ToLower(strings.TrimSpace(upn)), id)
			}
		case id == "":
		case strings.EqualFold(typ, "User"):
			s.upn(model.Target, name)
		case strings.EqualFold(typ, "Application"), strings.EqualFold(typ, "ServicePrincipal"):
			s.app(model.Target, id, name)
		case typ != "":
			s.add(model.Resource, model.Target, strings.ToLower(id), name, "")
		}
		id, name, typ, upn = "", "", "", ""
	}
	for i := range e.Slots {
		slot := &e.Slots[i]
		switch slot.Field {
		case model.FTargetResourcesId, model.FPropertiesTargetResourcesId:
			flush()
			id = slot.Text
		case model.FTargetResourcesDisplayName, model.FPropertiesTargetResourcesDisplayName:
			name = slot.Text
		case model.FTargetResourcesType, model.FPropertiesTargetResourcesType:
			typ = slot.Text
		case model.FTargetResourcesUserPrincipalName, model.FPropertiesTargetResourcesUserPrincipalName:
			upn = slot.Text
		}
	}
	flush()
}

func officeEntities(e *model.Event, s *entitySet) {
	user := e.Text(model.FUserId)
	role := model.Actor
	if e.Act == model.ActLogon || e.Act == model.ActLogonFailed {
		role = model.Target
	}
	if strings.Contains(user, "@") {
		s.upn(role, user)
	} else if user != "" && user != "Not Available" && user != "Unknown" {
		s.app(model.Actor, "", user)
	}
	s.clientIP(firstOf(e.Text(model.FClientIP), e.Text(model.FClientIPAddress), e.Text(model.FClientIPAddressX)))
	client := e.Text(model.FClientAppId)
	switch e.Act {
	case model.ActMailAccess:
		s.app(model.Actor, client, "")
		s.mailbox(firstOf(e.Text(model.FMailboxOwnerUPN), user))
	case model.ActKeyIssued, model.ActAccountChange, model.ActConfigChange:
		if o := e.Text(model.FObjectId); o != "" {
			if strings.Contains(o, "@") && !strings.ContainsAny(o, `/\`) {
				s.upn(model.Target, o)
			} else {
				s.add(model.Resource, model.Target, strings.ToLower(o), o, "")
			}
		}
		s.mailbox(e.Text(model.FMailboxOwnerUPN))
	default:
		if o := e.Text(model.FObjectId); o != "" {
			s.add(model.Resource, model.Target, strings.ToLower(o), o, "")
		}
		s.mailbox(e.Text(model.FMailboxOwnerUPN))
	}
}

// mailbox adds a mailbox by its owner's principal name.
func (s *entitySet) mailbox(owner string) {
	if strings.Contains(owner, "@") {
		s.add(model.Mailbox, model.Target, strings.ToLower(owner), "", "")
	}
}

// entraUser notes the names that the user of a role has in the directory of the cloud,
// where it is one that a machine's own account is not.
func (s *entitySet) entraUser(role model.Role, upn, id string) {
	for i := range s.list {
		e := &s.list[i]
		if e.Type == model.User && e.Role == role && strings.Contains(e.Value, `\`) && isDomainSID(e.Alt) {
			s.also(model.User, role, e.Value, strings.ToLower(upn), id)
			return
		}
	}
}

// isDomainSID says whether s is the SID of an account of a domain, a machine or a
// tenant, and not one that all machines have.
func isDomainSID(s string) bool {
	s = strings.ToUpper(s)
	return strings.HasPrefix(s, "S-1-5-21-") || strings.HasPrefix(s, "S-1-12-1-")
}

// defenderEntities reads a hunting row: device, processes, users, files, network.
// Windows product rows of devices come here too, since Format tells them.
func defenderEntities(e *model.Event, s *entitySet) {
	t := e.Text
	initiator := firstOf(t(model.FInitiatingProcessFolderPath), t(model.FInitiatingProcessFileName))
	if e.Act == model.ActProcessStart {
		s.process(model.Subject, "", t(model.FProcessId), t(model.FFolderPath))
		s.process(model.Parent, "", t(model.FInitiatingProcessId), initiator)
		s.file(t(model.FFolderPath))
	} else {
		s.process(model.Actor, "", t(model.FInitiatingProcessId), initiator)
		s.process(model.Parent, "", t(model.FInitiatingProcessParentId), t(model.FInitiatingProcessParentFileName))
	}
	if n := t(model.FInitiatingProcessAccountName); n != "" {
		s.user(model.Actor, t(model.FInitiatingProcessAccountDomain), n, t(model.FInitiatingProcessAccountSid))
		s.entraUser(model.Actor, t(model.FInitiatingProcessAccountUpn), t(model.FInitiatingProcessAccountObjectId))
	}
	s.session(model.Actor, t(model.FInitiatingProcessLogonId))
	upn := t(model.FAccountUpn)
	switch {
	case e.Act == model.ActLogon, e.Act == model.ActLogonFailed:
		s.user(model.Target, t(model.FAccountDomain), t(model.FAccountName), t(model.FAccountSid))
		s.entraUser(model.Target, upn, t(model.FAccountObjectId))
	case e.Act == model.ActProcessStart:
		s.user(model.Actor, t(model.FAccountDomain), t(model.FAccountName), t(model.FAccountSid))
	case upn != "":
		s.upn(model.Actor, upn)
		s.user(model.Actor, t(model.FAccountDomain), t(model.FAccountName), t(model.FAccountSid))
	}
	s.upn(model.Actor, t(model.FUserId))
	switch e.Act {
	case model.ActFileWrite, model.ActFileDelete, model.ActImageLoad:
		s.file(t(model.FFolderPath))
	case model.ActConnect:
		s.ip(model.Src, t(model.FLocalIP))
		s.ip(model.Dst, t(model.FRemoteIP))
		s.domain(model.Dst, t(model.FRemoteUrl))
	case model.ActMailAccess:
		s.app(model.Actor, firstOf(t(model.FOAuthAppId), t(model.FAccountObjectId)), t(model.FAccountDisplayName))
	case model.ActLogon, model.ActLogonFailed:
		s.ip(model.Src, t(model.FRemoteIP))
		s.peer(model.Src, t(model.FRemoteDeviceName))
	}
	s.hash(t(model.FSHA256))
	s.ip(model.Src, t(model.FIPAddress))
	s.peer(model.Dst, firstOf(t(model.FDestinationDeviceName)))
	s.ip(model.Dst, t(model.FDestinationIPAddress))
}
