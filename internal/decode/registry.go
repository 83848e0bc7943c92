package decode

import "github.com/catena-sec/catena/internal/model"

// A Registry is the decoders at hand, in the order of the catalog.
type Registry struct {
	decoders []Decoder
}

// NewRegistry returns a registry of decoders.
func NewRegistry(decoders ...Decoder) *Registry { return &Registry{decoders} }

// Detect returns the decoder that is surest of head, nil if none knows it.
func (r *Registry) Detect(head []byte) Decoder {
	var best Decoder
	sure := 0
	for _, d := range r.decoders {
		if n := d.Sniff(head); n > sure {
			best, sure = d, n
		}
		if sure >= 100 {
			break // nobody is surer
		}
	}
	return best
}

// Named returns the decoder of a format by its name, nil if there is none.
func (r *Registry) Named(name string) Decoder {
	for _, d := range r.decoders {
		if d.Name() == name {
			return d
		}
	}
	return nil
}

// Formats returns the names of the decoders, in the order of the catalog.
func (r *Registry) Formats() []string {
	names := make([]string, len(r.decoders))
	for i, d := range r.decoders {
		names[i] = d.Name()
	}
	return names
}

// finish sets what every event has, once its slots and stamps are known: Time is
// the sensor's own stamp where there is one, else the record's, else the
// collector's.
func finish(e *model.Event) {
	switch {
	case !e.Sensed.IsZero():
		e.Time = e.Sensed
	case !e.Recorded.IsZero():
		e.Time = e.Recorded
	default:
		e.Time = e.Received
	}
}
