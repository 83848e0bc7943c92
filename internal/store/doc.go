// Package store keeps what the always-on engine knows: cases, events, and who may see them.
//
//   - Cases is one SQLite file a tenant: incidents with their history, alerts, entities,
//     what people decided and said, and the outbox that notifiers read. The live engine
//     writes it by Commit, one transaction a round, of which each takes effect once.
//   - Control is one SQLite file: tenants, accounts, tokens, sessions, settings, audit.
//   - Events is a folder a tenant of Parquet segments with the raw records, searchable,
//     behind a write-ahead log.
//
// All that is stored was written by attackers or passed on from them: it reaches SQL as
// parameters only, every query has a bound, and every page ends in a cursor. No time is
// read from the wall clock; whoever calls says what time it is. Stored times are exact to
// the microsecond, those inside documents to the nanosecond.
package store
