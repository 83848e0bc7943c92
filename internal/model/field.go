package model

import "sync"

// FieldID names a field of an event by number, so that matching a field is
// comparing two integers. Ids are handed out by Names and mean something only
// together with it, except for the well-known ones below, which are the same in
// every Names.
type FieldID uint32

// Unnamed is the id of a field whose name did not fit into its Names any more.
// Its slot carries "name\x00value", so that nothing of the record is lost.
const Unnamed FieldID = 0

// MaxFieldNames bounds a Names: field names come from evidence, and evidence is
// written by attackers.
const MaxFieldNames = 1 << 16

// Names hands out field ids. It is safe for use by many goroutines.
type Names struct {
	mu   sync.RWMutex
	ids  map[string]FieldID
	list []string
}

// NewNames returns a table that holds the well-known fields.
func NewNames() *Names {
	n := &Names{ids: make(map[string]FieldID, 1024), list: []string{""}}
	for _, name := range wellKnown {
		n.ids[name] = FieldID(len(n.list))
		n.list = append(n.list, name)
	}
	return n
}

// ID returns the id of name, giving it one if it has none yet. It returns
// Unnamed when the table is full.
func (n *Names) ID(name string) FieldID {
	n.mu.RLock()
	id, ok := n.ids[name]
	n.mu.RUnlock()
	if ok {
		return id
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.ids[name]; ok {
		return id
	}
	if len(n.list) >= MaxFieldNames || len(name) > MaxNameLen {
		return Unnamed
	}
	id = FieldID(len(n.list))
	own := string(append([]byte(nil), name...)) // the caller's string may alias a large record
	n.ids[own] = id
	n.list = append(n.list, own)
	return id
}

// MaxNameLen bounds one field name, in bytes.
const MaxNameLen = 512

// Name returns the name of id, empty for Unnamed and for ids never given.
func (n *Names) Name(id FieldID) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if int(id) < len(n.list) {
		return n.list[id]
	}
	return ""
}

// Len returns how many ids were given, the unnamed one included. Ids are dense:
// every id is less than Len.
func (n *Names) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.list)
}
