package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// traceeShape is an event of Tracee's JSON output (types/trace.Event of its
// sources): a system call or kernel hook by eventName, its arguments as a list of
// name and value. An event that a signature raised is one of its own kind, with
// the signature under metadata.
func traceeShape() jsonShape {
	return jsonShape{
		name:  "tracee",
		all:   []string{"eventName", "processName", "hostProcessId"},
		any:   []string{"args.name", "argsNum", "hostName", "syscall"},
		times: []string{"timestamp"},
		emit:  emitTracee,
	}
}

func emitTracee(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	args := map[string]string{}
	eachElement(memberText(w.text(), "args"), func(arg string) bool {
		name := jsonString(memberText(arg, "name"))
		value := memberText(arg, "value")
		if value != "" && value[0] != '{' && value[0] != '[' {
			value = jsonString(value)
		}
		if name != "" && len(args) < 64 {
			args[name] = value
			w.add(b, "args."+name, value)
		}
		return true
	})
	p := endpointEvent{
		process:   endpointProcess{pid: doc.text("hostProcessId"), image: firstOf(args["pathname"], doc.text("executable.path"))},
		parent:    endpointProcess{pid: doc.text("hostParentProcessId")},
		user:      unixUser("", doc.text("userId")),
		container: firstOf(doc.text("containerId"), doc.text("container.id")),
		namespace: firstOf(doc.text("podNamespace"), doc.text("kubernetes.podNamespace")),
	}
	p.pod = kubePod(p.namespace, firstOf(doc.text("podName"), doc.text("kubernetes.podName")))
	e.Host = linuxHost(doc.text("hostName"))
	e.Source = model.LogSource{Product: "linux", Service: "tracee"}
	e.Code = doc.text("eventName")
	switch e.Code {
	case "sched_process_exec", "execve", "execveat":
		var words []string
		eachElement(firstOf(args["argv"], args["args"]), func(arg string) bool {
			words = append(words, jsonString(arg))
			return len(words) < maxExecArgs
		})
		p.process.command = strings.Join(words, " ")
		if e.Code == "sched_process_exec" { // the calls are only attempts
			e.Act = model.ActProcessStart
		} else {
			e.Source.Category = "process_creation"
		}
	case "sched_process_exit":
		e.Act = model.ActProcessEnd
	default:
		p.process.image = firstOf(doc.text("executable.path"), doc.text("processName"))
		p.file = firstOf(args["pathname"], args["file_path"], args["new_path"])
		p.oldFile = args["old_path"]
		p.address(firstOf(args["remote_addr"], args["addr"]))
		if p.dst == "" {
			p.dst, p.dstPort = args["dst"], args["dst_port"]
		}
		p.domain = firstOf(args["query"], args["dst_dns"])
		e.Act = traceeAct(e.Code, &p)
		if flags := args["flags"]; e.Act == model.ActFileRead && (strings.Contains(flags, "O_WRONLY") || strings.Contains(flags, "O_RDWR") || strings.Contains(flags, "O_CREAT")) {
			e.Act = model.ActFileWrite
		}
	}
	return p.emit(w, b, e)
}

// traceeAct says what an event of Tracee tells.
func traceeAct(name string, p *endpointEvent) model.Act {
	switch name {
	case "magic_write", "file_modification":
		return model.ActFileWrite
	case "net_packet_dns_request", "net_packet_dns":
		if p.domain != "" {
			return model.ActDNS
		}
		return model.ActNone
	case "net_tcp_connect":
		name = "tcp_connect"
	}
	return kernelAct(name, "", p)
}

// address reads a socket address, which Tracee writes as an object of strings.
func (p *endpointEvent) address(value string) {
	if !strings.HasPrefix(value, "{") {
		return
	}
	p.dst = firstOf(jsonString(memberText(value, "sin_addr")), jsonString(memberText(value, "sin6_addr")))
	p.dstPort = firstOf(jsonString(memberText(value, "sin_port")), jsonString(memberText(value, "sin6_port")))
}
