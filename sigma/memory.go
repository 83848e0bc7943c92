package sigma

import "hash/maphash"

// memory is what a Matcher knows of the texts it saw last. The same few programs,
// users and hosts come again and again; what their predicates made of them is
// looked up instead of found anew. A text lives in one place, by its hash, until
// another takes it: the memory is bounded, and what it has forgotten costs time only.
type memory struct {
	seed  maphash.Seed
	place [memorySize]remembered
}

// A Matcher remembers up to memorySize texts of up to maxRemembered bytes.
const (
	memorySize    = 1 << 12
	maxRemembered = 1024
)

// remembered is what a field's predicates made of one text.
type remembered struct {
	field uint64 // fieldPlan.id; 0: nothing is remembered here
	text  []byte
	hits  []hit
}

// A hit is a predicate that a text hits, and what is known beyond that.
type hit struct {
	pred  int32
	truth truth
}

// truth is whether a text passes a test.
type truth uint8

const (
	unknown truth = iota
	refuted
	confirmed
)

func newMemory() *memory { return &memory{seed: maphash.MakeSeed()} }

// find returns the place of a value's text for a field, and whether it is
// remembered there.
func (m *memory) find(field uint64, v *value) (*remembered, bool) {
	if !v.hashed {
		v.hash, v.hashed = maphash.String(m.seed, v.text), true
	}
	r := &m.place[(v.hash^hashGram(field)>>32)%memorySize]
	return r, r.is(field, v.text)
}

func (r *remembered) is(field uint64, text string) bool {
	return r.field == field && string(r.text) == text
}

// keep makes the place remember another text.
func (r *remembered) keep(field uint64, text string, preds []int32) {
	r.field, r.text, r.hits = field, append(r.text[:0], text...), r.hits[:0]
	for _, id := range preds {
		r.hits = append(r.hits, hit{pred: id})
	}
}

// hit returns what is known of a predicate, nil if the text does not hit it.
func (r *remembered) hit(pred int32) *hit {
	for i := range r.hits {
		if r.hits[i].pred == pred {
			return &r.hits[i]
		}
	}
	return nil
}
