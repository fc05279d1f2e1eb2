package token

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
)

const (
	minRefresh    = 15 * time.Second // whatever Cache-Control says
	firstRetry    = 50 * time.Millisecond
	maxRetry      = 10 * time.Second
	maxKidWaiters = 256 // requests that may wait for one fetch
)

// JWKSOptions tune a JWKS. The zero value works.
type JWKSOptions struct {
	// Replicas are other addresses of the same key set, asked when one fails.
	Replicas     []string
	Name         string        // label of its metrics, for processes with several; default "default"
	RefreshEvery time.Duration // longest time between two fetches; default 5 min. Cache-Control: max-age may shorten it.
	MaxStale     time.Duration // how long keys are served after the last good fetch; default 24 h
	Cooldown     time.Duration // shortest time between two fetches for an unknown kid; default 5 s
	Timeout      time.Duration // of one fetch, from all addresses together; default 3 s
	MaxBytes     int64         // of an answer; default 256 KiB
	Log          *slog.Logger
	Registerer   prometheus.Registerer
}

// JWKS is a KeySource over a key set that Run fetches in the background and that is held in memory. Run alone fetches,
// so there is never more than one fetch under way.
type JWKS struct {
	fetcher *keyFetcher
	opts    JWKSOptions
	metrics jwksMetrics
	set     atomic.Pointer[keySet] // nil when there is none, or none fresh enough
	nudge   chan struct{}

	mu      sync.Mutex
	attempt *attempt  // asked for or under way
	last    time.Time // when the newest attempt began
	failed  error     // how the newest attempt ended
}

// keySet is what one fetch brought. It never changes.
type keySet struct {
	keys    map[string]Key
	etag    string
	fetched time.Time
	maxAge  time.Duration // by Cache-Control; zero when unsaid
	skipped int
}

// attempt is one fetch that requests with an unknown kid wait for.
type attempt struct {
	done    chan struct{}
	waiters int
}

var (
	errNoKeys     = fault.Retry(fault.Unavailable, "access tokens can't be checked right now", time.Second)
	errUnknownKey = fault.New(fault.NotFound, "no such signing key")
)

var _ KeySource = (*JWKS)(nil)

// NewJWKS makes the source; Run fetches.
func NewJWKS(url string, client *http.Client, opts JWKSOptions) *JWKS {
	opts.Name = cmp.Or(opts.Name, "default")
	opts.RefreshEvery = cmp.Or(opts.RefreshEvery, 5*time.Minute)
	opts.MaxStale = cmp.Or(opts.MaxStale, 24*time.Hour)
	opts.Cooldown = cmp.Or(opts.Cooldown, 5*time.Second)
	opts.Timeout = cmp.Or(opts.Timeout, 3*time.Second)
	opts.MaxBytes = cmp.Or(opts.MaxBytes, 256<<10)
	opts.Log = cmp.Or(opts.Log, slog.Default())
	j := &JWKS{fetcher: newKeyFetcher(url, client, opts), opts: opts, nudge: make(chan struct{}, 1)}
	j.metrics = newJWKSMetrics(opts.Registerer, opts.Name, &j.set)
	return j
}

// Ready returns nil when there are keys to verify with.
func (j *JWKS) Ready(context.Context) error {
	if j.set.Load() == nil {
		return errNoKeys
	}
	return nil
}

// Refresh asks Run for a fetch soon, outside the cool-down of unknown kids. It doesn't wait.
func (j *JWKS) Refresh() {
	select {
	case j.nudge <- struct{}{}:
	default: // one is due already
	}
}

// Key finds the key that kid names, in memory. For an unknown kid all callers together cause at most one fetch a
// cool-down, and wait for it.
func (j *JWKS) Key(ctx context.Context, kid string) (Key, error) {
	set := j.set.Load()
	if set == nil {
		return Key{}, errNoKeys
	}
	if k, found := set.keys[kid]; found {
		return k, nil
	}
	j.metrics.unknown.Inc()
	return j.seek(ctx, kid)
}

func (j *JWKS) seek(ctx context.Context, kid string) (Key, error) {
	a, err := j.join()
	if err != nil {
		return Key{}, err
	}
	defer j.leave(a)
	patience := time.NewTimer(j.opts.Timeout)
	defer patience.Stop()
	select {
	case <-a.done:
	case <-ctx.Done():
		return Key{}, fault.Wrap(fault.Unavailable, errNoKeys.Detail, context.Cause(ctx))
	case <-patience.C:
		return Key{}, errNoKeys
	}
	if set := j.set.Load(); set != nil {
		if k, found := set.keys[kid]; found {
			return k, nil
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return Key{}, j.verdict()
}

// join returns the attempt to wait for, which it asks for when none is under way, or the answer that is known without.
func (j *JWKS) join() (*attempt, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.attempt == nil {
		if time.Since(j.last) < j.opts.Cooldown {
			return nil, j.verdict()
		}
		j.attempt = &attempt{done: make(chan struct{})}
		j.Refresh()
	}
	if j.attempt.waiters == maxKidWaiters {
		j.metrics.crowded.Inc()
		return nil, errNoKeys
	}
	j.attempt.waiters++
	return j.attempt, nil
}

func (j *JWKS) leave(a *attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a.waiters--
}

// verdict says what it means that a kid is in no set: nothing, when the newest set could not be had.
func (j *JWKS) verdict() error {
	if j.failed != nil {
		return errNoKeys
	}
	return errUnknownKey
}

// Run keeps the set fresh until ctx ends.
func (j *JWKS) Run(ctx context.Context) error {
	defer j.finish(context.Canceled)
	retry := firstRetry
	for {
		err := j.refresh(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait := j.untilNext()
		if err != nil {
			wait = jitter(retry, 0.5)
			retry = min(2*retry, maxRetry)
		} else {
			retry = firstRetry
		}
		if !j.pause(ctx, wait) {
			return nil
		}
	}
}

// pause waits for the next fetch, and drops a set that grows too old meanwhile. It returns false when ctx ends.
func (j *JWKS) pause(ctx context.Context, wait time.Duration) bool {
	next := time.NewTimer(wait)
	defer next.Stop()
	old := make(<-chan time.Time)
	if set := j.set.Load(); set != nil {
		t := time.NewTimer(time.Until(set.fetched.Add(j.opts.MaxStale)))
		defer t.Stop()
		old = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-next.C:
			return true
		case <-j.nudge:
			return true
		case <-old:
			j.set.Store(nil)
			j.opts.Log.ErrorContext(ctx, "signing keys are too old to be used", "max_stale", j.opts.MaxStale)
		}
	}
}

// untilNext is the time to the next regular fetch, a little early at most.
func (j *JWKS) untilNext() time.Duration {
	every := j.opts.RefreshEvery
	if set := j.set.Load(); set != nil && set.maxAge > 0 {
		every = min(every, max(set.maxAge, minRefresh))
	}
	return jitter(every, 0.1)
}

// refresh makes one attempt and tells everyone who waits for it.
func (j *JWKS) refresh(ctx context.Context) error {
	j.mu.Lock()
	if j.attempt == nil {
		j.attempt = &attempt{done: make(chan struct{})}
	}
	j.last = time.Now()
	j.mu.Unlock()

	old := j.set.Load()
	set, err := j.fetcher.fetch(ctx, old)
	if err == nil {
		j.set.Store(set)
	}
	j.report(ctx, old, set, err)
	j.finish(err)
	return err
}

func (j *JWKS) finish(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = err
	if j.attempt != nil {
		close(j.attempt.done)
		j.attempt = nil
	}
}

func (j *JWKS) report(ctx context.Context, old, set *keySet, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil:
		j.metrics.failed.Inc()
		j.opts.Log.WarnContext(ctx, "signing keys could not be fetched", "error", err)
	case old != nil && old.etag != "" && old.etag == set.etag:
		j.metrics.unchanged.Inc()
	default:
		j.metrics.fetched.Inc()
		if set.skipped > 0 && (old == nil || old.skipped != set.skipped) {
			j.opts.Log.WarnContext(ctx, "signing keys were left out", "skipped", set.skipped, "used", len(set.keys))
		}
	}
}
