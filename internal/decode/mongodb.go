package decode

import "github.com/catena-sec/catena/internal/model"

// mongoShape is a line of MongoDB's server log, JSON since 4.4
// (https://www.mongodb.com/docs/manual/reference/log-messages/): who authenticated or
// did not, who connected, and commands that were slow enough to be logged.
func mongoShape() jsonShape {
	return jsonShape{
		name:  "mongodb",
		all:   []string{"t.$date", "c", "id", "ctx", "msg"},
		times: []string{"t.$date"},
		emit:  emitMongo,
	}
}

func emitMongo(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	mongo(e, doc.text("msg"))
	client := doc.text("attr.remote")
	if client == "" {
		client = doc.text("attr.client")
	}
	switch e.Code {
	case "Authentication failed":
		e.Act = model.ActLogonFailed
	case "Authentication succeeded", "Successfully authenticated":
		e.Act = model.ActLogon
	}
	user, database := doc.text("attr.principalName"), doc.text("attr.authenticationDatabase")
	if user == "" {
		user, database = doc.text("attr.user"), doc.text("attr.db")
	}
	mongoWho(b, user, database, client)
	return emitTimed(b, e)
}

// mongoAuditShape is an entry of the audit log of MongoDB Enterprise and Atlas
// (https://www.mongodb.com/docs/manual/reference/audit-message/).
func mongoAuditShape() jsonShape {
	return jsonShape{
		name:  "mongodb",
		all:   []string{"atype", "ts.$date", "result"},
		times: []string{"ts.$date"},
		emit:  emitMongoAudit,
	}
}

func emitMongoAudit(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	mongo(e, doc.text("atype"))
	user, database := doc.text("users.user"), doc.text("users.db")
	if user == "" {
		user, database = doc.text("param.user"), doc.text("param.db")
	}
	switch e.Code {
	case "authenticate":
		if e.Act = model.ActLogon; doc.text("result") != "0" {
			e.Act = model.ActLogonFailed
		}
	case "logout":
		e.Act = model.ActLogoff
	case "createUser", "dropUser", "updateUser", "grantRolesToUser", "revokeRolesFromUser", "createRole", "dropRole", "updateRole", "grantRolesToRole", "grantPrivilegesToRole":
		e.Act = model.ActAccountChange // of param.user, by users.user
		if target := doc.text("param.user"); target != "" && target != user {
			b.Slot(model.FRuser, model.String, user)
			user = target
		}
	case "dropCollection", "dropDatabase":
		e.Act = model.ActObjectDelete
	case "auditConfigure", "replSetReconfig", "shutdown", "createCollection", "createIndex", "createDatabase", "renameCollection":
		e.Act = model.ActConfigChange
	case "authCheck": // a command, allowed or not
		switch doc.text("param.command") {
		case "find", "aggregate", "count", "distinct", "getMore":
			e.Act = model.ActObjectRead
		case "insert", "update", "delete", "findAndModify":
			e.Act = model.ActObjectWrite
		}
	}
	mongoWho(b, user, database, doc.text("remote.ip"))
	return emitTimed(b, e)
}

// mongo says whose event it is and what kind.
func mongo(e *model.Event, code string) {
	e.Source = model.LogSource{Product: "mongodb", Category: "database", Service: "mongodb"}
	e.Subsystem = model.Database
	e.Code = code
	e.Host = "host-of-" + linuxHost(inputName(e.Ref.Input)) // as Auditd: the log does not say whose it is
}

// mongoWho adds the fields that the logs of all databases share; see textEntities.
func mongoWho(b *Batch, user, database, client string) {
	ip, port := endpoint(client)
	for _, f := range [...]struct {
		id    model.FieldID
		value string
	}{{model.FUserLower, user}, {model.FDatabase, database}, {model.FRemoteIp, ip}, {model.FSrcPort, port}} {
		if f.value != "" {
			b.Slot(f.id, model.String, f.value)
		}
	}
}
