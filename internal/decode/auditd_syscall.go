package decode

// syscallName is the name of a call of the machine that arch says, as the audit
// log writes both (numbers of asm/unistd.h). What is not known stays as it is;
// the calls that matter to security are.
func syscallName(arch, number string) string {
	if number == "" || !isDigit(number[0]) {
		return number
	}
	var name string
	switch arch {
	case "c000003e", "x86_64":
		name = syscallsX86[number]
	case "c00000b7", "aarch64":
		name = syscallsARM[number]
	}
	if name == "" {
		return number
	}
	return name
}

var syscallsX86 = map[string]string{
	"0": "read", "1": "write", "2": "open", "3": "close", "9": "mmap", "10": "mprotect", "39": "getpid", "41": "socket", "42": "connect",
	"43": "accept", "44": "sendto", "45": "recvfrom", "49": "bind", "50": "listen", "56": "clone", "57": "fork", "58": "vfork", "59": "execve",
	"60": "exit", "62": "kill", "63": "uname", "76": "truncate", "77": "ftruncate", "80": "chdir", "82": "rename", "83": "mkdir", "84": "rmdir",
	"85": "creat", "86": "link", "87": "unlink", "88": "symlink", "90": "chmod", "91": "fchmod", "92": "chown", "93": "fchown", "94": "lchown",
	"99": "sysinfo", "101": "ptrace", "102": "getuid", "103": "syslog", "105": "setuid", "106": "setgid", "112": "setsid", "113": "setreuid",
	"117": "setresuid", "119": "setresgid", "133": "mknod", "155": "pivot_root", "157": "prctl", "159": "adjtimex", "161": "chroot",
	"164": "settimeofday", "165": "mount", "166": "umount2", "169": "reboot", "170": "sethostname", "171": "setdomainname", "175": "init_module",
	"176": "delete_module", "188": "setxattr", "189": "lsetxattr", "190": "fsetxattr", "197": "removexattr", "198": "lremovexattr",
	"199": "fremovexattr", "227": "clock_settime", "231": "exit_group", "246": "kexec_load", "248": "add_key", "250": "keyctl", "257": "openat",
	"258": "mkdirat", "259": "mknodat", "260": "fchownat", "263": "unlinkat", "264": "renameat", "265": "linkat", "266": "symlinkat",
	"268": "fchmodat", "272": "unshare", "285": "fallocate", "288": "accept4", "298": "perf_event_open", "304": "open_by_handle_at",
	"308": "setns", "310": "process_vm_readv", "311": "process_vm_writev", "313": "finit_module", "316": "renameat2", "317": "seccomp",
	"319": "memfd_create", "320": "kexec_file_load", "321": "bpf", "322": "execveat", "323": "userfaultfd", "425": "io_uring_setup",
	"435": "clone3", "437": "openat2", "452": "fchmodat2",
}

var syscallsARM = map[string]string{
	"5": "setxattr", "6": "lsetxattr", "7": "fsetxattr", "14": "removexattr", "33": "mknodat", "34": "mkdirat", "35": "unlinkat",
	"36": "symlinkat", "37": "linkat", "38": "renameat", "39": "umount2", "40": "mount", "41": "pivot_root", "45": "truncate", "46": "ftruncate",
	"47": "fallocate", "49": "chdir", "51": "chroot", "52": "fchmod", "53": "fchmodat", "54": "fchownat", "55": "fchown", "56": "openat",
	"57": "close", "63": "read", "64": "write", "93": "exit", "94": "exit_group", "97": "unshare", "104": "kexec_load", "105": "init_module",
	"106": "delete_module", "112": "clock_settime", "116": "syslog", "117": "ptrace", "129": "kill", "142": "reboot", "144": "setgid",
	"145": "setreuid", "146": "setuid", "147": "setresuid", "149": "setresgid", "157": "setsid", "160": "uname", "161": "sethostname",
	"162": "setdomainname", "167": "prctl", "170": "settimeofday", "171": "adjtimex", "172": "getpid", "174": "getuid", "179": "sysinfo",
	"198": "socket", "200": "bind", "201": "listen", "202": "accept", "203": "connect", "206": "sendto", "207": "recvfrom", "217": "add_key",
	"219": "keyctl", "220": "clone", "221": "execve", "222": "mmap", "226": "mprotect", "241": "perf_event_open", "242": "accept4",
	"265": "open_by_handle_at", "268": "setns", "270": "process_vm_readv", "271": "process_vm_writev", "273": "finit_module",
	"276": "renameat2", "277": "seccomp", "279": "memfd_create", "280": "bpf", "281": "execveat", "282": "userfaultfd",
	"294": "kexec_file_load", "425": "io_uring_setup", "435": "clone3", "437": "openat2", "452": "fchmodat2",
}
