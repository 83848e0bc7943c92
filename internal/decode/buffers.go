package decode

// buffers keeps the memory of chunks that are done with for those to come: a chunk
// is a megabyte, which takes as long to clear as to look through. The zero value
// keeps nothing.
type buffers chan []byte

// buffersKept is how many buffers one decoder keeps; more are in use at once only
// on machines with more memory.
const buffersKept = 4

func newBuffers() buffers { return make(buffers, buffersKept) }

// get returns an empty buffer with room for n bytes or more.
func (b buffers) get(n int) []byte {
	select {
	case buf := <-b:
		if cap(buf) >= n {
			return buf[:0]
		}
	default:
	}
	return make([]byte, 0, n)
}

// put takes the memory of a chunk, unless it is odd.
func (b buffers) put(buf []byte) {
	if cap(buf) > 2*ChunkTarget {
		return
	}
	select {
	case b <- buf:
	default:
	}
}

// Release gives the chunk's memory back to the decoder that framed it, for another
// chunk. Nothing that aliases it may be used any more: no event of it, no slot. Who
// cannot be sure of that does not call it.
func (c *Chunk) Release() {
	if c.memory != nil {
		c.home.put(c.memory)
	}
	c.Data, c.memory = nil, nil
}
