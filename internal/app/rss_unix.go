//go:build unix

package app

import (
	"runtime"
	"syscall"
)

// peakRSS is the most memory the process held so far, in bytes.
func peakRSS() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	maxrss := int64(u.Maxrss)                              //nolint:unconvert // int32 on 32-bit systems
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" { // bytes there, KiB elsewhere
		return maxrss
	}
	return maxrss << 10
}
