package config

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Duration is a time span, written as 90s, 10m, 12h or 30d.
type Duration time.Duration

// String writes d as it is read.
func (d Duration) String() string {
	t := time.Duration(d)
	const day = 24 * time.Hour
	if t != 0 && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func parseDuration(s string) (Duration, error) {
	wrong := fmt.Errorf("%s is no time span; write 90s, 10m, 12h or 30d", quote(s))
	var days time.Duration
	rest := s
	if n, r, ok := strings.Cut(s, "d"); ok {
		v, err := strconv.ParseInt(n, 10, 32)
		if err != nil || v < 0 || v > 36500 {
			return 0, wrong
		}
		days, rest = time.Duration(v)*24*time.Hour, r
		if rest == "" {
			return Duration(days), nil
		}
	}
	if rest == "0" {
		return Duration(days), nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > 36500*24*time.Hour {
		return 0, wrong
	}
	return Duration(days + d), nil
}

// A Size is a number of bytes, written as 64MiB, 8GiB or a number.
type Size int64

var units = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// String writes s as it is read.
func (s Size) String() string {
	for _, u := range units[:4] {
		if s != 0 && int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func parseSize(s string) (Size, error) {
	n, unit := s, int64(1)
	for _, u := range units {
		if r, ok := strings.CutSuffix(s, u.name); ok {
			n, unit = strings.TrimSpace(r), u.size
			break
		}
	}
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil || v < 0 || v > (1<<62)/unit {
		return 0, fmt.Errorf("%s is no size; write 64MiB, 8GiB or a number of bytes", quote(s))
	}
	return Size(v * unit), nil
}

// A Secret is a password or key, or says where one is: env:NAME or file:PATH. It is
// never printed.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	switch {
	case s == "":
		return ""
	case strings.HasPrefix(string(s), "env:"), strings.HasPrefix(string(s), "file:"):
		return string(s) // where it is, is no secret
	}
	return "(hidden)"
}

// GoString hides it from %#v as well.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides it from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maxSecret bounds a secret's file.
const maxSecret = 64 << 10

// Value finds the secret itself. Of a file the last line break is left out.
func (s Secret) Value() (string, error) {
	if name, ok := strings.CutPrefix(string(s), "env:"); ok {
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("the environment variable %s of a secret is not set", quote(name))
		}
		return v, nil
	}
	path, ok := strings.CutPrefix(string(s), "file:")
	if !ok {
		return string(s), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("read a secret: %s is larger than %d bytes", quote(path), maxSecret)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// quote shows text of others, short.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	return strconv.Quote(s)
}
