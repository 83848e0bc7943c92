package store

import "syscall"

// diskFull are what Windows says when there is no room: ERROR_HANDLE_DISK_FULL and
// ERROR_DISK_FULL.
func diskFull() []error { return []error{syscall.Errno(39), syscall.Errno(112), syscall.ENOSPC} }
