package token

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/replica"
	"cloakroom.dev/libs/telemetry/metric"
)

const firstBackoff = 50 * time.Millisecond

const (
	maxBackoff   = 500 * time.Millisecond // between two attempts
	maxStreamAge = 10 * time.Minute       // after which the stream is opened anew
)

// FollowerOptions tune a Follower. The zero value works.
type FollowerOptions struct {
	// Replicas are the internal listeners of other replicas of the same auth service. When a stream fails or falls silent,
	// the next one is asked of another.
	Replicas []string
	// OnEntry is told each entry in order, after the view has it. It must be quick and durable (write a row), and must
	// tolerate an entry that comes again: after a restart they all do. When it fails, or takes longer than IdleTimeout,
	// the stream is taken up again from before that entry.
	OnEntry     func(ctx context.Context, e Entry) error
	DialTimeout time.Duration // until the answer's header; default 3 s, with other replicas 1 s
	IdleTimeout time.Duration // without a line; default 3 s, with other replicas 2 s
	Log         *slog.Logger
	Registerer  prometheus.Registerer
}

// Follower keeps a View true by following the auth service's revocation stream.
//
// A heartbeat says how long after the stream's beginning it was made, by the sender's clock. The stream can't have begun
// before we asked for it: so the heartbeat was made no earlier than that moment plus what it says, and the view is at
// most that old, however long the line lay in a buffer on its way. Both clocks only have to run at the same speed, for
// the life of one stream; that is why streams are renewed.
type Follower struct {
	name   string
	at     *replica.Set
	client http.Client
	view   *View
	opts   FollowerOptions
	acks   *acker

	after   int64       // newest position taken in; touched by Run only
	newest  Entry       // taken in, the zero one for none; touched by Run only
	whole   bool        // all live entries up to newest have been taken in; touched by Run only
	broken  bool        // the last stream did not end as planned; touched by Run only
	ready   atomic.Bool // the live entries have been taken in once
	up      atomic.Bool // a stream is open and has had a heartbeat
	ends    *prometheus.CounterVec
	entries prometheus.Counter
}

// NewFollower makes a follower of the auth service's internal listener at baseURL. name tells it apart from the other
// followers there. A client's own Timeout is not used: the stream never ends.
func NewFollower(baseURL, name string, client *http.Client, view *View, opts FollowerOptions) *Follower {
	bases := []string{strings.TrimSuffix(baseURL, "/")}
	for _, url := range opts.Replicas {
		bases = append(bases, strings.TrimSuffix(url, "/"))
	}
	at := replica.New(bases...)
	if at.Len() > 1 { // the way to another one must fit into the view's staleness, also past a second that is silent
		opts.DialTimeout = cmp.Or(opts.DialTimeout, time.Second)
		opts.IdleTimeout = cmp.Or(opts.IdleTimeout, 2*time.Second)
	}
	opts.DialTimeout = cmp.Or(opts.DialTimeout, 3*time.Second)
	opts.IdleTimeout = cmp.Or(opts.IdleTimeout, 3*time.Second)
	opts.Log = cmp.Or(opts.Log, slog.Default())
	f := &Follower{
		name: name, at: at, view: view, opts: opts,
		ends: metric.Known(counterVec(opts.Registerer, "cloakroom_revocation_streams_total", "Revocation streams that ended, by reason.", "end"),
			string(endRenewed), string(endRefused), string(endClosed), string(endIdle), string(endGarbage), string(endLagging), string(endIncomplete), string(endConsumer)),
		entries: counter(opts.Registerer, "cloakroom_revocation_entries_received_total", "Entries taken from the revocation stream."),
	}
	if client != nil {
		f.client = *client
	}
	f.client.Timeout = 0
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	f.acks = newAcker(at, name, &f.client, &f.up, opts)
	registerFunc(opts.Registerer, prometheus.GaugeOpts{
		Name: "cloakroom_revocation_stream_up", Help: "1 while the revocation stream is being followed.",
	}, func() float64 {
		if f.up.Load() {
			return 1
		}
		return 0
	})
	return f
}

// Ready returns nil once the live entries have been taken in.
func (f *Follower) Ready(context.Context) error {
	if !f.ready.Load() {
		return fault.Retry(fault.Unavailable, "the revocation log has not been read yet", time.Second)
	}
	return nil
}

// Run follows until ctx ends, through whatever becomes of the server. It says goodbye then: end it when nobody is let in any more.
func (f *Follower) Run(ctx context.Context) error {
	var acking sync.WaitGroup
	acking.Go(func() { f.acks.run(ctx) })
	defer func() {
		acking.Wait()
		if f.ready.Load() {
			f.acks.goodbye(ctx)
		}
	}()
	var last ending
	var goodbye time.Time // when the server last ended a stream itself
	failures := 0         // in a row
	for wait := firstBackoff; ; {
		began, at := time.Now(), f.at.Current()
		end, err := f.follow(ctx, at)
		f.up.Store(false)
		if ctx.Err() != nil {
			return nil
		}
		f.ends.WithLabelValues(string(end)).Inc()
		f.broken = end != endRenewed
		if end == endRenewed {
			failures = 0
			continue
		}
		f.at.Leave(at)
		if time.Since(began) > 2*maxBackoff { // it worked for a while: this is a new failure
			wait, last, failures = firstBackoff, "", 0
		}
		switch {
		case end == endClosed && errors.Is(err, io.EOF): // to its proper end, so the server is going away or being replaced
			goodbye = time.Now()
			f.opts.Log.InfoContext(ctx, "the auth service ended the revocation stream", "address", at, "after", f.after)
		case end == endRefused && time.Since(goodbye) < f.view.opts.MaxStaleness/2: // it has said so
		case end != last: // a server that is away for an hour is one line
			f.opts.Log.WarnContext(ctx, "revocation stream ended", "address", at, "end", string(end), "error", err, "after", f.after)
			last = end
		}
		// An attempt that took its time has been pause enough: it may have waited at a replica whose store is not there, and
		// is better there again when that comes back.
		if !sleep(ctx, max(jitter(firstBackoff, 1), jitter(wait, 0.5)-time.Since(began))) {
			return nil
		}
		if failures++; failures%f.at.Len() == 0 { // every replica has had its turn
			wait = min(2*wait, maxBackoff)
		}
	}
}

const streamPath = "/internal/v1/revocations"

func (f *Follower) streamURL(at string, after int64) string {
	return at + streamPath + "?" + url.Values{"after": {formatSeq(after)}, "follower": {f.name}}.Encode()
}
