package decode

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Auditd returns the decoder of the Linux audit log, as the kernel and auditd
// write it (linux/audit.h; auditd's type=X msg=audit(seconds.ms:serial): k=v ...),
// with or without a node or a syslog header before it, raw or enriched (after the
// byte 0x1d), and as auoms rewrites it.
//
// The records of one serial become one event. Its slots are the records' own
// fields, type and a0 and name several times where several records have them;
// values in hex are decoded. Added are SYSCALL (the call's name), CommandLine,
// Image, User, ProcessId, ParentProcessId, CurrentDirectory, TargetFilename,
// DestinationIp and DestinationPort, so that Sigma's rules of the linux
// categories see the event as well as those of service auditd.
//
// A log without node= does not say whose it is; its host is then named after the
// file, "host-of-audit.log", so that the numbers of two machines stay apart.
func Auditd(o Options) Decoder { return &auditdDecoder{newAuditFields(o.Names)} }

type auditdDecoder struct{ f *auditFields }

func (d *auditdDecoder) Name() string { return "auditd" }

func (d *auditdDecoder) Sniff(head []byte) int {
	return sniffShare(head, func(line string) bool {
		_, ok := parseAuditRecord(line)
		return ok
	}) * 90 / 100
}

func (d *auditdDecoder) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	return frameLines(r, nil, emit, bad, func(before, after []byte) bool {
		a := auditStamp(before)
		return a != nil && bytes.Equal(a, auditStamp(after))
	})
}

// auditStamp returns what stands in the brackets of audit(...).
func auditStamp(line []byte) []byte {
	_, rest, ok := bytes.Cut(line, []byte("audit("))
	if !ok {
		return nil
	}
	stamp, _, _ := bytes.Cut(rest, []byte(")"))
	return stamp
}

// Limits of the joining of records.
const (
	maxOpenSerials  = 64   // serials that may be interleaved
	maxAuditRecords = 1024 // records of one serial
	maxExecArgs     = 4096
)

func (d *auditdDecoder) Decode(c Chunk, b *Batch) {
	var (
		text = string(c.Data)
		open []*auditGroup // by first record
	)
	eachLine(c, func(raw []byte, offset, record int64) {
		b.Records++
		rec, ok := parseAuditRecord(text[offset-c.Offset:][:len(raw)])
		if !ok {
			b.Fail(offset, record, "no audit record: type= or audit(seconds:serial) is missing")
			return
		}
		for i := len(open) - 1; i >= 0; i-- {
			if g := open[i]; g.records[0].stamp == rec.stamp && g.records[0].node == rec.node && len(g.records) < maxAuditRecords {
				g.add(rec, raw, offset)
				return
			}
		}
		if len(open) == maxOpenSerials {
			d.f.emit(b, c.Input, open[0])
			open = append(open[:0], open[1:]...)
		}
		g := &auditGroup{ref: model.Ref{Input: c.Input, Record: record, Offset: offset}, data: c.Data, base: c.Offset, contiguous: true}
		g.add(rec, raw, offset)
		open = append(open, g)
	})
	for _, g := range open {
		d.f.emit(b, c.Input, g)
	}
}

// An auditGroup is the records of one serial.
type auditGroup struct {
	ref        model.Ref
	records    []auditRecord
	data       []byte // of the chunk
	base       int64  // offset of data in the input
	end        int64  // offset behind the last record's line
	lines      [][]byte
	contiguous bool
}

func (g *auditGroup) add(r auditRecord, raw []byte, offset int64) {
	if len(g.records) > 0 && len(bytes.TrimSpace(g.data[g.end-g.base:offset-g.base])) > 0 {
		g.contiguous = false
	}
	g.records = append(g.records, r)
	g.lines = append(g.lines, raw)
	g.end = offset + int64(len(raw))
}

// raw is the records as they stand in the input; others' lines between them are
// left out.
func (g *auditGroup) raw() []byte {
	if g.contiguous {
		return g.data[g.ref.Offset-g.base : g.end-g.base]
	}
	return bytes.Join(g.lines, newline)
}

// An auditRecord is one line of the log.
type auditRecord struct {
	typ, node, stamp, body string
	auoms                  bool
}

// parseAuditRecord finds the record in a line; what leads it (a syslog header,
// "audispd:", "kernel: audit:") is skipped.
func parseAuditRecord(line string) (auditRecord, bool) {
	var r auditRecord
	at := strings.Index(line, "audit(")
	if at < 0 || at > 512 {
		return r, false
	}
	head := line[:at]
	i := strings.LastIndex(head, "type=")
	if i < 0 {
		return r, false
	}
	r.typ, _, _ = strings.Cut(head[i+5:], " ")
	if j := strings.LastIndex(head[:i], "node="); j >= 0 {
		r.node, _, _ = strings.Cut(head[j+5:], " ")
	}
	stamp, body, ok := strings.Cut(line[at+6:], "):")
	if !ok || len(stamp) > 40 || r.typ == "" || len(r.typ) > 64 {
		return r, false
	}
	r.stamp, r.body = stamp, strings.TrimPrefix(body, " ")
	if name, ok := auditTypes[r.typ]; ok {
		r.typ = name
	}
	if name, ok := strings.CutPrefix(r.typ, "AUOMS_"); ok {
		r.typ, r.auoms = name, true
	}
	return r, true
}

// auditTime reads "seconds.ms:serial".
func auditTime(stamp string) (time.Time, error) {
	when, _, _ := strings.Cut(stamp, ":")
	return parseMappedTime(when, "epoch_s", time.UTC)
}

// auditTypes names the records that the kernel's own log gives by number
// (include/uapi/linux/audit.h).
var auditTypes = map[string]string{
	"1006": "LOGIN", "1100": "USER_AUTH", "1101": "USER_ACCT", "1102": "USER_MGMT", "1103": "CRED_ACQ", "1104": "CRED_DISP", "1105": "USER_START",
	"1106": "USER_END", "1107": "USER_AVC", "1108": "USER_CHAUTHTOK", "1109": "USER_ERR", "1110": "CRED_REFR", "1112": "USER_LOGIN",
	"1113": "USER_LOGOUT", "1114": "ADD_USER", "1115": "DEL_USER", "1116": "ADD_GROUP", "1117": "DEL_GROUP", "1123": "USER_CMD", "1130": "SERVICE_START",
	"1131": "SERVICE_STOP", "1300": "SYSCALL", "1302": "PATH", "1305": "CONFIG_CHANGE", "1306": "SOCKADDR", "1307": "CWD", "1309": "EXECVE",
	"1320": "EOE", "1326": "SECCOMP", "1327": "PROCTITLE", "1400": "AVC", "1701": "ANOM_ABEND",
}

// eachPair calls fn for the key=value pairs of a record: values bare, in double
// quotes, or in single quotes around pairs of their own (msg='op=... res=...').
func eachPair(s string, fn func(key, value string, quoted bool)) {
	for s != "" {
		if s = strings.TrimLeft(s, " \x1d,"); s == "" {
			return
		}
		eq := strings.IndexByte(s, '=')
		if eq < 0 {
			return
		}
		if sp := strings.LastIndexAny(s[:eq], " \x1d"); sp >= 0 { // words without a value
			s = s[sp+1:]
			eq -= sp + 1
		}
		key := strings.Trim(s[:eq], "{}()[]:")
		s = s[eq+1:]
		var value string
		switch {
		case s == "":
		case s[0] == '\'':
			end := strings.LastIndexByte(s, '\'')
			if end == 0 {
				end = len(s)
			}
			inner := s[1:end]
			s = s[min(end+1, len(s)):]
			if strings.IndexByte(inner, '=') >= 0 {
				eachPair(strings.ReplaceAll(inner, "'", ""), fn)
			} else if key != "" {
				fn(key, inner, true)
			}
			continue
		case s[0] == '"':
			end := strings.IndexByte(s[1:], '"')
			if end < 0 {
				value, s = s[1:], ""
			} else {
				value, s = s[1:end+1], s[end+2:]
			}
			if key != "" {
				fn(key, value, true)
			}
			continue
		default:
			end := strings.IndexAny(s, " \x1d")
			if end < 0 {
				end = len(s)
			}
			value, s = s[:end], s[end:]
		}
		if key != "" && len(key) <= 64 {
			fn(key, value, false)
		}
	}
}

// hexText decodes a value that the kernel writes in hex because it holds bytes
// unfit for quotes; other values stay.
func hexText(key, s string) string {
	switch key {
	case "proctitle", "name", "exe", "comm", "cwd", "key", "acct", "cmd", "data", "path", "dir", "old-name", "new-name", "file", "unit":
	default:
		return s
	}
	return unhex(s)
}

func unhex(s string) string {
	if len(s) < 2 || len(s)%2 == 1 {
		return s
	}
	for i := range len(s) {
		if !isDigit(s[i]) && (s[i] < 'A' || s[i] > 'F') {
			return s
		}
	}
	raw, err := hex.DecodeString(s)
	if err != nil {
		return s
	}
	return string(raw)
}

// auditFields are the fields of audit events that model does not name.
type auditFields struct {
	names    *model.Names
	sysName  model.FieldID // SYSCALL
	saddr    model.FieldID
	serial   model.FieldID
	node     model.FieldID
	nametype model.FieldID
}

func newAuditFields(n *model.Names) *auditFields {
	return &auditFields{names: n, sysName: n.ID("SYSCALL"), saddr: n.ID("saddr"), serial: n.ID("serial"), node: n.ID("node"), nametype: n.ID("nametype")}
}

// single emits nothing but fills e and the slots from one record alone, where
// the record comes in a wrapper (a syslog line, a Log Analytics row). It is false
// when message holds none.
func (f *auditFields) single(b *Batch, e *model.Event, message string) bool {
	rec, ok := parseAuditRecord(message)
	if !ok {
		return false
	}
	when, err := auditTime(rec.stamp)
	if err != nil {
		return false
	}
	e.Sensed = when
	f.fill(b, e, []auditRecord{rec})
	return true
}

func (f *auditFields) emit(b *Batch, input string, g *auditGroup) {
	when, err := auditTime(g.records[0].stamp)
	if err != nil {
		b.Fail(g.ref.Offset, g.ref.Record, fmt.Sprintf("audit stamp: %v", err))
		return
	}
	e := model.Event{Ref: g.ref, Format: "auditd", Raw: g.raw(), Recorded: when, Sensed: when}
	f.fill(b, &e, g.records)
	if e.Host == "" {
		e.Host = "host-of-" + linuxHost(inputName(input))
	}
	finish(&e)
	b.Emit(e)
}

// inputName is the last part of an input's path.
func inputName(path string) string { return path[strings.LastIndexAny(path, `/\!`)+1:] }

// A pathItem is one PATH record.
type pathItem struct{ name, kind string }

// An auditEvent gathers what the records of one serial say.
type auditEvent struct {
	typ                                      string // of the first record
	arch, syscall, success, exit, res, op    string
	exe, comm, cwd, proctitle, cmd, key      string
	pid, ppid, uid, auid, ses                string
	uidName, auidName, acct, id, addr, hostn string
	a                                        [4]string // of SYSCALL
	args                                     [][]byte  // of EXECVE
	paths                                    []pathItem
	dst                                      netip.AddrPort
	enabled, oldEnabled, unit, group         string
	ok                                       bool
}

// fill reads the records into slots, and e from what they say together.
func (f *auditFields) fill(b *Batch, e *model.Event, records []auditRecord) {
	e.Source = model.LogSource{Product: "linux", Service: "auditd"}
	v := auditEvent{typ: records[0].typ}
	if node := records[0].node; node != "" {
		e.Host = linuxHost(node)
		b.Slot(f.node, model.String, node)
	}
	for i := range records {
		f.record(b, e, &v, &records[i])
	}
	f.derive(b, e, &v)
	e.Subsystem = linuxSubsystem(e.Source, "")
}

// record reads one record.
func (f *auditFields) record(b *Batch, e *model.Event, v *auditEvent, r *auditRecord) {
	b.Slot(model.FTypeLower, model.String, r.typ)
	if r.auoms && r.typ == "EXECVE" {
		b.Slot(model.FTypeLower, model.String, "SYSCALL")
	}
	body := r.body
	if r.auoms {
		body = f.auoms(b, v, body)
	}
	var item pathItem
	eachPair(body, func(key, value string, quoted bool) {
		f.pair(b, e, v, r, &item, key, value, quoted)
	})
	if r.typ == "PATH" && item.name != "" {
		v.paths = append(v.paths, item)
	}
}

// pair reads one field of a record.
func (f *auditFields) pair(b *Batch, e *model.Event, v *auditEvent, r *auditRecord, item *pathItem, key, value string, quoted bool) {
	if value == "" {
		return
	}
	if !quoted {
		value = hexText(key, value)
	}
	if r.typ == "EXECVE" && !r.auoms && isExecArg(key) {
		v.arg(key, value, quoted)
		return
	}
	if key == "proctitle" {
		value = strings.TrimRight(strings.ReplaceAll(value, "\x00", " "), " ")
	}
	if key == "key" {
		if value == "(null)" {
			return
		}
		for _, k := range strings.Split(value, "\x01") {
			b.Slot(model.FKey, model.String, k)
		}
		v.key = value
		return
	}
	kind := model.String
	if _, n := number(value, len(value)); !quoted && n == len(value) {
		kind = model.Number
	}
	namedSlot(b, f.names.ID(key), key, kind, value)
	v.note(e, r, item, key, value)
}

// auoms takes the two fields of an auoms record that hold a command line as it
// is, spaces and quotes included, and returns the record without them.
func (f *auditFields) auoms(b *Batch, v *auditEvent, body string) string {
	head, tail, _ := strings.Cut(body, " redactors=")
	for _, key := range [...]string{" cmdline=", " proctitle="} {
		before, value, ok := strings.Cut(head, key)
		if !ok {
			continue
		}
		head = before
		value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
		b.Slot(f.names.ID(strings.Trim(key, " =")), model.String, value)
		if key == " cmdline=" {
			v.args = bytes.Fields([]byte(value))
			v.args = v.args[:min(len(v.args), maxExecArgs)]
			v.cmd = value
		} else {
			v.proctitle = value
		}
	}
	return head + " redactors=" + tail
}

// namedSlot adds a field whose name came from the record; see model.Unnamed.
func namedSlot(b *Batch, id model.FieldID, name string, kind model.Kind, value string) {
	if id == model.Unnamed {
		value = name + "\x00" + value
	}
	b.Slot(id, kind, value)
}

// isExecArg says whether a key of EXECVE is an argument: a0, a12, a1[0].
func isExecArg(key string) bool {
	return len(key) > 1 && key[0] == 'a' && isDigit(key[1]) && !strings.HasSuffix(key, "_len")
}

// arg adds an argument of EXECVE; long ones come in parts a1[0], a1[1].
func (v *auditEvent) arg(key, value string, quoted bool) {
	if !quoted {
		value = unhex(value)
	}
	n, digits := number(key[1:], 5)
	if digits == 0 || n >= maxExecArgs {
		return
	}
	for len(v.args) <= n {
		v.args = append(v.args, nil)
	}
	v.args[n] = append(v.args[n], value...)
}

// note keeps the values of a record that the event's meaning hangs on.
func (v *auditEvent) note(e *model.Event, r *auditRecord, item *pathItem, key, value string) {
	switch key {
	case "node":
		if e.Host == "" {
			e.Host = linuxHost(value)
		}
	case "arch":
		v.arch = value
	case "syscall":
		v.syscall = value
	case "SYSCALL":
		v.syscall = value
		v.arch = ""
	case "success":
		v.success = value
	case "exit":
		v.exit = value
	case "res", "result":
		if v.res == "" {
			v.res = value
		}
	case "op":
		v.op = value
	case "exe":
		v.exe = value
	case "comm":
		v.comm = value
	case "cwd":
		v.cwd = value
	case "proctitle":
		v.proctitle = value
	case "cmd":
		v.cmd = value
	case "pid":
		v.pid = value
	case "ppid":
		v.ppid = value
	case "uid":
		v.uid = value
	case "auid":
		v.auid = value
	case "ses":
		v.ses = value
	case "UID", "user":
		v.uidName = value
	case "AUID", "audit_user":
		v.auidName = value
	case "acct":
		v.acct = value
	case "id":
		v.id = value
	case "ID":
		v.acct = value
	case "addr":
		v.addr = value
	case "hostname":
		v.hostn = value
	case "unit":
		v.unit = value
	case "grp":
		v.group = value
	case "audit_enabled":
		v.enabled = value
	case "old":
		v.oldEnabled = value
	case "saddr":
		v.dst, v.ok = parseSockaddr(value)
	case "name":
		item.name = value
	case "nametype":
		item.kind = value
	case "a0", "a1", "a2", "a3":
		if r.typ == "SYSCALL" || r.auoms {
			v.a[key[1]-'0'] = value
		}
	}
}

// parseSockaddr reads a struct sockaddr in hex: AF_INET is 2, AF_INET6 is 10.
func parseSockaddr(s string) (netip.AddrPort, bool) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) < 8 {
		return netip.AddrPort{}, false
	}
	port := uint16(raw[2])<<8 | uint16(raw[3])
	switch {
	case raw[0] == 2 && raw[1] == 0:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port), true
	case raw[0] == 10 && raw[1] == 0 && len(raw) >= 24:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), port), true
	}
	return netip.AddrPort{}, false
}

// derive sets the event's act and the slots that Sigma's other linux categories
// ask for.
func (f *auditFields) derive(b *Batch, e *model.Event, v *auditEvent) {
	set := func(id model.FieldID, s string) {
		if s != "" && s != "?" {
			b.Slot(id, model.String, s)
		}
	}
	e.Code = v.typ
	call := ""
	if v.syscall != "" {
		call = syscallName(v.arch, v.syscall)
		if call != v.syscall || !isDigit(call[0]) {
			e.Code = call
		}
		if _, ok := b.Get(f.sysName); !ok {
			set(f.sysName, call)
		}
	}
	for i, a := range v.args {
		if i >= MaxDepth {
			break
		}
		set(f.names.ID("a"+strconv.Itoa(i)), string(a))
	}
	set(model.FImage, v.exe)
	set(model.FProcessId, v.pid)
	set(model.FParentProcessId, v.ppid)
	set(model.FCurrentDirectory, v.cwd)
	set(model.FUser, accountName(v.uidName, v.uid))
	if login := accountName(v.auidName, v.auid); login != "" {
		set(model.FLogonId, v.session())
	}
	succeeded := v.success == "yes" || v.success == "" && v.typ != "SYSCALL"
	granted := v.res == "success" || v.res == "1" || v.res == ""
	switch call {
	case "execve", "execveat":
		if cmd := v.commandLine(); cmd != "" {
			set(model.FCommandLine, cmd)
		}
		e.Source.Category = "process_creation"
		if succeeded {
			e.Act = model.ActProcessStart
		}
	case "connect":
		if v.ok {
			e.Source.Category = "network_connection"
			set(model.FDestinationIp, v.dst.Addr().String())
			set(model.FDestinationPort, strconv.Itoa(int(v.dst.Port())))
			set(model.FInitiated, "true")
			if succeeded || v.exit == "-115" || v.exit == "EINPROGRESS" {
				e.Act = model.ActConnect
			}
		}
	case "open", "openat", "openat2", "open_by_handle_at", "creat":
		e.Act = model.ActFileRead
		if v.writes(call) {
			e.Act = model.ActFileWrite
		}
	case "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "truncate", "ftruncate", "mknod", "mknodat", "mkdir", "mkdirat",
		"chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr":
		e.Act = model.ActFileWrite
	case "unlink", "unlinkat", "rmdir":
		e.Act = model.ActFileDelete
	case "ptrace":
		if pid, err := strconv.ParseUint(v.a[1], 16, 31); err == nil && pid > 0 && succeeded {
			set(model.FTargetProcessId, strconv.FormatUint(pid, 10))
			e.Act = model.ActProcessAccess
		}
	}
	switch e.Act {
	case model.ActFileRead, model.ActFileWrite, model.ActFileDelete:
		set(model.FTargetFilename, v.target())
		if !succeeded || v.target() == "" {
			e.Act = model.ActNone
		}
		switch e.Act {
		case model.ActFileWrite:
			e.Source.Category = "file_event"
		case model.ActFileDelete:
			e.Source.Category = "file_delete"
		}
	}
	user := v.acct
	if user == "" && v.id != "" {
		user = accountName("", v.id)
	}
	switch v.typ {
	case "USER_LOGIN":
		e.Act = model.ActLogon
		if !granted {
			e.Act = model.ActLogonFailed
		}
	case "USER_AUTH":
		if !granted && !strings.HasSuffix(v.exe, "/sshd") { // sshd writes USER_LOGIN of the same
			e.Act = model.ActLogonFailed
		}
	case "USER_END", "USER_LOGOUT":
		if program := baseName(v.exe); program != "sudo" && !strings.HasPrefix(strings.ToLower(program), "cron") {
			e.Act = model.ActLogoff
		}
	case "USER_CMD":
		set(model.FCommandLine, v.cmd)
		e.Source.Category = "process_creation"
		e.Act = model.ActProcessStart
		if !granted {
			e.Act = model.ActLogonFailed
		}
	case "ADD_USER", "DEL_USER", "ADD_GROUP", "DEL_GROUP", "USER_MGMT", "GRP_MGMT", "USER_CHAUTHTOK", "GRP_CHAUTHTOK", "ACCT_LOCK", "ACCT_UNLOCK", "ROLE_ASSIGN":
		if granted {
			e.Act = model.ActAccountChange
		}
		set(model.FGroup, v.group)
	case "CONFIG_CHANGE":
		if v.enabled == "0" && v.oldEnabled != "0" || v.op == "remove_rule" {
			e.Act = model.ActLogCleared
		} else {
			e.Act = model.ActConfigChange
		}
	case "DAEMON_END", "DAEMON_ABORT":
		e.Act = model.ActLogCleared
	case "SERVICE_STOP":
		if v.unit == "auditd" && granted {
			e.Act = model.ActLogCleared
		}
	}
	set(model.FTargetUserLower, user)
	if v.addr != "" && v.addr != "?" {
		set(model.FRemoteIp, v.addr)
	} else {
		set(model.FRemoteIp, v.hostn)
	}
}

// session is the audit session's number, empty where there is none.
func (v *auditEvent) session() string {
	switch v.ses {
	case "4294967295", "-1", "unset":
		return ""
	}
	return v.ses
}

// commandLine is what was run, as far as the records tell.
func (v *auditEvent) commandLine() string {
	switch {
	case v.cmd != "":
		return v.cmd
	case len(v.args) > 0:
		return string(bytes.Join(v.args, []byte{' '}))
	}
	return v.proctitle
}

// writes says whether an open may write, by its flags (O_WRONLY 1, O_RDWR 2,
// O_CREAT 0100, O_TRUNC 01000, octal) or by a file made for it.
func (v *auditEvent) writes(call string) bool {
	if call == "creat" {
		return true
	}
	for _, p := range v.paths {
		if p.kind == "CREATE" {
			return true
		}
	}
	flags := v.a[1]
	if call == "openat" || call == "open_by_handle_at" {
		flags = v.a[2]
	}
	n, err := strconv.ParseUint(flags, 16, 64)
	return call != "openat2" && err == nil && n&0o1103 != 0
}

// target is the file that a call made, removed or opened, in this order.
func (v *auditEvent) target() string {
	best, rank := "", 0
	for _, p := range v.paths {
		n := 1
		switch p.kind {
		case "CREATE":
			n = 4
		case "DELETE":
			n = 3
		case "NORMAL":
			n = 2
		case "PARENT":
			continue
		}
		if n > rank {
			best, rank = p.name, n
		}
	}
	if best == "" || best == "(null)" || best[0] == '/' || v.cwd == "" {
		return best
	}
	return strings.TrimSuffix(v.cwd, "/") + "/" + strings.TrimPrefix(best, "./")
}

// accountName is an account's name, or its number where the log has no name.
func accountName(name, uid string) string {
	switch {
	case name != "" && name != "unset" && name != "unknown" && !strings.HasPrefix(name, "unknown("):
		return name
	case uid == "0":
		return "root"
	case uid == "4294967295" || uid == "-1" || uid == "unset":
		return ""
	}
	return uid
}

// auditEntities are those of an audit event.
func auditEntities(e *model.Event) {
	l := newEntities(e)
	image := e.Text(model.FImage)
	user := e.Text(model.FUser)
	target := e.Text(model.FTargetUserLower)
	session := e.Text(model.FLogonId)
	pid := e.Text(model.FProcessId)
	switch e.Act {
	case model.ActProcessStart:
		l.user(user, model.Actor)
		if e.Code != "USER_CMD" { // the record is sudo's own, not the new process's
			l.process(pid, image, model.Subject)
			l.process(e.Text(model.FParentProcessId), "", model.Parent)
			l.file(image, model.Object)
		}
		l.askedRole(e)
		l.session(session, model.Actor)
	case model.ActLogon, model.ActLogonFailed, model.ActLogoff:
		l.user(target, model.Target)
		if e.Act != model.ActLogonFailed {
			l.session(session, model.Target)
		}
		l.remote(e.Text(model.FRemoteIp), model.Src)
		l.process(pid, image, model.Actor)
	case model.ActAccountChange:
		l.user(user, model.Actor)
		l.user(target, model.Target)
		l.process(pid, image, model.Actor)
		l.session(session, model.Actor)
	default:
		l.user(user, model.Actor)
		l.process(pid, image, model.Actor)
		l.session(session, model.Actor)
		switch e.Act {
		case model.ActConnect:
			l.ip(e.Text(model.FDestinationIp), model.Dst)
		case model.ActFileRead, model.ActFileWrite, model.ActFileDelete:
			l.file(e.Text(model.FTargetFilename), model.Object)
		case model.ActProcessAccess:
			l.process(e.Text(model.FTargetProcessId), "", model.Target)
		}
	}
	e.Entities = l.list
}
