package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// macLogShape is a line of macOS' unified log as the log tool exports it (--style
// ndjson or json). The message is read as that of a syslog line of its process:
// sshd and sudo say there what they say to syslog elsewhere.
func macLogShape() jsonShape {
	return jsonShape{
		name:  "macos-log",
		all:   []string{"processImagePath", "eventMessage", "timestamp"},
		times: []string{"timestamp"},
		field: func(path string) string {
			switch path {
			case "eventMessage", "processID":
				return ""
			case "processImagePath":
				return "Image"
			}
			return path
		},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Host = firstOf(linuxHost(doc.text("hostname")), "host-of-"+linuxHost(inputName(e.Ref.Input)))
			if err := emitSyslogMessage(b, e, w.o.Names, baseName(doc.text("processImagePath")), doc.text("processID"), doc.text("eventMessage")); err != nil {
				return err
			}
			e.Source.Product = "macos"
			return emitTimed(b, e)
		},
	}
}

// eslogShape is an event of macOS' Endpoint Security as eslogger writes it: a
// message of es_message_t as JSON. It names no host, so that is named after the
// file, as with audit logs.
func eslogShape() jsonShape {
	return jsonShape{
		name:  "eslogger",
		all:   []string{"process.audit_token.pid", "event_type", "time"},
		any:   []string{"mach_time", "schema_version", "process.executable.path"},
		times: []string{"time"},
		emit:  emitESLog,
	}
}

func emitESLog(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	name := ""
	eachMember(memberText(w.text(), "event"), func(k, _ string) bool { name = k; return false })
	at := func(paths ...string) string {
		for _, path := range paths {
			if text := doc.text("event." + name + "." + path); text != "" {
				return text
			}
		}
		return ""
	}
	process := func(path string) endpointProcess {
		return endpointProcess{pid: doc.text(path + ".audit_token.pid"), image: doc.text(path + ".executable.path")}
	}
	e.Host = "host-of-" + linuxHost(inputName(e.Ref.Input))
	e.Source = model.LogSource{Product: "macos", Service: "endpointsecurity"}
	e.Code = name
	p := endpointEvent{process: process("process"), user: unixUser("", doc.text("process.audit_token.euid"))}
	p.parent.pid = firstOf(doc.text("process.parent_audit_token.pid"), doc.text("process.ppid"))
	target := "event." + name + ".target"
	success := at("success") == "true"
	logon := func() {
		e.Act = model.ActLogonFailed
		if success {
			e.Act = model.ActLogon
		}
		p.account = at("username", "to_username", "authentication_username", "account_name", "data.od.record_name")
		p.user, p.src = at("from_username"), at("source_address")
	}
	switch name {
	case "exec":
		e.Act = model.ActProcessStart
		p.parent = p.process // exec turns a process into another one of the same number
		p.process = process(target)
		if p.process.pid == p.parent.pid {
			p.parent = endpointProcess{pid: firstOf(doc.text(target+".ppid"), doc.text("process.ppid"))}
		}
		p.user = unixUser("", doc.text(target+".audit_token.euid"))
		p.process.dir = at("cwd.path")
		var words []string
		doc.each("event.exec.args", func(word string) bool {
			words = append(words, word)
			return len(words) < maxExecArgs
		})
		p.process.command = strings.Join(words, " ")
	case "exit":
		e.Act = model.ActProcessEnd
	case "create":
		e.Act, p.file = model.ActFileWrite, at("destination.existing_file.path")
		if dir := at("destination.new_path.dir.path"); dir != "" {
			p.file = strings.TrimSuffix(dir, "/") + "/" + at("destination.new_path.filename")
		}
	case "rename", "clone", "copyfile", "link":
		e.Act, p.oldFile = model.ActFileWrite, at("source.path")
		p.file = at("destination.existing_file.path", "target_file.path")
		if dir := at("destination.new_path.dir.path", "target_dir.path"); dir != "" && p.file == "" {
			p.file = strings.TrimSuffix(dir, "/") + "/" + at("destination.new_path.filename", "target_name", "target_filename")
		}
	case "write", "truncate", "setmode", "setowner", "setextattr":
		e.Act, p.file = model.ActFileWrite, at("target.path")
	case "close":
		if p.file = at("target.path"); at("modified") == "true" {
			e.Act = model.ActFileWrite
		}
	case "open":
		e.Act, p.file = model.ActFileRead, at("file.path")
	case "unlink":
		e.Act, p.file = model.ActFileDelete, at("target.path")
	case "kextload":
		e.Act, p.file = model.ActImageLoad, at("identifier")
	case "get_task", "get_task_read", "trace", "proc_suspend_resume":
		e.Act, p.target = model.ActProcessAccess, process(target)
	case "remote_thread_create":
		e.Act, p.target = model.ActInject, process(target)
	case "btm_launch_item_add":
		e.Act, p.file = model.ActServiceInstall, at("executable_path", "item.item_url")
	case "openssh_login", "login_login", "authentication", "screensharing_attach", "su":
		logon()
	case "sudo":
		logon()
		p.process.command = at("command")
		if e.Act == model.ActLogon {
			e.Act = model.ActExplicitCreds
		}
	case "lw_session_login":
		e.Act, p.account, p.user = model.ActLogon, at("username"), ""
	case "lw_session_logout", "openssh_logout", "login_logout":
		e.Act, p.account, p.user = model.ActLogoff, at("username"), ""
	case "od_create_user", "od_modify_password", "od_delete_user", "od_group_add", "od_enable_user":
		e.Act, p.account = model.ActAccountChange, at("user_name", "account_name", "member.member_value")
	case "profile_add":
		e.Act = model.ActConfigChange
	}
	return p.emit(w, b, e)
}
