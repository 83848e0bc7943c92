//go:build !windows

package store

import "syscall"

// diskFull are what the system says when there is no room.
func diskFull() []error { return []error{syscall.ENOSPC, syscall.EDQUOT} }
