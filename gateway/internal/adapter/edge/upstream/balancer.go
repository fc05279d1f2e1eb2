package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
)

// Conn is what talks to one address; *Address is one.
type Conn interface {
	http.RoundTripper
	Stats() Stats
	Close()
}

// Options is what a Balancer is made of. Name, URLs, Connect and Log are needed; a zero in the rest turns that part off.
type Options struct {
	Name        string
	URLs        []*url.URL               // scheme, host and port of each
	Connect     func(base *url.URL) Conn // makes the way to one address; it must not dial yet
	Dial        Dial                     // as Connect's connections are made, for questions of health; nil is TCP. With it URLs are not looked up
	MaxRequests int                      // at once, to all addresses together; 0 is no bound
	Health      Health
	Ejection    Ejection
	Budget      Budget
	Lookup      func(ctx context.Context, host string) ([]netip.Addr, error) // default: the system's resolver
	Log         *slog.Logger
	Registerer  prometheus.Registerer
}

// Balancer spreads requests over the addresses of one service.
//
//	Send ── bound on requests ── pick: of two addresses the one with less to do ── Conn ──> the service
//	             ^                     ^                          │ failed
//	             │                     │                          └── may it be sent again? budget? another address?
//	           503 at once          roster: who gets requests <── health (asks), ejection (notices), resolve (names)
//
// What it promises: nothing that may have reached a service is sent again unless its method is idempotent and nothing of
// its body was read; no request goes twice to one address; retries are a bounded share of requests. A service's own word,
// whatever its status, never counts against it. Failures never take out the last address, and more than half of them only
// when they do not even answer whether they are well. When no address is left, the answer is 503 at once, and the first
// sign of life ends that. State belongs to an address and outlives every change of routes and of other addresses.
//
// Of two addresses drawn at random the one with fewer requests in flight is taken. Latency is not weighed: an upload of a
// gigabyte and a look-up are both requests, and what a slow address has not answered yet is in its count already.
type Balancer struct {
	opts     Options
	metrics  *metrics
	budget   *budget
	inFlight atomic.Int64
	roster   atomic.Pointer[roster]

	mu      sync.Mutex
	all     []*endpoint
	past    Stats             // waits at addresses that are gone
	silent  map[*url.URL]bool // names that can't be looked up, and it has been said
	settled bool              // there have been addresses before; touched by New, then by Run
}

var (
	errBusy = fault.Retry(fault.Overloaded, "the service behind this path has as much to do as it may", time.Second)
	errDown = fault.Retry(fault.Unavailable, "the service behind this path is not reachable", time.Second)
)

// New makes a Balancer. Run keeps it informed; without, it learns from requests alone.
func New(opts Options) (*Balancer, error) {
	if opts.Name == "" || len(opts.URLs) == 0 || opts.Connect == nil || opts.Log == nil {
		return nil, errors.New("upstream: name, URLs, connect and log are needed")
	}
	b := &Balancer{opts: opts, budget: newBudget(opts.Budget), silent: map[*url.URL]bool{}}
	b.metrics = newMetrics(b, opts.Registerer)
	b.settle(b.literal(), time.Now())
	return b, nil
}

// Send sends r to one of the addresses, and when that fails at most retries times to others, as far as r may be sent again.
// It writes the address to r.URL. p must be zero, and Done once the exchange is over; after an error it is already. The
// error is fault.Overloaded or fault.Unavailable when r was not sent for want of room or of an address, else the last
// address's.
func (b *Balancer) Send(r *http.Request, p *Place, retries int) (*http.Response, error) {
	if err := b.Enter(p); err != nil {
		return nil, err
	}
	res, err := b.send(r, p, p.at, retries)
	if err != nil {
		p.Done()
	}
	return res, err
}

// Enter is the beginning of Send, for a request that reaches the service in another way: it takes a place at one of the
// addresses, if there is room and one that is well. What became of the request is told with Answered.
func (b *Balancer) Enter(p *Place) error {
	if n := b.inFlight.Add(1); b.opts.MaxRequests > 0 && n > int64(b.opts.MaxRequests) {
		b.inFlight.Add(-1)
		b.metrics.busy.Inc()
		return errBusy
	}
	p.balancer = b
	now := time.Now()
	b.budget.deposit(now)
	at := b.pick(now)
	if at == nil {
		p.Done()
		b.metrics.down.Inc()
		return errDown
	}
	p.enter(at)
	return nil
}

// send tries at, and then others.
func (b *Balancer) send(r *http.Request, p *Place, at *endpoint, retries int) (*http.Response, error) {
	source := r.Body
	var tried []*endpoint
	for body := &p.body; ; body = new(requestBody) {
		if p.at != at {
			p.enter(at)
		}
		r.URL.Scheme, r.URL.Host = at.base.Scheme, at.host
		if source != nil && source != http.NoBody {
			body.ReadCloser = source
			r.Body = body
		}
		res, err := at.conn.RoundTrip(r)
		if err == nil {
			p.good = b.heard(at, res)
			return res, nil
		}
		b.judge(r.Context(), at, body, err)
		if tried = append(tried, at); len(tried) > retries || !mayGoAgain(r, body, err) {
			return nil, err
		}
		next := b.other(tried)
		if next == nil || !b.budget.withdraw(time.Now()) {
			if next != nil {
				b.metrics.exhausted.Inc()
			}
			return nil, err
		}
		b.metrics.resent.Inc()
		at = next
	}
}

// judge says whose failure it was: not the address's when its client left, sent half a body or none in time, or had its
// credential revoked. Whoever likes can do so many times in a row, and must not put the service out of use by it.
func (b *Balancer) judge(ctx context.Context, at *endpoint, sent *requestBody, err error) {
	switch {
	case sent.broke.Load():
	case errors.Is(context.Cause(ctx), fault.Of(fault.UpstreamTimeout)):
		if !sent.waits.Load() {
			b.failed(at, "no answer in time")
		}
	case ctx.Err() != nil || errors.Is(err, errNoTurn): // the last has all it may have, and is well
	case NotSent(err):
		b.failed(at, "no connection")
	default:
		b.failed(at, "no answer")
	}
}

// heard takes note of an answer, and reports whether it is the service's.
func (b *Balancer) heard(at *endpoint, res *http.Response) bool {
	if strangersWord(res) {
		b.failed(at, "something in front of it answers "+res.Status)
		return false
	}
	at.answers.Add(1)
	return true
}

// strangersWord reports whether an answer comes from something in front of the service, such as a proxy that has lost it. The
// service itself answers with a problem document, or says when to come back.
func strangersWord(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
		return res.Header.Get("Retry-After") == "" && (kind == "" || strings.HasPrefix(kind, "text/"))
	default:
		return false
	}
}
