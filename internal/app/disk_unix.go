//go:build unix

package app

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes the disk under dir has for this user.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:gosec,unconvert // the types differ by system
}
