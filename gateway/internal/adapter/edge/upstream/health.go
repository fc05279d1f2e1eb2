package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Health is how addresses are asked whether they are ready.
type Health struct {
	Interval  time.Duration // 0 asks none
	Timeout   time.Duration
	DownAfter int // questions in a row without an answer
	UpAfter   int // answers in a row that all is well again
	// TLS is what https addresses are asked with, the Pool's; nil trusts the system's roots.
	TLS *tls.Config
}

// condition is what an address says of itself.
type condition int

const (
	notAsked condition = iota // not asked yet; good until proven otherwise
	isUp
	isUnready // it answers that it is not ready: it starts, drains, or lacks what it needs
	isDown    // it does not answer
	conditions
)

func (s condition) String() string { return [...]string{"unknown", "up", "unready", "down"}[s] }

func (s condition) well() bool { return s == notAsked || s == isUp }

// checkPath is what every service answers on the listener that takes requests.
const checkPath = "/readyz"

// lastHope is the longest time between two questions while no address is well.
const lastHope = 250 * time.Millisecond

// watch asks one address again and again until ctx ends.
func (b *Balancer) watch(ctx context.Context, at *endpoint) {
	client := newChecker(b.opts.Health, at, b.opts.Dial)
	for {
		answered := at.answers.Load()
		said, why := check(ctx, client, at)
		if ctx.Err() != nil {
			return
		}
		if said == isDown && at.answers.Load() != answered {
			said = isUp // too busy to be asked, but it answers requests
		}
		b.told(at, said, why, time.Now())
		interval := b.opts.Health.Interval
		if b.hopeless() {
			interval = min(interval, lastHope)
		}
		// Gateways must not ask in step.
		if !pause(ctx, interval-time.Duration(rand.Int64N(int64(interval)/5+1))) { //nolint:gosec // no secret
			return
		}
	}
}

// newChecker asks over a connection of its own each time: what is asked includes whether there is one to be had.
func newChecker(how Health, at *endpoint, dial Dial) *http.Client {
	if dial == nil {
		dialer := &net.Dialer{Timeout: how.Timeout}
		dial = func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", hostPort(at.base)) }
	}
	return &http.Client{
		Timeout: how.Timeout,
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10,
			TLSClientConfig: tlsConfig(how.TLS, at.base.Hostname()),
			TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// check asks once.
func check(ctx context.Context, client *http.Client, at *endpoint) (said condition, why string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.base.Scheme+"://"+at.host+checkPath, nil)
	if err != nil {
		return isDown, err.Error()
	}
	res, err := client.Do(req)
	if err != nil {
		return isDown, err.Error()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10)) // what counts has been said
	_ = res.Body.Close()
	if res.StatusCode >= http.StatusInternalServerError {
		return isUnready, fmt.Sprintf("%s answers %d", checkPath, res.StatusCode)
	}
	return isUp, ""
}

// told takes an answer in, or its absence. A service that says it is not ready is believed at once; silence, and good news
// after bad, must repeat, unless there is nobody else to turn to.
func (b *Balancer) told(at *endpoint, said condition, why string, now time.Time) {
	b.metrics.checked(said)
	b.mu.Lock()
	before := at.health
	if said == before {
		at.streak = 0
		b.mu.Unlock()
		return
	}
	at.streak++
	enough := 1
	switch {
	case said == isDown:
		enough = b.opts.Health.DownAfter
	case said == isUp && before != notAsked && !b.hopelessLocked():
		enough = b.opts.Health.UpAfter
	}
	changed := at.streak >= enough
	if changed {
		at.health, at.streak = said, 0
		b.reviseLocked(now)
	}
	b.mu.Unlock()
	switch {
	case !changed || before == notAsked && said == isUp:
	case said == isUp:
		b.opts.Log.Info("address of an upstream is well again", "upstream", b.opts.Name, "address", at.base.Host)
	default:
		b.opts.Log.Warn("address of an upstream is not well", "upstream", b.opts.Name, "address", at.base.Host, "condition", said.String(), "why", why)
	}
}

// hopeless reports whether no address is well.
func (b *Balancer) hopeless() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hopelessLocked()
}

func (b *Balancer) hopelessLocked() bool {
	for _, e := range b.all {
		if e.health.well() {
			return false
		}
	}
	return true
}

// pause returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
