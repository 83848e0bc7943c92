package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/catena-sec/catena/internal/model"
)

// KafkaOptions are those of a Kafka. Brokers and Topics are given.
type KafkaOptions struct {
	Name, Tenant   string
	Brokers        []string
	Topics         []string
	Group          string // consumer group; "catena-NAME" if empty
	FromStart      bool   // where to begin without a committed offset: at the first record, or with what comes
	SASL           string // plain, scram-sha-256 or scram-sha-512; with User
	User, Password string
	TLS            *tls.Config // nil: no TLS
	Decoder        string      // name of the decoder, empty to find out
	Limits         Limits
	Now            func() time.Time // nil: time.Now
	Log            *slog.Logger     // nil: none
}

// Kafka consumes topics as a member of a consumer group. An offset is committed after
// the records before it are on disk. Several processes may be of one group.
//
// A crash between the two reads some records again. The batches made of them are the
// same, and known again by their ids, if the broker had no more to give in between;
// else some records are there twice.
type Kafka struct {
	Counters
	o        KafkaOptions
	unpacked int // bytes that a batch of records may unpack to
}

// NewKafka returns a consumer of topics, or why the options make none.
func NewKafka(o KafkaOptions) (*Kafka, error) {
	if len(o.Brokers) == 0 || len(o.Topics) == 0 {
		return nil, fmt.Errorf("%s: a Kafka receiver needs brokers and topics", o.Name)
	}
	if o.Group == "" {
		o.Group = "catena-" + o.Name
	}
	o.Limits = o.Limits.WithDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	k := &Kafka{o: o, unpacked: 128 << 20}
	if _, err := k.mechanism(); err != nil {
		return nil, err
	}
	return k, nil
}

// Name is the receiver's name in the configuration.
func (k *Kafka) Name() string { return k.o.Name }

func (k *Kafka) mechanism() (sasl.Mechanism, error) {
	if k.o.User == "" {
		return nil, nil
	}
	switch strings.ToLower(k.o.SASL) {
	case "", "plain":
		return saslplain.Auth{User: k.o.User, Pass: k.o.Password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: k.o.User, Pass: k.o.Password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: k.o.User, Pass: k.o.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("%s: SASL mechanism %q is not known: plain, scram-sha-256 or scram-sha-512", k.o.Name, k.o.SASL)
}

// Bounds of what is fetched: a broker may be in other hands than the engine.
const (
	kafkaFetch     = 16 << 20
	kafkaPartition = 2 << 20
	kafkaPoll      = 20_000 // records
)

// Run consumes until ctx ends.
func (k *Kafka) Run(ctx context.Context, sink Sink) error {
	begin := kgo.NewOffset().AtEnd()
	if k.o.FromStart {
		begin = kgo.NewOffset().AtStart()
	}
	opts := []kgo.Opt{
		kgo.ClientID("catena"), kgo.SeedBrokers(k.o.Brokers...), kgo.WithLogger(&kafkaLog{k}),
		kgo.ConsumerGroup(k.o.Group), kgo.ConsumeTopics(k.o.Topics...), kgo.ConsumeResetOffset(begin),
		// Offsets are committed by hand, and no partition changes hands between the sink
		// and the commit.
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxBytes(kafkaFetch), kgo.FetchMaxPartitionBytes(kafkaPartition), kgo.BrokerMaxReadBytes(4 * kafkaFetch),
		kgo.MaxDecompressBatchBytes(k.unpacked), kgo.FetchMaxWait(500 * time.Millisecond),
	}
	if k.o.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(k.o.TLS))
	}
	m, err := k.mechanism()
	if err != nil {
		return err
	}
	if m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("%s: %w", k.o.Name, err)
	}
	defer client.CloseAllowingRebalance()
	k.ping(ctx, client)
	s := &settler{name: k.o.Name, sink: sink, counts: &k.Counters, log: k.o.Log}
	for {
		fetches := client.PollRecords(ctx, kafkaPoll)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		fetches.EachError(func(topic string, partition int32, err error) { k.fetchError(client, topic, partition, err) })
		var taken []*kgo.Record
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) == 0 || ctx.Err() != nil {
				return
			}
			if k.partition(ctx, s, p) == nil {
				taken = append(taken, p.Records[len(p.Records)-1])
			}
		})
		if len(taken) > 0 {
			k.commit(ctx, client, taken)
		}
		client.AllowRebalance()
	}
}

// ping tells once when no broker lets us in: the client tries for ever, and a broker
// that refuses a password may just close the connection.
func (k *Kafka) ping(ctx context.Context, client *kgo.Client) {
	once, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := client.Ping(once); err != nil && ctx.Err() == nil {
		k.note(fmt.Errorf("no broker lets us in yet, check brokers, tls, user and password: %w", err))
		k.o.Log.Warn("kafka: no broker lets us in yet, check brokers, tls, user and password", "receiver", k.o.Name, "error", err)
	}
}

// partition hands on the records of one partition. Its error is that of ctx.
func (k *Kafka) partition(ctx context.Context, s *settler, p kgo.FetchTopicPartition) error {
	name := p.Topic + "/" + strconv.Itoa(int(p.Partition))
	first, last := p.Records[0].Offset, p.Records[len(p.Records)-1].Offset
	id := strings.Join([]string{"kafka", k.o.Group, name, strconv.FormatInt(first, 10), strconv.FormatInt(last, 10)}, "\x00")
	pack := &packer{
		sink: numbered(s.take, id), limits: k.o.Limits, counts: new(Counters), now: k.o.Now,
		base: model.Batch{Tenant: k.o.Tenant, Source: k.o.Name, Peer: clip(name, 300), Format: k.o.Decoder},
	}
	for _, r := range p.Records {
		err := addMessage(ctx, pack, r.Value, func(cause error) {
			k.Refused(1, fmt.Errorf("%s: offset %d: %w", name, r.Offset, cause))
		})
		if err != nil {
			return err
		}
	}
	return pack.flush(ctx)
}

// commit tells the group what was taken. If it cannot be told, the records come again.
func (k *Kafka) commit(ctx context.Context, client *kgo.Client, taken []*kgo.Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := client.CommitRecords(ctx, taken...); err != nil {
		err = fmt.Errorf("offsets not committed, some records will be read again: %w", err)
		k.note(err)
		k.o.Log.Warn("kafka", "receiver", k.o.Name, "error", err)
	}
}

// fetchError tells why a partition yields nothing. A batch of records that unpacks to
// too much is passed over: it would stand in the way for ever.
func (k *Kafka) fetchError(client *kgo.Client, topic string, partition int32, err error) {
	var bomb *kgo.ErrDecompressTooLarge
	switch {
	case errors.Is(err, context.Canceled):
		return
	case errors.As(err, &bomb):
		client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: bomb.Epoch, Offset: bomb.NextOffset}}})
		err = fmt.Errorf("%s/%d: the records at offsets %d to %d unpack to more than %d bytes and are passed over", topic, partition, bomb.Offset, bomb.NextOffset-1, k.unpacked)
		k.Refused(int(max(1, min(bomb.NextOffset-bomb.Offset, 1<<30))), err)
	default:
		err = fmt.Errorf("%s/%d: %w: check that the topic exists and that %q may read it", topic, partition, err, k.o.Group)
		k.note(err)
	}
	k.o.Log.Error("kafka", "receiver", k.o.Name, "error", err)
}

// kafkaLog is the client's logger: it tells there, and only there, that brokers are
// not reached or refuse a password.
type kafkaLog struct{ k *Kafka }

func (l *kafkaLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l *kafkaLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	text := "kafka client: " + clip(msg, 200)
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == "err" {
			l.k.note(fmt.Errorf("%s: %v", text, keyvals[i+1])) //nolint:errorlint // of any type, and only shown
		}
	}
	attrs := append([]any{"receiver", l.k.o.Name}, keyvals...)
	if level == kgo.LogLevelError {
		l.k.o.Log.Error(text, attrs...)
		return
	}
	l.k.o.Log.Warn(text, attrs...)
}
