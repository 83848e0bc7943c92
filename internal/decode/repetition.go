package decode

// maxRepeated bounds how often over the bytes of a line are repeated in the events
// of its rows: a name of a megabyte before many short rows would make much of little.
const maxRepeated = 64

// A repetition counts what the rows of one line repeat of it. Names of fields and
// keys of entities are made anew for each row, so what is said once costs as often
// as there are rows.
type repetition struct {
	each int // bytes that each row repeats
	left int // bytes that may be repeated
}

// once takes one row, and reports false if there is no room for it.
func (r *repetition) once() bool {
	r.left -= r.each
	return r.left >= 0
}
