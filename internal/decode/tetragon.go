package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// tetragonID is the path that each kind of event has.
const tetragonID = "process_exec.process.exec_id|process_exit.process.exec_id|process_kprobe.process.exec_id|process_tracepoint.process.exec_id|" +
	"process_lsm.process.exec_id|process_uprobe.process.exec_id|process_loader.process.exec_id"

// tetragonShape is an event of Tetragon's JSON export (api/v1/tetragon of its
// sources): process_exec, process_exit, process_kprobe and its kin, with the
// process, its parent, and the pod that they run in.
func tetragonShape() jsonShape {
	return jsonShape{
		name:  "tetragon",
		all:   []string{tetragonID},
		times: []string{"time"},
		field: func(path string) string {
			if kind, rest, ok := strings.Cut(path, "."); ok && strings.HasPrefix(kind, "process_") {
				return rest
			}
			return path
		},
		emit: emitTetragon,
	}
}

func emitTetragon(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	kind, _, _ := strings.Cut(doc.leafOf(tetragonID).path.name, ".")
	at := func(path string) string { return doc.under(kind, path) }
	p := endpointEvent{
		process: endpointProcess{
			guid: at("process.exec_id"), pid: at("process.pid"), image: at("process.binary"), dir: at("process.cwd"),
			command: joinCommand(at("process.binary"), at("process.arguments")),
		},
		parent: endpointProcess{
			guid: at("parent.exec_id"), pid: at("parent.pid"), image: at("parent.binary"), dir: at("parent.cwd"),
			command: joinCommand(at("parent.binary"), at("parent.arguments")),
		},
		user:      unixUser(at("process.process_credentials.name"), at("process.uid")),
		namespace: at("process.pod.namespace"),
	}
	if p.parent.guid == "" {
		p.parent.guid = at("process.parent_exec_id")
	}
	p.pod = kubePod(p.namespace, at("process.pod.name"))
	p.container = containerID(firstOf(at("process.pod.container.id"), at("process.docker")))
	e.Host = linuxHost(doc.text("node_name"))
	e.Source = model.LogSource{Product: "linux", Service: "tetragon"}
	e.Code = kind
	switch kind {
	case "process_exec":
		e.Act = model.ActProcessStart
	case "process_exit":
		e.Act = model.ActProcessEnd
	case "process_loader":
		e.Act, p.file = model.ActImageLoad, at("path")
	default:
		e.Code = firstOf(at("function_name"), at("event"), kind)
		p.hooked(e, at, kind, doc)
	}
	return p.emit(w, b, e)
}

// hooked reads what a hook on a kernel function saw. Which arguments a policy asks
// for is its author's choice, so the act is told by the function and they fill in
// what they can.
func (p *endpointEvent) hooked(e *model.Event, at func(string) string, kind string, doc *jsonDoc) {
	p.file = firstOf(at("args.file_arg.path"), at("args.path_arg.path"))
	p.src, p.srcPort = at("args.sock_arg.saddr"), at("args.sock_arg.sport")
	p.dst, p.dstPort = at("args.sock_arg.daddr"), at("args.sock_arg.dport")
	p.protocol = strings.ToLower(strings.TrimPrefix(at("args.sock_arg.protocol"), "IPPROTO_"))
	if p.dst == "" {
		p.dst, p.dstPort = at("args.sockaddr_arg.addr"), at("args.sockaddr_arg.port")
	}
	call := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(e.Code, "__x64_"), "__arm64_"), "sys_")
	if p.file == "" && p.dst == "" {
		doc.each(kind+".args.string_arg", func(s string) bool { // a path, where the function takes one
			if strings.HasPrefix(s, "/") {
				p.file = s
			}
			return p.file == ""
		})
	}
	e.Act = kernelAct(call, at("args.int_arg"), p)
}

// kernelAct says what a process did when it called a function of the kernel, as
// sensors name those they hook; access is the function's mask where it takes one.
func kernelAct(call, access string, p *endpointEvent) model.Act {
	mask, _ := digits(access)
	switch call {
	case "tcp_connect", "tcp_v4_connect", "tcp_v6_connect", "connect", "security_socket_connect", "udp_sendmsg", "ip4_datagram_connect", "ip6_datagram_connect":
		if p.dst != "" {
			return model.ActConnect
		}
	case "fd_install", "open", "openat", "openat2", "security_file_open", "do_filp_open":
		if p.file != "" {
			return model.ActFileRead
		}
	case "security_file_permission", "security_mmap_file", "security_inode_permission":
		if p.file != "" && mask&2 != 0 { // MAY_WRITE of linux/fs.h
			return model.ActFileWrite
		}
		if p.file != "" {
			return model.ActFileRead
		}
	case "write", "vfs_write", "vfs_writev", "security_path_truncate", "do_truncate", "security_path_rename", "vfs_rename", "security_inode_rename",
		"security_inode_symlink", "security_inode_create", "security_path_chmod", "chmod_common", "security_path_mknod", "security_inode_mknod":
		if p.file != "" {
			return model.ActFileWrite
		}
	case "security_path_unlink", "security_inode_unlink", "do_unlinkat", "vfs_unlink", "unlink", "unlinkat":
		if p.file != "" {
			return model.ActFileDelete
		}
	case "ptrace", "security_ptrace_access_check":
		return model.ActProcessAccess
	case "process_vm_writev":
		return model.ActInject
	}
	return model.ActNone
}

// kubePod is a pod's identity, empty if its name is.
func kubePod(namespace, name string) string {
	if name == "" {
		return ""
	}
	return kubeName(namespace, name)
}

// containerID takes the runtime off a container's id: containerd://<id>.
func containerID(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
