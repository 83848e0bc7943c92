package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/catena-sec/catena/internal/model"
)

// S3Options are those of an S3. Endpoint, Bucket and Cursor are given.
type S3Options struct {
	Name, Tenant string
	Endpoint     string // host, or host:port
	Region       string // found out if empty
	Bucket       string
	Prefix       string
	AccessKey    string // empty: from the environment, the AWS configuration file, or the machine's role
	SecretKey    string
	PlainHTTP    bool
	Every        time.Duration // between two listings; default 1 min
	Cursor       string        // path of the file that remembers what was taken
	// Since leaves objects alone that were last modified before it.
	Since   time.Time
	Decoder string // name of the decoder, empty to find out
	Format  Format
	// Limits.Body is 5 GiB by default here, and Limits.Unpacked 64 GiB: objects are read
	// as a stream. Limits.Slow is how long an object may yield nothing.
	Limits    Limits
	Transport http.RoundTripper // nil: the client's own
	Now       func() time.Time  // nil: time.Now
	Log       *slog.Logger      // nil: none
}

// S3 takes the objects of a bucket, those that are there and those that come: found
// by listing, and at once where the server notifies as MinIO does. Objects may be
// compressed, or archives. Which were taken is kept in a file, written after their
// evidence is on disk; one that is interrupted is read again from its start, in the
// same batches under the same ids. An object that is written anew is read anew.
//
// The whole prefix is listed each time. For a bucket of millions choose a prefix that
// changes with time, or let old objects expire.
type S3 struct {
	Counters
	o      S3Options
	client *minio.Core

	mu       sync.Mutex
	attempts map[s3Object]int
}

// NewS3 returns a reader of a bucket, or why the options make none.
func NewS3(o S3Options) (*S3, error) {
	if o.Endpoint == "" || o.Bucket == "" || o.Cursor == "" {
		return nil, fmt.Errorf("%s: an S3 receiver needs an endpoint, a bucket and a file for its cursor", o.Name)
	}
	orDefault(&o.Every, time.Minute)
	orDefault(&o.Limits.Body, 5<<30)
	orDefault(&o.Limits.Unpacked, 64<<30)
	o.Limits = o.Limits.WithDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	creds := credentials.NewStaticV4(o.AccessKey, o.SecretKey, "")
	if o.AccessKey == "" {
		creds = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		})
	}
	client, err := minio.NewCore(o.Endpoint, &minio.Options{
		Creds: creds, Secure: !o.PlainHTTP, Region: o.Region, Transport: o.Transport, MaxRetries: 3,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: endpoint %q: %w", o.Name, clip(o.Endpoint, 200), err)
	}
	return &S3{o: o, client: client, attempts: map[s3Object]int{}}, nil
}

// Name is the receiver's name in the configuration.
func (s *S3) Name() string { return s.o.Name }

const (
	s3Workers  = 4 // objects read at once: most of their time is spent waiting
	s3Attempts = 5 // after which an object that cannot be read is passed over
)

// Run takes objects until ctx ends.
func (s *S3) Run(ctx context.Context, sink Sink) error {
	cursor, err := openS3Cursor(s.o.Cursor, strings.Join([]string{s.o.Endpoint, s.o.Bucket, s.o.Prefix}, "\x00"))
	if err != nil {
		return fmt.Errorf("%s: cursor: %w", s.o.Name, err)
	}
	defer func() {
		if err := cursor.close(); err != nil {
			s.o.Log.Warn("cursor not closed", "receiver", s.o.Name, "error", err)
		}
	}()
	settle := &settler{name: s.o.Name, sink: sink, counts: &s.Counters, log: s.o.Log}
	notified := make(chan string, 1024)
	listening := make(chan struct{})
	go func() { defer close(listening); s.listen(ctx, notified) }()
	defer func() { <-listening }()
	list := time.NewTimer(0)
	defer list.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case key := <-notified:
			s.single(ctx, settle, cursor, key)
		case <-list.C:
			if err := s.pass(ctx, settle, cursor); err != nil && ctx.Err() == nil {
				s.trouble(fmt.Errorf("bucket %s: %w", clip(s.o.Bucket, 100), err))
			}
			list.Reset(s.o.Every)
		}
	}
}

func (s *S3) trouble(err error) {
	s.note(err)
	s.o.Log.Warn("s3", "receiver", s.o.Name, "error", err)
}

// pass lists the bucket and takes what is new in it.
func (s *S3) pass(ctx context.Context, settle *settler, cursor *s3Cursor) error {
	ctx, cancel := context.WithCancel(ctx) // ends the listing in any case
	defer cancel()
	var newest time.Time
	var failed error
	var mu sync.Mutex
	var all sync.WaitGroup
	workers := make(chan struct{}, s3Workers)
	for o := range s.client.ListObjectsIter(ctx, s.o.Bucket, minio.ListObjectsOptions{Prefix: s.o.Prefix, Recursive: true}) {
		if o.Err != nil {
			failed = fmt.Errorf("cannot be listed, check the name, the keys and the permission s3:ListBucket: %w", o.Err)
			break
		}
		if o.LastModified.After(newest) {
			newest = o.LastModified
		}
		if cursor.known(s3ObjectOf(o.Key, o.ETag), o.LastModified) || o.LastModified.Before(s.o.Since) || o.Size == 0 {
			continue
		}
		workers <- struct{}{}
		all.Go(func() {
			defer func() { <-workers }()
			if err := s.object(ctx, settle, cursor, o.Key); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
		if ctx.Err() != nil {
			break
		}
	}
	all.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed != nil:
		return failed // the floor stays below what is still to be taken
	case newest.IsZero():
		return nil
	}
	if now := s.o.Now(); newest.After(now) {
		newest = now // a time to come would hide all objects before it
	}
	return cursor.passed(newest)
}

// single takes an object that the server told of. If that fails, listing finds it.
func (s *S3) single(ctx context.Context, settle *settler, cursor *s3Cursor, key string) {
	if err := s.object(ctx, settle, cursor, key); err != nil && ctx.Err() == nil {
		s.trouble(err)
	}
}

// object takes one object and remembers it. Its error is one that may pass.
func (s *S3) object(ctx context.Context, settle *settler, cursor *s3Cursor, key string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := clip("s3://"+s.o.Bucket+"/"+key, maxPeerLen)
	body, info, _, err := s.client.GetObject(ctx, s.o.Bucket, key, minio.GetObjectOptions{})
	if err != nil {
		code := minio.ToErrorResponse(err).Code
		if code == minio.NoSuchKey { // it went meanwhile
			return nil
		}
		return s.failed(ctx, cursor, s3ObjectOf(key, ""), time.Time{}, fmt.Errorf("%s: cannot be read, check the permission s3:GetObject: %w", shown, err))
	}
	defer func() { _ = body.Close() }() // what was wanted of it was read
	id := s3ObjectOf(key, info.ETag)
	if cursor.known(id, info.LastModified) || info.LastModified.Before(s.o.Since) {
		return nil
	}
	if info.Size > s.o.Limits.Body {
		s.Refused(1, fmt.Errorf("%s: %d bytes, at most %d", shown, info.Size, s.o.Limits.Body))
		return s.remember(cursor, id, info.LastModified)
	}
	in := &wire{r: body, cancel: cancel, stall: s.o.Limits.Slow, left: s.o.Limits.Body}
	name := strings.Join([]string{"s3", s.o.Endpoint, s.o.Bucket, key, info.ETag}, "\x00")
	if err := s.content(ctx, numbered(settle.take, name), in, key, info.Size); err != nil {
		if in.err != nil {
			err = fmt.Errorf("%s: interrupted: %w", shown, in.err)
		}
		return s.failed(ctx, cursor, id, info.LastModified, err)
	}
	s.mu.Lock()
	delete(s.attempts, id)
	s.mu.Unlock()
	return s.remember(cursor, id, info.LastModified)
}

// maxPeerLen bounds the name of a peer.
const maxPeerLen = 1024

func (s *S3) remember(cursor *s3Cursor, id s3Object, modified time.Time) error {
	if err := cursor.took(id, modified); err != nil {
		return fmt.Errorf("cursor %s, which needs room on its disk: %w", s.o.Cursor, err)
	}
	return nil
}

// maxS3Failing bounds the objects whose failures are counted.
const maxS3Failing = 100_000

// failed counts a failure. An object that fails again and again is passed over, so
// that it does not keep the cursor back for ever.
func (s *S3) failed(ctx context.Context, cursor *s3Cursor, id s3Object, modified time.Time, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return err
	}
	s.mu.Lock()
	if len(s.attempts) >= maxS3Failing {
		clear(s.attempts)
	}
	s.attempts[id]++
	n := s.attempts[id]
	s.mu.Unlock()
	if n < s3Attempts {
		return err
	}
	if n == s3Attempts {
		s.Refused(1, fmt.Errorf("passed over after %d attempts: %w", n, err))
	}
	if modified.IsZero() {
		return nil // tried again with each listing, but nothing waits for it
	}
	return s.remember(cursor, id, modified)
}

// content hands on the records of an object. Its error is that of the wire or of ctx:
// what is wrong in the object itself is refused, and the rest goes on.
func (s *S3) content(ctx context.Context, sink Sink, in *wire, key string, size int64) error {
	refuse := func(where, cause string) {
		if in.err == nil && ctx.Err() == nil {
			s.Refused(1, fmt.Errorf("%s: %s", clip(where, maxPeerLen), clip(cause, maxCause)))
		}
	}
	w := &walker{
		ctx: ctx,
		o: Options{
			Depth: 4, Members: 100_000, Ratio: s.o.Limits.Ratio, RatioFrom: ratioFrom,
			Unpacked: s.o.Limits.Unpacked, Spool: 1 << 30,
		}.withDefaults(),
		bad: func(path string, e model.InputError) { refuse(path, e.Cause) },
	}
	w.visit = func(member Input) error {
		pack := &packer{
			sink: sink, limits: s.o.Limits, counts: new(Counters), now: s.o.Now,
			base: model.Batch{Tenant: s.o.Tenant, Source: s.o.Name, Peer: clip(member.Path, maxPeerLen), Format: s.o.Decoder},
		}
		err := readMember(ctx, member, pack, s.o.Format, func(cause string) { refuse(member.Path, cause) })
		var failed *sinkError
		if errors.As(err, &failed) {
			return failed.err // that of ctx
		}
		if err != nil {
			refuse(member.Path, err.Error())
		}
		if in.err != nil {
			return in.err
		}
		return nil
	}
	b := &budget{o: &w.o, packed: func() int64 { return in.n }}
	if err := w.stream(stream{path: "s3://" + s.o.Bucket + "/" + clean(key), size: size, r: in, budget: b}); err != nil {
		return err
	}
	return in.err
}

// readMember hands on the records of one input.
func readMember(ctx context.Context, in Input, pack *packer, format Format, refuse func(cause string)) error {
	if f := pack.base.Format; f != formatJSON && (f != "" || !beginsJSON(in.Reader)) {
		t := &textStream{r: in.Reader, p: pack, format: format, refused: func(n int64, cause string) { refuse(fmt.Sprintf("record %d: %s", n, cause)) }}
		return t.run(ctx)
	}
	j := &jsonReader{r: in.Reader, max: pack.limits.Record}
	for {
		object, err := j.next()
		var bad *recordError
		switch {
		case errors.As(err, &bad):
			refuse(bad.Error())
			continue
		case errors.Is(err, io.EOF):
			return pack.flush(ctx)
		case err != nil:
			return errors.Join(err, pack.flush(ctx))
		}
		if err := pack.add(ctx, object); err != nil {
			return err
		}
	}
}

// A wire is the body of a response. Its own errors are those of the network, told
// apart from those of what comes over it.
type wire struct {
	r      io.Reader
	cancel context.CancelFunc
	stall  time.Duration
	left   int64
	n      int64
	err    error
}

func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		w.err = errTooLarge // the server said that it is smaller
		return 0, w.err
	}
	timer := time.AfterFunc(w.stall, w.cancel)
	n, err := w.r.Read(p[:min(int64(len(p)), w.left)])
	if !timer.Stop() && err != nil {
		err = fmt.Errorf("nothing came for %v: %w", w.stall, err)
	}
	w.n += int64(n)
	w.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// listen asks a server that notifies to tell of new objects. Others are asked again
// now and then: they may have been unreachable.
func (s *S3) listen(ctx context.Context, notified chan<- string) {
	for ctx.Err() == nil {
		err := s.events(ctx, notified)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.o.Log.Debug("the server does not notify of new objects, they are found by listing", "receiver", s.o.Name, "cause", err)
		select {
		case <-ctx.Done():
		case <-time.After(10 * s.o.Every):
		}
	}
}

// events sends the keys of new objects to notified until ctx ends, and returns nil if
// there are none to be had.
func (s *S3) events(ctx context.Context, notified chan<- string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	infos := s.client.ListenBucketNotification(ctx, s.o.Bucket, s.o.Prefix, "", []string{"s3:ObjectCreated:*"})
	defer func() {
		cancel()
		for range infos { // it ends with ctx, and so do its goroutines
			continue
		}
	}()
	for info := range infos {
		if info.Err != nil {
			if minio.ToErrorResponse(info.Err).Code == minio.APINotSupported {
				return nil
			}
			return info.Err
		}
		for _, e := range info.Records {
			key, err := url.QueryUnescape(e.S3.Object.Key)
			if err != nil || !strings.HasPrefix(key, s.o.Prefix) {
				continue
			}
			select {
			case notified <- key:
			default: // too many at once: listing finds it
			}
		}
	}
	return errors.New("the server ended its notifications")
}
