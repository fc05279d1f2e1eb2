// Package limitredis is the limiter of many gateways: GCRA in a Redis or Valkey that they share, so that together they let
// pass what one would.
//
// Flow: Take sends all charges of a request to the store in one round trip, where a script (take.lua) decides by the store's
// own clock (store.go). A call that is not answered in time counts as a miss; after a few misses the store is lost (health.go) and
// requests no longer ask it. Run goes on asking, and when the store answers again several times in a row requests do too.
//
// Promises: a request waits for the store no longer than Timeout, and not at all once it is lost. Whatever the store did not
// decide, the local limiter decides by this gateway's share: the rule divided by the gateways there are (share.go). So
// Take never fails, and a limit is never off. At the loss and at the return of the store a key may find a fresh count, once
// each. What is in the store expires with the debt it stands for, and tells nobody's secret: keys are hashes.
package limitredis

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"cloakroom.dev/gateway/internal/routing"

	"github.com/prometheus/client_golang/prometheus"
)

// Local is the limiter of this gateway alone.
type Local interface {
	routing.Limiter
	// Tally counts verdicts that were given elsewhere.
	Tally(charges []routing.Charge, verdicts []routing.Verdict)
}

// Limiter counts in a shared store, and by itself while that is lost. It is safe for concurrent use.
type Limiter struct {
	store   store
	local   Local
	health  *health
	members members
	timeout time.Duration
	metrics *metrics
}

var _ routing.Limiter = (*Limiter)(nil)

// New makes a limiter over the store that opts name. It connects when it is used; Run must run for it to come back from a
// loss. The caller must Close it.
func New(opts Options, local Local, log *slog.Logger, reg prometheus.Registerer) (*Limiter, error) {
	opts = opts.withDefaults()
	client, err := connect(opts)
	if err != nil {
		return nil, err
	}
	return assemble(newRedisStore(client, opts), local, opts, log, reg), nil
}

func assemble(s store, local Local, opts Options, log *slog.Logger, reg prometheus.Registerer) *Limiter {
	l := &Limiter{store: s, local: local, timeout: opts.Timeout, members: members{fixed: opts.Replicas}}
	l.metrics = newMetrics(reg, s.connections)
	l.health = newHealth(log, l.metrics, l.members.count)
	l.metrics.replicas.Set(float64(l.members.count()))
	return l
}

// Take implements routing.Limiter. It never fails.
func (l *Limiter) Take(ctx context.Context, charges []routing.Charge, verdicts []routing.Verdict) error {
	if len(charges) == 0 {
		return nil
	}
	if !l.health.lost() {
		if l.ask(ctx, func(ctx context.Context) error { return l.store.take(ctx, charges, verdicts) }) == nil {
			l.local.Tally(charges, verdicts)
			return nil
		}
	}
	l.metrics.shared.Inc()
	return l.local.Take(ctx, shares(charges, l.members.count()), verdicts)
}

// ask calls the store and notes how that went. A client that goes away in the middle does not end the call: it would look
// like a miss.
func (l *Limiter) ask(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	began := time.Now()
	err := call(ctx)
	l.metrics.asked(ctx, err, time.Since(began))
	l.health.note(err)
	return err
}

const (
	beatEvery  = memberLife / 3
	probeEvery = 200 * time.Millisecond
)

// Run tells the store that this gateway lives, learns how many others do, and while the store is lost tries whether it is
// back, until ctx ends.
func (l *Limiter) Run(ctx context.Context) error {
	for {
		var wait time.Duration
		switch err := l.beat(ctx); {
		case err != nil || l.health.lost():
			wait = l.health.patience(probeEvery)
		default:
			wait = beatEvery
		}
		timer := time.NewTimer(wait*3/4 + rand.N(wait/2)) //nolint:gosec // gateways that start together spread out
		select {
		case <-ctx.Done():
			timer.Stop()
			l.leave(ctx)
			return nil
		case <-l.health.turned:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (l *Limiter) beat(ctx context.Context) error {
	return l.ask(ctx, func(ctx context.Context) error {
		n, err := l.store.beat(ctx)
		if err != nil {
			return err
		}
		l.members.heard(n, l.health.steadyFor())
		l.metrics.replicas.Set(float64(l.members.count()))
		return nil
	})
}

// leave takes this gateway off the list of those that live. When it can't, the list forgets it soon.
func (l *Limiter) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	_ = l.store.leave(ctx)
}

// Close ends the connections. No Take may come after it.
func (l *Limiter) Close() error { return l.store.close() }
