package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// mysqlEnterpriseShape is an event of MySQL Enterprise Audit in its JSON format
// (https://dev.mysql.com/doc/refman/8.4/en/audit-log-file-formats.html).
func mysqlEnterpriseShape() jsonShape {
	return jsonShape{
		name:  "mysql",
		all:   []string{"class", "event", "timestamp"},
		any:   []string{"connection_id", "account.user", "login.user", "server_id|startup_data.server_id"},
		times: []string{"timestamp"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			a := mysqlAct{
				command: doc.text("general_data.sql_command|table_access_data.sql_command"), session: doc.text("connection_id"),
				user: firstOf(doc.text("login.user"), doc.text("account.user")), client: firstOf(doc.text("login.ip"), doc.text("account.host")),
				database:  firstOf(doc.text("table_access_data.db"), doc.text("connection_data.db")),
				object:    doc.text("table_access_data.table"),
				statement: firstOf(doc.text("general_data.query"), doc.text("table_access_data.query")),
				status:    firstOf(doc.text("connection_data.status"), doc.text("general_data.status")),
			}
			event := doc.text("event")
			switch class := doc.text("class"); class {
			case "connection":
				a.name = event
			case "table_access", "general", "audit":
				a.name = firstOf(a.command, event)
				if class == "table_access" {
					a.name = event // read, insert, update, delete
				}
			default:
				a.name = event
			}
			return a.emit(w, b, e)
		},
	}
}

// mysqlPerconaShape is a record of Percona's audit plugin in its JSON format
// (https://docs.percona.com/percona-server/8.0/audit-log-plugin.html).
func mysqlPerconaShape() jsonShape {
	const r = "audit_record."
	return jsonShape{
		name:  "mysql",
		all:   []string{r + "name", r + "timestamp"},
		times: []string{r + "timestamp"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			if e.Recorded.IsZero() { // "2024-03-04T10:00:01 UTC"
				e.Recorded, _ = parseStamp(strings.TrimSuffix(doc.text(r+"timestamp"), " UTC"), w.o.Zone)
			}
			user := doc.text(r + "user") // "bob[bob] @ localhost [10.0.0.8]" of a statement
			user, _, _ = strings.Cut(user, "[")
			a := mysqlAct{
				name: strings.ToLower(firstOf(doc.text(r+"command_class"), doc.text(r+"name"))), session: doc.text(r + "connection_id"), user: strings.TrimSpace(user),
				client: firstOf(doc.text(r+"ip"), doc.text(r+"host")), database: doc.text(r + "db"), statement: doc.text(r + "sqltext"), status: doc.text(r + "status"),
			}
			return a.emit(w, b, e)
		},
	}
}

// A mysqlAct is what an audit record of MySQL tells, whatever the plugin calls it.
type mysqlAct struct {
	name, command, session, user, client, database, object, statement, status string
}

// emit adds the fields that the logs of all databases share and says what was done.
func (a *mysqlAct) emit(w *jsonWorker, b *Batch, e *model.Event) error {
	e.Source = model.LogSource{Product: "mysql", Category: "database", Service: "mysql"}
	e.Subsystem = model.Database
	e.Host = "host-of-" + linuxHost(inputName(e.Ref.Input))
	e.Code = a.name
	failed := a.status != "" && a.status != "0"
	switch a.name {
	case "connect", "change_user", "change user":
		if e.Act = model.ActLogon; failed {
			e.Act = model.ActLogonFailed
		}
	case "disconnect", "quit":
		e.Act = model.ActLogoff
	case "read", "select":
		e.Act = model.ActObjectRead
	case "insert", "update", "replace", "load":
		e.Act = model.ActObjectWrite
	case "delete", "truncate", "drop_table", "drop_db":
		e.Act = model.ActObjectDelete
	case "create_user", "drop_user", "alter_user", "rename_user", "grant", "revoke", "grant_roles", "revoke_roles", "set_password":
		e.Act = model.ActAccountChange
	case "create_function", "create_procedure", "install_plugin", "uninstall_plugin", "install_component", "set_option", "create_table", "alter_table", "create_db", "shutdown":
		e.Act = model.ActConfigChange
	}
	if failed && e.Act != model.ActLogonFailed {
		e.Act = model.ActAPICall
	}
	session := a.session
	if e.Act != model.ActLogon && e.Act != model.ActLogoff {
		session = ""
	}
	for _, f := range [...]struct{ name, text string }{
		{"session_id", session}, {"object_name", a.object}, {"statement", a.statement}, {"message", a.statement}, {"error_code", a.status},
	} {
		w.add(b, f.name, f.text)
	}
	mongoWho(b, a.user, a.database, a.client)
	return emitTimed(b, e)
}
