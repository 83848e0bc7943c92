//go:build unix

package source

import (
	"fmt"
	"os"
	"syscall"
)

// fileID is what the file system calls a file, whatever its name: device and inode.
func fileID(info os.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%x:%x", s.Dev, s.Ino)
	}
	return ""
}
