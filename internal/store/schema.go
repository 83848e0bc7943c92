package store

// casesApplication and controlApplication mark the files (PRAGMA application_id).
const (
	casesApplication   = 0x43744373 // "CtCs"
	controlApplication = 0x43744374 // "CtCt"
)

// common are the tables of both files.
const common = `
	-- Documents that people made: saved hunts, views, settings. version grows by one.
	CREATE TABLE object (kind TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, body BLOB NOT NULL,
		PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
	-- Who did what. hash covers the row and the hash before it; rows are only ever added.
	CREATE TABLE audit (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL, address TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
	CREATE INDEX audit_actor ON audit (actor, seq);
	CREATE INDEX audit_object ON audit (object, seq);
	CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'audit rows stay'); END;
	CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'audit rows do not change'); END;
`

// casesMigrations returns the steps of the schema of cases. Times are microseconds since
// 1970, severities are ranks, documents are JSON in zstd.
func casesMigrations() []string {
	return []string{common + `
	-- Single values: the offset of the last commit, and what the engine keeps of itself.
	CREATE TABLE fact (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

	-- gone is set of an incident that is no more: merged (see redirect) or withdrawn. What
	-- people said (said_) is laid over what the engine wrote (told_).
	CREATE TABLE incident (num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, gone INTEGER NOT NULL DEFAULT 0,
		version INTEGER NOT NULL, edit INTEGER NOT NULL DEFAULT 1,
		severity INTEGER NOT NULL, score INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
		told_status TEXT NOT NULL, told_owner TEXT NOT NULL, told_verdict TEXT NOT NULL, said_status TEXT, said_owner TEXT, said_verdict TEXT,
		status TEXT NOT NULL AS (coalesce(said_status, told_status)) VIRTUAL, owner TEXT NOT NULL AS (coalesce(said_owner, told_owner)) VIRTUAL,
		verdict TEXT NOT NULL AS (coalesce(said_verdict, told_verdict)) VIRTUAL,
		open INTEGER NOT NULL AS (coalesce(said_status, told_status) NOT IN ('resolved', 'closed')) VIRTUAL,
		act INTEGER, arrived INTEGER, alerted INTEGER, raised INTEGER, noticed INTEGER, acknowledged INTEGER, contained INTEGER,
		title TEXT NOT NULL, brief TEXT NOT NULL) STRICT;
	CREATE INDEX incident_rank ON incident (gone, open, severity, score, last_seen, num);
	CREATE INDEX incident_last ON incident (gone, last_seen, num);
	CREATE INDEX incident_updated ON incident (gone, updated, num);
	CREATE TABLE incident_doc (incident INTEGER PRIMARY KEY, search TEXT NOT NULL, members TEXT NOT NULL, doc BLOB NOT NULL) STRICT;
	CREATE TABLE tag (kind TEXT NOT NULL, value TEXT NOT NULL, incident INTEGER NOT NULL, PRIMARY KEY (kind, value, incident)) STRICT, WITHOUT ROWID;
	CREATE INDEX tag_incident ON tag (incident);
	CREATE TABLE redirect (from_id TEXT NOT NULL PRIMARY KEY, to_id TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
	CREATE INDEX redirect_to ON redirect (to_id);
	CREATE TABLE history (incident TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, title TEXT NOT NULL, severity INTEGER NOT NULL, score INTEGER NOT NULL, alerts INTEGER NOT NULL, why TEXT NOT NULL,
		PRIMARY KEY (incident, version)) STRICT, WITHOUT ROWID;

	CREATE TABLE alert (num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, incident TEXT, time INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, severity INTEGER NOT NULL,
		rule TEXT NOT NULL, title TEXT NOT NULL, product TEXT NOT NULL, stage TEXT NOT NULL, verdict TEXT, known INTEGER NOT NULL, updated INTEGER NOT NULL, doc BLOB NOT NULL) STRICT;
	CREATE INDEX alert_time ON alert (time, num);
	CREATE INDEX alert_incident ON alert (incident, time, num);
	CREATE INDEX alert_rule ON alert (rule, time, num);
	CREATE INDEX alert_free ON alert (updated, num) WHERE incident IS NULL;

	CREATE TABLE entity (num INTEGER PRIMARY KEY, type TEXT NOT NULL, value TEXT NOT NULL, name TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, alerts INTEGER NOT NULL, incidents INTEGER NOT NULL,
		UNIQUE (type, value)) STRICT;
	CREATE INDEX entity_last ON entity (last_seen, num);
	CREATE TABLE entity_alert (entity INTEGER NOT NULL, time INTEGER NOT NULL, alert INTEGER NOT NULL, PRIMARY KEY (entity, time, alert)) STRICT, WITHOUT ROWID;
	CREATE INDEX entity_alert_alert ON entity_alert (alert);
	CREATE TABLE entity_incident (entity INTEGER NOT NULL, incident INTEGER NOT NULL, PRIMARY KEY (entity, incident)) STRICT, WITHOUT ROWID;
	CREATE INDEX entity_incident_incident ON entity_incident (incident);

	-- What people decided, in the order in which it was said.
	CREATE TABLE decision (num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, kind TEXT NOT NULL, author TEXT NOT NULL, undone_by TEXT, doc TEXT NOT NULL) STRICT;
	CREATE INDEX decision_kind ON decision (kind, num);
	CREATE TABLE decision_target (target TEXT NOT NULL, decision INTEGER NOT NULL, PRIMARY KEY (target, decision)) STRICT, WITHOUT ROWID;

	-- The outbox: seq is never given twice. A delivery is one change on its way by one route to one
	-- target; thread is what a target calls a conversation.
	CREATE TABLE change (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, incident TEXT NOT NULL, doc TEXT NOT NULL) STRICT;
	CREATE INDEX change_incident ON change (incident, seq);
	CREATE TABLE delivery (id INTEGER PRIMARY KEY AUTOINCREMENT, change INTEGER NOT NULL, route TEXT NOT NULL, target TEXT NOT NULL, key TEXT NOT NULL, state INTEGER NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL, folds INTEGER NOT NULL, told INTEGER, error TEXT NOT NULL,
		UNIQUE (change, route, target)) STRICT;
	CREATE INDEX delivery_due ON delivery (state, due, id);
	CREATE INDEX delivery_key ON delivery (route, key, state, told);
	CREATE TABLE thread (target TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (target, key)) STRICT, WITHOUT ROWID;
`}
}
