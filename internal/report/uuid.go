package report

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 makes version 5 of SHA-1; nothing is kept safe by it
	"encoding/hex"
	"strings"
)

// A uuid is a name space of RFC 9562, from which names make UUIDs of version 5:
// equal names give equal ids, wherever and whenever a report is written.
type uuid [16]byte

// catenaSpace is the name space of all ids that are only ours.
var catenaSpace = uuid{0x6d, 0x1f, 0x0b, 0x52, 0x7c, 0x3e, 0x5a, 0x41, 0x9b, 0x1d, 0x2f, 0x83, 0x64, 0xc7, 0x0e, 0xa5}

// stixSpace is the name space in which STIX 2.1 (section 2.9) makes the ids of
// observables: 00abedb4-aa42-466c-9c01-fed23315a9b7.
var stixSpace = uuid{0x00, 0xab, 0xed, 0xb4, 0xaa, 0x42, 0x46, 0x6c, 0x9c, 0x01, 0xfe, 0xd2, 0x33, 0x15, 0xa9, 0xb7}

// of returns the UUID of a name, given in parts that no part can run into the next of.
func (space uuid) of(parts ...string) string {
	h := sha1.New() //nolint:gosec // see above
	_, _ = h.Write(space[:])
	_, _ = h.Write([]byte(strings.Join(parts, "\x00"))) // a hash never fails
	b := h.Sum(nil)[:16]
	b[6] = b[6]&0x0f | 0x50
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
