package model

import "time"

// A Batch is evidence as a receiver took it: whole records of one source and one
// tenant, not decoded yet. It is what a sender is told to be safe once it is on disk.
type Batch struct {
	Tenant   string    // whose evidence it is
	ID       string    // the same when the same evidence is taken again, so that it counts once; empty if the source cannot tell
	Source   string    // name of the receiver in the configuration
	Peer     string    // who sent it: an address, a path, a topic; written by others
	Format   string    // name of the decoder, or empty to find out from Head and Data
	Received time.Time // when it was taken
	Head     []byte    // what stands before Data in a source that begins with a header, as a CSV or Zeek file does
	Data     []byte
}
