// Package config is what `catena serve` can be told: one YAML file, environment
// variables and flags, all of the same names. The fields of Config carry their own
// documentation, so that the example file, the JSON Schema and the checks follow from
// one place and cannot differ.
//
// The package holds values and checks their form; whether a folder can be written or
// a server answers is found out by those who use them.
package config

import "time"

// Config is everything. Default returns it with every default filled in.
type Config struct {
	Data      string    `yaml:"data_dir" doc:"Folder of everything that is kept. It is made when missing."`
	Listen    string    `yaml:"listen" check:"address" doc:"Where the API, the console and HTTP push are served. Other than loopback needs tls, or insecure_http."`
	PublicURL string    `yaml:"public_url" check:"url" doc:"How people reach the console; links in notifications begin with it. Empty: made of listen."`
	TLS       TLS       `yaml:"tls" doc:"Certificate of listen."`
	Insecure  bool      `yaml:"insecure_http" doc:"Serve plain HTTP beyond loopback all the same, as behind a proxy that ends TLS."`
	Tenants   []Tenant  `yaml:"tenants" doc:"Tenants are wholly apart. Without any there is one, named default."`
	Receivers Receivers `yaml:"receivers" doc:"Where evidence comes from. HTTP push is always served, at listen under /ingest, and needs a token."`
	Rules     Rules     `yaml:"rules" doc:"What looks at the evidence."`
	Bus       Bus       `yaml:"bus" doc:"The durable queue. Without urls it runs inside, in the data folder."`
	Engine    Engine    `yaml:"engine" doc:"How evidence becomes incidents."`
	Retention Retention `yaml:"retention" doc:"How long what is kept. Both bounds hold, whichever comes first."`
	Access    Access    `yaml:"access" doc:"Who may do what."`
	Notify    Notify    `yaml:"notify" doc:"Who is told what."`
	Limits    Limits    `yaml:"limits" doc:"Bounds of what senders and users can ask for."`
	Log       Log       `yaml:"log" doc:"What the process says of itself, on standard error."`
	Metrics   Metrics   `yaml:"metrics" doc:"Prometheus metrics."`
	Debug     Debug     `yaml:"debug" doc:"For those who look into the process."`
}

// TLS names a certificate.
type TLS struct {
	Cert       string `yaml:"cert" doc:"PEM file of the certificate and its chain; read again when it changes."`
	Key        string `yaml:"key" doc:"PEM file of its key."`
	SelfSigned bool   `yaml:"self_signed" doc:"Make a certificate at first start and keep it in the data folder. Its fingerprint is logged."`
	ClientCA   string `yaml:"client_ca" doc:"PEM file of who may sign client certificates; senders must then show one."`
}

// Enabled says whether there is a certificate.
func (t TLS) Enabled() bool { return t.Cert != "" || t.SelfSigned }

// Tenant is one organisation.
type Tenant struct {
	ID   string `yaml:"id" check:"tenant" doc:"Small letters, digits and hyphens, at most 40; it is part of paths."`
	Name string `yaml:"name" doc:"How people call it."`
}

// Receivers are where evidence comes from.
type Receivers struct {
	OTLP    OTLP      `yaml:"otlp" doc:"OTLP logs over gRPC; over HTTP they come to listen, under /v1/logs."`
	Syslog  []Syslog  `yaml:"syslog" doc:"Syslog listeners."`
	Follow  []Follow  `yaml:"follow" doc:"Files that grow, on this machine."`
	Webhook []Webhook `yaml:"webhooks" doc:"Alerting products that post, at listen under /hooks/NAME."`
	NATS    []NATS    `yaml:"nats" doc:"Subjects of a NATS server."`
	Kafka   []Kafka   `yaml:"kafka" doc:"Topics of Kafka or what speaks its protocol."`
	S3      []S3      `yaml:"s3" doc:"Buckets that speak S3."`
}

// OTLP is the gRPC listener of OpenTelemetry logs.
type OTLP struct {
	GRPC string `yaml:"grpc" check:"address" doc:"Address, such as 127.0.0.1:4317. Empty: not served. Senders show an ingest token."`
	TLS  TLS    `yaml:"tls" doc:"Certificate; needed beyond loopback."`
}

// Syslog is one listener. Senders of syslog show no token, so the listener says whose
// evidence it is.
type Syslog struct {
	Name    string   `yaml:"name" check:"name" doc:"How reports call it."`
	Tenant  string   `yaml:"tenant" check:"tenant" doc:"Whose evidence it is."`
	Network string   `yaml:"network" one:"udp,tcp,tls" doc:"How lines come."`
	Listen  string   `yaml:"listen" check:"address" doc:"Address, such as 0.0.0.0:514."`
	TLS     TLS      `yaml:"tls" doc:"Certificate of network tls."`
	Allow   []string `yaml:"allow" check:"network" doc:"Networks that may send, such as 10.0.0.0/8. Empty: all."`
}

// Follow is a set of files.
type Follow struct {
	Name   string   `yaml:"name" check:"name" doc:"How reports call it."`
	Tenant string   `yaml:"tenant" check:"tenant" doc:"Whose evidence it is."`
	Paths  []string `yaml:"paths" doc:"Files, folders, or patterns such as /var/log/*.log."`
	Begin  string   `yaml:"begin" one:"start,end" doc:"Where to begin in files that stand there at the first start."`
	Format string   `yaml:"format" doc:"Name of the decoder; empty: found out. catena sources lists them."`
}

// Webhook is one product that posts.
type Webhook struct {
	Name   string `yaml:"name" check:"name" doc:"The last part of its path, and how reports call it."`
	Tenant string `yaml:"tenant" check:"tenant" doc:"Whose evidence it is."`
	Kind   string `yaml:"kind" one:"generic,sns,eventbridge,graph,falco,wazuh" doc:"What the product does besides posting, such as confirming a subscription."`
	Secret Secret `yaml:"secret" doc:"What the sender shows, in the header Authorization, X-Catena-Token or as an HMAC. Needed."`
	Topic  string `yaml:"topic" doc:"Of sns: the ARN of the one topic that is confirmed."`
}

// NATS is one subscription.
type NATS struct {
	Name        string   `yaml:"name" check:"name" doc:"How reports call it, and the durable consumer's name."`
	Tenant      string   `yaml:"tenant" check:"tenant" doc:"Whose evidence it is."`
	URLs        []string `yaml:"urls" check:"url" doc:"Servers, such as nats://host:4222."`
	Stream      string   `yaml:"stream" doc:"JetStream stream; empty: plain subjects, which lose what comes while nobody listens."`
	Subject     string   `yaml:"subject" doc:"What to take, such as logs.>."`
	Credentials string   `yaml:"credentials" doc:"Credentials file."`
	TLS         TLS      `yaml:"tls" doc:"Client certificate, and who signs the server's."`
}

// Kafka is one consumer group.
type Kafka struct {
	Name     string   `yaml:"name" check:"name" doc:"How reports call it."`
	Tenant   string   `yaml:"tenant" check:"tenant" doc:"Whose evidence it is."`
	Brokers  []string `yaml:"brokers" check:"address" doc:"Brokers to begin with."`
	Topics   []string `yaml:"topics" doc:"What to take."`
	Group    string   `yaml:"group" doc:"Consumer group; empty: catena-NAME."`
	Begin    string   `yaml:"begin" one:"start,end" doc:"Where to begin without a committed offset."`
	User     string   `yaml:"user" doc:"SASL user; empty: none."`
	Password Secret   `yaml:"password" doc:"SASL password."`
	SASL     string   `yaml:"sasl" one:"plain,scram-sha-256,scram-sha-512" doc:"SASL mechanism."`
	UseTLS   bool     `yaml:"use_tls" doc:"Speak TLS."`
	TLS      TLS      `yaml:"tls" doc:"Client certificate, and who signs the brokers'."`
}

// S3 is one bucket.
type S3 struct {
	Name      string   `yaml:"name" check:"name" doc:"How reports call it."`
	Tenant    string   `yaml:"tenant" check:"tenant" doc:"Whose evidence it is."`
	Endpoint  string   `yaml:"endpoint" doc:"Host of the service, such as s3.eu-central-1.amazonaws.com."`
	Region    string   `yaml:"region" doc:"Region; empty: found out."`
	Bucket    string   `yaml:"bucket" doc:"Bucket."`
	Prefix    string   `yaml:"prefix" doc:"What keys begin with."`
	Every     Duration `yaml:"every" doc:"How often the bucket is listed."`
	AccessKey string   `yaml:"access_key" doc:"Access key; empty: from the environment or the machine's role."`
	SecretKey Secret   `yaml:"secret_key" doc:"Its secret."`
	PlainHTTP bool     `yaml:"plain_http" doc:"Speak HTTP without TLS, as to a server on this machine."`
}

// Rules are what looks at the evidence.
type Rules struct {
	Dirs      []string `yaml:"dirs" doc:"Packs, folders or files of Sigma rules besides our own; read again on reload."`
	NoBuiltin bool     `yaml:"no_builtin" doc:"Leave our own rules out."`
	Disable   []string `yaml:"disable" doc:"What is switched off: rule=ID, tag=TAG, level=LEVEL, product=NAME, pack=NAME."`
	Mappings  []string `yaml:"mappings" doc:"Mapping files for further products."`
	GeoIP     []string `yaml:"geoip" doc:"MaxMind databases of places and networks."`
	Assets    string   `yaml:"assets" doc:"YAML file of what matters most, see docs/assets.md: each incident says how it stands with it."`
}

// Bus is the durable queue.
type Bus struct {
	URLs        []string `yaml:"urls" check:"url" doc:"Servers of a NATS cluster with JetStream. Empty: the queue runs inside."`
	Credentials string   `yaml:"credentials" doc:"Credentials file."`
	TLS         TLS      `yaml:"tls" doc:"Client certificate, and who signs the servers'."`
	Replicas    int      `yaml:"replicas" min:"1" max:"5" doc:"Copies of each message in a cluster."`
	MaxBytes    Size     `yaml:"max_bytes" doc:"How much evidence may wait; beyond it senders are pushed back."`
	MaxAge      Duration `yaml:"max_age" doc:"How long it may wait, by the clock of the queue's server; 0: until there is no room."`
}

// Engine is how evidence becomes incidents.
type Engine struct {
	Workers      int      `yaml:"workers" min:"0" max:"1024" doc:"Goroutines that decode and match; 0: one a core."`
	Tick         Duration `yaml:"tick" doc:"What comes within it is put in order together. Longer bears more disorder, shorter tells sooner."`
	SegmentActs  int      `yaml:"segment_acts" min:"1000" doc:"How many acts a generation of memory begins with: the engine remembers at least as many, at most twice."`
	SegmentAge   Duration `yaml:"segment_age" doc:"And for how long at least."`
	Zone         string   `yaml:"zone" check:"zone" doc:"Zone of stamps that name none."`
	QuietAfter   Duration `yaml:"quiet_after" doc:"A source that has been silent for so long, and longer than is usual for it, is told of."`
	LedgerEntity int      `yaml:"ledger_entities" min:"1000" doc:"How many entities are remembered for months, a tenant."`
}

// Retention is how long what is kept.
type Retention struct {
	Events      Duration `yaml:"events" doc:"Raw events, searchable."`
	EventsBytes Size     `yaml:"events_bytes" doc:"How much of them, a tenant."`
	Alerts      Duration `yaml:"alerts" doc:"Alerts of no incident."`
	Incidents   Duration `yaml:"incidents" doc:"Closed incidents with their alerts. 0: for good."`
	Audit       Duration `yaml:"audit" doc:"Who did what. 0: for good."`
}

// Access is who may do what.
type Access struct {
	SessionIdle Duration `yaml:"session_idle" doc:"A session that does nothing ends after."`
	SessionLife Duration `yaml:"session_life" doc:"Any session ends after."`
	Local       bool     `yaml:"local" doc:"Accounts with a password. Off: only by the providers below."`
	OIDC        []OIDC   `yaml:"oidc" doc:"Log-in by OpenID Connect."`
	Proxies     []string `yaml:"trusted_proxies" check:"network" doc:"Networks whose X-Forwarded-For is believed."`
}

// OIDC is one provider.
type OIDC struct {
	Name         string   `yaml:"name" check:"name" doc:"What the button says."`
	Issuer       string   `yaml:"issuer" check:"url" doc:"Its URL."`
	ClientID     string   `yaml:"client_id" doc:"Who we are there."`
	ClientSecret Secret   `yaml:"client_secret" doc:"And its secret, if there is one."`
	Scopes       []string `yaml:"scopes" doc:"Asked for besides openid, profile and email."`
	RoleClaim    string   `yaml:"role_claim" doc:"Claim that lists groups or roles."`
	Roles        []Role   `yaml:"roles" doc:"What its values mean here; who has none of them may not enter."`
}

// Role says what one value of a claim means.
type Role struct {
	Value  string `yaml:"value" doc:"Value of the claim; * is anybody."`
	Role   string `yaml:"role" one:"viewer,analyst,responder,administrator" doc:"What they may do."`
	Tenant string `yaml:"tenant" doc:"Where; * is everywhere."`
}

// Notify is who is told what.
type Notify struct {
	Targets    []Target    `yaml:"targets" doc:"Whom."`
	Routes     []Route     `yaml:"routes" doc:"Who is told what. Each route that fits tells its targets once."`
	Objectives []Objective `yaml:"objectives" doc:"What is promised."`
	AllowInner []string    `yaml:"allow_networks" check:"network" doc:"Networks of one's own that targets may stand in, such as 10.1.2.0/24. No others are reached."`
}

// Target is one place that people look at.
type Target struct {
	Name      string   `yaml:"name" check:"name" doc:"How routes call it."`
	Kind      string   `yaml:"kind" one:"slack,teams,pagerduty,jira,email,webhook,syslog,ntfy" doc:"What it is."`
	URL       string   `yaml:"url" doc:"Where: the address that the product gave you; of email smtp://host:587 or smtps://; of syslog udp://, tcp:// or tls://."`
	Secret    Secret   `yaml:"secret" doc:"Token, routing key, password or signing secret, as the product calls it."`
	User      string   `yaml:"user" doc:"Of email and jira: who signs in."`
	From      string   `yaml:"from" doc:"Of email: the sender."`
	To        []string `yaml:"to" doc:"Of email: the receivers; of slack with a bot token: the channel; of jira: the project or team; of ntfy: the topic."`
	PerMinute int      `yaml:"per_minute" min:"1" doc:"At most so many messages a minute; what is beyond waits."`
}

// Route says who is told what.
type Route struct {
	Name     string   `yaml:"name" check:"name" doc:"How the console calls it."`
	Targets  []string `yaml:"targets" doc:"Names of targets."`
	Tenants  []string `yaml:"tenants" doc:"Whose; empty: everybody's."`
	Kinds    []string `yaml:"kinds" one:"incident_raised,incident_grown,severity_changed,incident_merged,source_quiet,source_back,objective_burning" doc:"Of what; empty: raised, severity changed, quiet sources and burning objectives."`
	Severity string   `yaml:"severity" one:"informational,low,medium,high,critical" doc:"From which severity on."`
	Stages   []string `yaml:"stages" doc:"Stages of the kill chain that must occur; empty: any."`
	Assets   []string `yaml:"assets" doc:"Names of hosts, accounts or resources that must occur; * stands for anything."`
	When     string   `yaml:"when" doc:"A condition, such as: incident.score > 80 and \"exfiltration\" in incident.stages"`
	Hours    string   `yaml:"hours" doc:"When, such as: mon-fri 08:00-18:00; what comes at other times waits. Empty: always."`
	Zone     string   `yaml:"zone" check:"zone" doc:"Zone of hours."`
	Every    Duration `yaml:"every" doc:"What grows is told at most so often."`
}

// Objective is a promise, such as: high incidents are told within 60 s.
type Objective struct {
	Name     string   `yaml:"name" check:"name" doc:"How the console calls it."`
	Severity string   `yaml:"severity" one:"informational,low,medium,high,critical" doc:"From which severity on."`
	From     string   `yaml:"from" one:"act,arrived,alerted,raised" doc:"Which time begins it."`
	Until    string   `yaml:"until" one:"raised,noticed,acknowledged,contained" doc:"Which time ends it."`
	Within   Duration `yaml:"within" doc:"How long it may take."`
	Share    float64  `yaml:"share" doc:"For which share of incidents it must hold, such as 0.95."`
	Window   Duration `yaml:"window" doc:"Over how long it is judged."`
}

// Limits bound what senders and users can ask for.
type Limits struct {
	Body        Size `yaml:"body" doc:"One request of evidence, as sent; unpacked it may be more."`
	Line        Size `yaml:"line" doc:"One line of evidence."`
	Connections int  `yaml:"connections" min:"1" doc:"Of each listener at a time."`
	PerPeer     int  `yaml:"connections_per_peer" min:"1" doc:"Of each sender at a time."`
	Requests    int  `yaml:"requests_per_second" min:"1" doc:"Of each user of the API."`
}

// Log is what the process says of itself.
type Log struct {
	Level  string `yaml:"level" one:"debug,info,warn,error" doc:"From which level on."`
	Format string `yaml:"format" one:"text,json" doc:"Lines for people or for machines."`
}

// Metrics are Prometheus metrics.
type Metrics struct {
	Listen string `yaml:"listen" check:"address" doc:"Where /metrics is served without a token; empty: at listen, with one."`
}

// Debug is for those who look into the process.
type Debug struct {
	Pprof string `yaml:"pprof" check:"address" doc:"Loopback address where pprof is served; empty: not served."`
}

// Default returns the configuration of one who says nothing.
func Default() Config {
	return Config{
		Data: "catena-data", Listen: "127.0.0.1:8440",
		Bus:       Bus{Replicas: 3, MaxBytes: 8 << 30},
		Engine:    Engine{Tick: Duration(250 * time.Millisecond), SegmentActs: 2_000_000, SegmentAge: Duration(7 * 24 * time.Hour), Zone: "UTC", QuietAfter: Duration(time.Hour), LedgerEntity: 1_000_000},
		Retention: Retention{Events: Duration(30 * 24 * time.Hour), EventsBytes: 100 << 30, Alerts: Duration(180 * 24 * time.Hour)},
		Access:    Access{SessionIdle: Duration(12 * time.Hour), SessionLife: Duration(7 * 24 * time.Hour), Local: true},
		Limits:    Limits{Body: 64 << 20, Line: 1 << 20, Connections: 10_000, PerPeer: 200, Requests: 50},
		Log:       Log{Level: "info", Format: "text"},
	}
}

// item returns what an element of a list begins with.
func item(list string) any {
	switch list {
	case "receivers.syslog":
		return Syslog{Tenant: "default", Network: "udp"}
	case "receivers.follow":
		return Follow{Tenant: "default", Begin: "end"}
	case "receivers.webhooks":
		return Webhook{Tenant: "default", Kind: "generic"}
	case "receivers.nats":
		return NATS{Tenant: "default"}
	case "receivers.kafka":
		return Kafka{Tenant: "default", Begin: "end", SASL: "plain"}
	case "receivers.s3":
		return S3{Tenant: "default", Every: Duration(time.Minute)}
	case "access.oidc":
		return OIDC{RoleClaim: "groups"}
	case "access.oidc.roles":
		return Role{Role: "viewer", Tenant: "*"}
	case "notify.targets":
		return Target{PerMinute: 30}
	case "notify.routes":
		return Route{Severity: "high", Zone: "UTC", Every: Duration(10 * time.Minute)}
	case "notify.objectives":
		return Objective{Severity: "high", From: "alerted", Until: "noticed", Within: Duration(time.Minute), Share: 0.95, Window: Duration(30 * 24 * time.Hour)}
	}
	return nil
}
