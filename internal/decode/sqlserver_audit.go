package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// sqlServerAudit reads a record of SQL Server's audit as text, as it stands in event
// 33205 and as forwarders of that log send it on
// (https://learn.microsoft.com/en-us/sql/relational-databases/security/auditing/sql-server-audit-records):
//
//	audit_schema_version:1 event_time:2006-01-02 15:04:05.0000000 sequence_number:1 action_id:LGIF succeeded:false ...
//
// What stands behind "statement:" its author wrote, so that no other value is taken
// from there.
func (l *textLine) sqlServerAudit() bool {
	text := l.s
	if len(l.whole) > len(text) {
		text = l.whole
	}
	at := strings.Index(text, "event_time:")
	if at < 0 || !strings.Contains(text, "action_id:") {
		return false
	}
	st, n := readStamp(text[at+len("event_time:"):])
	if n == 0 {
		return false
	}
	head, statement, _ := strings.Cut(text, "statement:")
	if i := strings.LastIndex(statement, "additional_information:"); i >= 0 {
		statement = statement[:i]
	}
	action := auditValue(head, "action_id")
	if action == "" {
		return false
	}
	st.zoned = true // the record's own time is UTC
	l.when(st)
	if !l.wrapped && l.e.Recorded.IsZero() {
		return false
	}
	if l.e.Host == "" {
		server, _, _ := strings.Cut(auditValue(head, "server_instance_name"), `\`)
		l.e.Host = linuxHost(server)
	}
	user := firstOf(auditValue(head, "session_server_principal_name"), auditValue(head, "server_principal_name"))
	client := auditValue(head, "client_ip")
	if !isAddress(client) {
		client = between(text, "<address>", "</address>")
	}
	l.database("mssql", user, auditValue(head, "database_name"), client)
	l.set(l.t.objectName, auditValue(head, "object_name"))
	l.set(l.t.objectType, auditValue(head, "class_type"))
	l.set(l.t.statement, strings.TrimSpace(statement))
	l.named("action_id", action)
	l.named("succeeded", auditValue(head, "succeeded"))
	l.named("response_rows", auditValue(head, "response_rows"))
	if !l.wrapped {
		l.set(model.FMessageLower, text)
	}
	act := sqlAuditAct(head)
	if s := auditValue(head, "succeeded"); strings.EqualFold(s, "false") && act != model.ActLogonFailed {
		act = model.ActAPICall
	}
	l.is(act, action)
	return true
}
