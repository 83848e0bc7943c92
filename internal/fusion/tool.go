package fusion

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// everybodys are programs that administrators, users and attackers alike fetch from
// the same place, so that all have the same file: archivers, what copies to storage
// and between machines, and what administers from afar. Tools made for attacks are
// not among them: two of these in one estate are seldom a coincidence.
var everybodys = [...]string{
	"7z", "7za", "7zr", "7zg", "rar", "unrar", "winrar", "winzip", "wzzip", "zip", "tar",
	"rclone", "restic", "aws", "azcopy", "gsutil", "megacmd", "megacmdserver", "megasync", "winscp", "filezilla", "pscp", "psftp", "plink", "putty", "curl", "wget", "rsync",
	"psexec", "psexec64", "psexesvc", "procdump", "procdump64", "adexplorer", "handle", "autoruns", "tcpview", "nmap", "python", "python3", "pwsh", "powershell",
	"anydesk", "teamviewer", "screenconnect.clientservice", "atera_agent", "ateraagent", "splashtop", "ngrok", "cloudflared",
}

// common says whether a file is one that many have who have nothing to do with each
// other: an installed one, or a tool of everybody wherever it was put.
func common(a *model.Alert) bool {
	f, ok := fileOf(a)
	return ok && (stock(f) || everybodysTool(f))
}

// everybodysTool says whether a path, or a bare name, is of a tool of everybody.
func everybodysTool(path string) bool {
	name := strings.ToLower(path[strings.LastIndexAny(path, `\/`)+1:])
	name = strings.TrimSuffix(name, ".exe")
	for _, t := range everybodys {
		if name == t {
			return true
		}
	}
	return false
}
