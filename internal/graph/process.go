package graph

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// slack is how far the stamps of one act may lie apart in two sensors.
const slack = 2 * time.Second

// runs says whether a process may have acted at t. What was never seen to start
// may have run before it was first seen.
func (n *node) runs(t time.Time) bool {
	if n.exact && t.Before(n.start.Add(-slack)) {
		return false
	}
	return n.end.IsZero() || !t.After(n.end.Add(slack))
}

// instanceAt returns the youngest of the instances that ran at t.
func instanceAt(list []*node, t time.Time) *node {
	for i := len(list) - 1; i >= 0; i-- {
		if n := list[i]; !n.gone && n.runs(t) {
			return n
		}
	}
	return nil
}

// started returns the node of a process whose start is reported at t. Two sensors
// report one start moments apart; the same number later is another process.
func (m *Memory) started(e model.Entity, t time.Time) *node {
	key := m.names.key(e, t)
	pid := key.Value
	byNumber := hostPID(pid)
	if !byNumber {
		pid = m.names.prefixed(e.Alt)
	}
	same := func(n *node) bool {
		if !byNumber && !hostPID(n.key.Value) && n.key != key {
			return false // two GUIDs are two processes
		}
		d := n.start.Sub(t)
		return d <= slack && d >= -slack && (e.Name == "" || n.name == "" || strings.EqualFold(base(e.Name), base(n.name)))
	}
	var n *node
	if !byNumber {
		n = m.nodes[key]
	}
	list := m.pids[pid]
	for i := len(list) - 1; n == nil && i >= 0 && i >= len(list)-4; i-- {
		if x := list[i]; !x.gone && same(x) {
			n = x
		}
	}
	if n == nil {
		for _, x := range list {
			if x.end.IsZero() {
				x.end = t.Add(-slack) // its number was given away, so it has ended
			}
		}
		n = m.create(e, t)
	}
	m.alias(n, e, t)
	if !n.exact {
		n.start, n.exact = t, true
	}
	n.seen++
	if e.Name != "" {
		n.name = e.Name
	}
	if t.After(n.last) {
		n.last = t
	}
	return n
}

// hostPID says whether a process value is of the form "<host>:<pid>".
func hostPID(v string) bool {
	i := strings.LastIndexByte(v, ':')
	if i <= 0 || i == len(v)-1 {
		return false
	}
	for _, c := range v[i+1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func hostPrefix(v string) string {
	if i := strings.IndexByte(v, ':'); i > 0 {
		return v[:i]
	}
	return ""
}

// base is the last part of a Windows or POSIX path, in lower case.
func base(path string) string {
	return strings.ToLower(path[strings.LastIndexAny(path, `\/`)+1:])
}

func folder(path string) string {
	return strings.ToLower(path[:strings.LastIndexAny(path, `\/`)+1])
}

// ancestors that start everything on a machine: that two processes share one says
// nothing, and a story begins below them.
const commonAncestors = " services.exe svchost.exe wininit.exe winlogon.exe csrss.exe smss.exe lsass.exe lsm.exe explorer.exe userinit.exe" +
	" taskhostw.exe taskhost.exe taskeng.exe sihost.exe runtimebroker.exe dllhost.exe wmiprvse.exe dwm.exe fontdrvhost.exe ntoskrnl.exe system registry idle" +
	" systemd init sshd cron crond atd login kthreadd gdm gnome-shell gnome-session-binary gnome-session launchd dockerd containerd containerd-shim containerd-shim-runc-v2 runc "

// downloaders write files of every origin: that one wrote a file does not make
// its other acts part of what the file does.
const downloaders = " msedge.exe chrome.exe firefox.exe iexplore.exe brave.exe opera.exe outlook.exe thunderbird.exe olk.exe teams.exe ms-teams.exe" +
	" microsoftedgecp.exe onedrive.exe msiexec.exe 7zg.exe winrar.exe "

func listed(list, name string) bool {
	return name != "" && !strings.ContainsRune(name, ' ') && strings.Contains(list, " "+name+" ")
}

// common says whether a process is a common ancestor by its image. The name alone
// proves nothing when the image lies where users can write.
func (n *node) common() bool {
	if n.key.Type != model.Process || !listed(commonAncestors, base(n.name)) {
		return false
	}
	dir := folder(n.name)
	if dir == "" {
		return true
	}
	for _, d := range []string{`:\windows\`, `\systemroot\`, `/usr/`, `/sbin/`, `/bin/`, `/lib/`, `/snap/`, `/system/`} {
		if i := strings.Index(dir, d); i >= 0 && i <= 2 {
			return !strings.Contains(dir, `\temp\`)
		}
	}
	return false
}

func (n *node) downloader() bool {
	return n.key.Type == model.Process && listed(downloaders, base(n.name))
}
