// Package model holds the nouns that every other package speaks: events,
// alerts, entities, incidents, links, intents and the report that tells of
// them. It does no I/O and depends on the standard library only, so that
// packages of one layer can meet here and nowhere else.
package model
