package ledger

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A sketch counts distinct things in eight bytes, by which of 64 slots their digests
// fall into. It tells few from many: exact for one, within about a tenth up to fifty,
// and no more than "hundreds" beyond manyThings. Adding is idempotent and knows no
// order, so that evidence which is read twice counts once.
type sketch uint64

// manyThings is what a full sketch counts as.
const manyThings = 300

func (s sketch) with(d digest) sketch { return s | 1<<(binary.BigEndian.Uint64(d[:])&63) }

// count estimates how many distinct things were added: with 64 slots of which z are
// empty, that is 64 ln(64/z).
func (s sketch) count() int {
	z := 64 - bits.OnesCount64(uint64(s))
	if z == 0 {
		return manyThings
	}
	return int(math.Round(64 * math.Log(64/float64(z))))
}
