package decode

// An arena gives out blocks of memory and takes all of them back at once. The zero
// value is ready.
type arena[T any] struct {
	blocks [][]T
	used   int // how many of blocks are given out
}

// arenaKept bounds the blocks that an arena keeps for later: one odd chunk must not
// hold its memory for ever.
const arenaKept = 32

// block returns an empty slice with room for n elements or more.
func (a *arena[T]) block(n int) []T {
	if a.used == len(a.blocks) {
		a.blocks = append(a.blocks, nil)
	}
	b := a.blocks[a.used]
	if cap(b) < n {
		b = make([]T, 0, n)
		a.blocks[a.used] = b
	}
	a.used++
	return b
}

// reset takes all blocks back. They are cleared, so that they hold nothing alive.
func (a *arena[T]) reset() {
	if len(a.blocks) > arenaKept {
		clear(a.blocks[arenaKept:])
		a.blocks = a.blocks[:arenaKept]
	}
	for _, b := range a.blocks[:min(a.used, len(a.blocks))] {
		clear(b[:cap(b)])
	}
	a.used = 0
}
