package decode

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of Microsoft's entity lists.
const (
	maxMicrosoftText     = 1 << 20
	maxMicrosoftEntities = 256
	maxMicrosoftDepth    = 8
)

// microsoftEntities reads the list of entities of an alert of Microsoft's: text is
// the list as JSON text, or empty if the list stands in the record itself, at one
// of the paths. Entities name each other by "$ref" to another's "$id"; keys have
// either casing. What cannot be read names nothing.
//
// The types and their fields are those of Microsoft's "Entity types reference" for
// Sentinel and of the entities in Defender's SecurityAlert.
func microsoftEntities(text string, raw []byte, paths []string) []model.Entity {
	list := microsoftList(text, raw, paths)
	if list == nil {
		return nil
	}
	m := microsoftReader{byID: map[string]msEntity{}}
	var all []msEntity
	for _, item := range list {
		m.index(lowerKeys(item, 0), &all)
	}
	for _, e := range all {
		m.entity(e)
	}
	return m.out.list
}

// microsoftList finds the list itself.
func microsoftList(text string, raw []byte, paths []string) []any {
	if strings.HasPrefix(strings.TrimSpace(text), "[") && len(text) <= maxMicrosoftText {
		var list []any
		if json.Unmarshal([]byte(text), &list) == nil {
			return list
		}
		return nil
	}
	var record any
	if len(raw) > maxMicrosoftText || json.Unmarshal(raw, &record) != nil {
		return nil
	}
	for _, path := range paths {
		at := record
		for _, seg := range strings.Split(path, ".") {
			o, _ := at.(map[string]any)
			at = o[seg]
		}
		if list, ok := at.([]any); ok {
			return list
		}
	}
	return nil
}

// An msEntity is one entity with its keys in lower case.
type msEntity map[string]any

// lowerKeys puts the keys of all objects inside a value in lower case; of keys that
// become equal the first in order counts.
func lowerKeys(v any, depth int) any {
	if depth > maxMicrosoftDepth {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(msEntity, len(v))
		for _, k := range sortedKeys(v) {
			if lower := strings.ToLower(k); out[lower] == nil {
				out[lower] = lowerKeys(v[k], depth+1)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = lowerKeys(v[i], depth+1)
		}
		return out
	}
	return v
}

func (e msEntity) text(keys ...string) string {
	for _, k := range keys {
		if s, ok := e[k].(string); ok && strings.TrimSpace(s) != "" {
			return strings.TrimSpace(s)
		}
	}
	return ""
}

// microsoftReader makes entities of a list.
type microsoftReader struct {
	byID map[string]msEntity
	out  entitySet
}

// index lists the entities of a value and those that stand inside of them, and
// notes their ids.
func (m *microsoftReader) index(v any, all *[]msEntity) {
	if len(*all) >= maxMicrosoftEntities {
		return
	}
	switch v := v.(type) {
	case msEntity:
		if id := v.text("$id"); id != "" && m.byID[id] == nil {
			m.byID[id] = v
		}
		if v.text("type") != "" {
			*all = append(*all, v)
		}
		for _, k := range sortedKeys(v) {
			m.index(v[k], all)
		}
	case []any:
		for _, item := range v {
			m.index(item, all)
		}
	}
}

// of follows a key to another entity, whether it stands there or is referred to.
func (m *microsoftReader) of(e msEntity, key string) msEntity {
	inner, ok := e[key].(msEntity)
	if !ok {
		return nil
	}
	if ref := inner.text("$ref"); ref != "" {
		return m.byID[ref]
	}
	return inner
}

// hostName is what a host entity is called: qualified where its domain is known.
func hostName(e msEntity) string {
	name := strings.ToLower(e.text("fqdn", "hostname", "netbiosname"))
	domain := strings.ToLower(e.text("dnsdomain"))
	if name == "" || domain == "" || strings.HasSuffix(name, domain) {
		return name
	}
	return name + "." + domain
}

// path is a file entity's path.
func msPath(e msEntity) string {
	dir, name := e.text("directory"), e.text("name")
	switch {
	case dir == "" || name == "":
		return name
	case strings.Contains(dir, "/") && !strings.Contains(dir, `\`):
		return strings.TrimSuffix(dir, "/") + "/" + name
	}
	return strings.TrimSuffix(dir, `\`) + `\` + name
}

// entity adds what one entity says. Roles are those of an alert's list, which
// tells what an entity is and not what it did: hosts and accounts are what it
// happened on, addresses where it came from.
func (m *microsoftReader) entity(e msEntity) {
	host := hostName(m.of(e, "host"))
	m.out.host = host
	add := func(t model.EntityType, role model.Role, value, name string) { m.out.add(t, role, value, name, "") }
	ip := func(role model.Role, value string) {
		if entity, ok := mappedEntity(entityRule{typ: model.IP, role: role}, value, ""); ok {
			add(model.IP, role, entity.Value, "")
		}
	}
	switch strings.ToLower(e.text("type")) {
	case "host", "machine":
		device := e.text("mdatpdeviceid", "machineid", "deviceid")
		if name := firstOf(hostName(e), strings.ToLower(device)); name != "" {
			m.out.also(model.Host, model.Subject, name, e.text("azureid", "resourceid"), e.text("vmid", "vmuuid"), e.text("omsagentid"), device, e.text("azureaddeviceid", "aaddeviceid"))
		}
		add(model.Resource, model.Subject, strings.ToLower(e.text("azureid", "resourceid")), "")
	case "account", "user":
		m.account(e)
	case "ip":
		ip(model.Src, e.text("address"))
	case "process":
		m.process(e, model.Actor, host)
		if parent := m.of(e, "parentprocess"); parent != nil {
			m.process(parent, model.Parent, host)
		}
	case "file":
		if path := msPath(e); path != "" && strings.ContainsAny(path, `\/`) {
			value := strings.ToLower(path)
			if host != "" {
				value = host + ":" + value
			} else if slices.ContainsFunc(m.out.list, func(o model.Entity) bool { return o.Type == model.File && o.Name == path }) {
				break // the image of a process, whose host is known
			}
			add(model.File, model.Object, value, path)
		}
	case "filehash":
		add(model.Hash, model.Indicator, strings.ToLower(e.text("value")), "")
	case "url":
		add(model.URL, model.Indicator, e.text("url"), "")
	case "dns", "domain":
		add(model.Domain, model.Indicator, strings.ToLower(strings.TrimSuffix(e.text("domainname"), ".")), "")
		ip(model.Indicator, m.of(e, "ipaddress").text("address"))
	case "network-connection":
		ip(model.Src, m.of(e, "sourceaddress").text("address"))
		ip(model.Dst, m.of(e, "destinationaddress").text("address"))
	case "host-logon-session":
		if id := e.text("sessionid"); id != "" && host != "" {
			add(model.Session, model.Target, host+":"+strings.ToLower(id), "")
		}
	case "mailbox":
		add(model.Mailbox, model.Target, strings.ToLower(e.text("mailboxprimaryaddress", "upn")), "")
	case "mailmessage", "submissionmail":
		add(model.Mailbox, model.Target, strings.ToLower(e.text("recipient")), "")
		ip(model.Src, e.text("senderip"))
	case "azure-resource", "azureresource":
		add(model.Resource, model.Target, strings.ToLower(e.text("resourceid")), e.text("resourcename"))
	case "amazon-resource", "aws-resource":
		add(model.Resource, model.Target, e.text("amazonresourceid"), "")
	case "google-cloud-resource", "gcp-resource":
		add(model.Resource, model.Target, e.text("relatedresourcename", "resourcename"), "")
	case "cloud-application", "oauth-application":
		add(model.App, model.Target, strings.ToLower(e.text("oauthappid", "appid", "name")), e.text("name", "oauthappname"))
	case "container":
		add(model.Container, model.Subject, e.text("containerid", "name"), e.text("name"))
	case "k8s-pod", "kubernetes-pod":
		if ns := m.of(e, "namespace").text("name"); ns != "" && e.text("name") != "" {
			add(model.Pod, model.Subject, ns+"/"+e.text("name"), "")
		}
	case "k8s-namespace", "kubernetes-namespace":
		add(model.Namespace, model.Subject, e.text("name"), "")
	}
}

// account adds a user by domain, UPN or SID.
func (m *microsoftReader) account(e msEntity) {
	name, domain := e.text("name", "accountname", "displayname"), e.text("ntdomain", "domainname")
	defer m.aliases(e, len(m.out.list))
	if suffix := e.text("upnsuffix"); suffix != "" && domain == "" && name != "" && !strings.Contains(name, "@") {
		m.out.add(model.User, model.Subject, strings.ToLower(name+"@"+suffix), "", e.text("sid"))
		return
	}
	if upn := e.text("userprincipalname", "upn"); upn != "" && domain == "" {
		m.out.add(model.User, model.Subject, strings.ToLower(upn), "", e.text("sid"))
		return
	}
	switch { // accounts that every machine has for itself carry its name
	case strings.Contains(name, `\`) && domain == "":
		domain, name, _ = strings.Cut(name, `\`)
	case domain == "":
		domain = m.out.host
	}
	m.out.user(model.Subject, domain, name, e.text("sid"))
}

// aliases notes what else the account is called that was added as the last one.
func (m *microsoftReader) aliases(e msEntity, before int) {
	if len(m.out.list) == before {
		return
	}
	u := &m.out.list[before]
	upn := e.text("userprincipalname", "upn")
	if name, suffix := e.text("name", "accountname"), e.text("upnsuffix"); upn == "" && name != "" && suffix != "" && !strings.ContainsAny(name, `@\`) {
		upn = name + "@" + suffix
	}
	if strings.EqualFold(upn, u.Value) {
		upn = ""
	}
	u.Alt = joinIDs(u.Alt, strings.ToLower(upn), e.text("aaduserid"))
}

// process adds a process of a host, with its image.
func (m *microsoftReader) process(e msEntity, role model.Role, host string) {
	if host == "" {
		if host = hostName(m.of(e, "host")); host == "" {
			return // a number means nothing without its machine
		}
	}
	m.out.host = host
	image := ""
	if file := m.of(e, "imagefile"); file != nil {
		image = msPath(file)
	}
	m.out.process(role, "", e.text("processid"), image)
	if role == model.Actor && image != "" && strings.ContainsAny(image, `\/`) {
		m.out.add(model.File, model.Object, host+":"+strings.ToLower(image), image, "")
	}
}
