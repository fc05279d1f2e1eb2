// Package edge is the gateway's path of a request, from the client's bytes to a service's answer.
//
//	web.Edge (recover, request id, trace, metrics, access log, client address)
//	  -> parse    what two programs could read differently is refused: framing (package wire), paths, credentials
//	  -> hygiene  headers that say who the caller is, or where the request came from, are the gateway's alone
//	  -> match    which rule of which Route: 404, 405, or 503 for a rule that may not be served
//	  -> cors, body limit, rate limit
//	  -> authenticate, authorize
//	  -> forward  httputil.ReverseProxy over the gateway's own exchange (package upstream); bodies stream both ways.
//	              A service of the same process is called instead
//
// Every step is one method of exchange, and each may end the request with an error that package problem writes. The
// order is the order of the file exchange.go.
//
// Promises: a request that no rule with an explicit decision on authentication claims goes nowhere. What a service reads
// in Authorization, X-Request-Id, X-Forwarded-* and the claim headers was written here. Whatever runs when its caller is
// revoked is cut. A table can be replaced at any moment; requests finish by the one they began with. No body is held.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
	"cloakroom.dev/gateway/internal/adapter/edge/wire"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"
)

// Verifier turns an access token into its principal, by one TokenPolicy. It returns fault.InvalidToken,
// fault.TokenExpired, fault.TokenStale, or fault.Unavailable when it cannot know.
type Verifier interface {
	Verify(ctx context.Context, raw string) (principal.Principal, error)
}

// Revocations ends what a revoked caller still has running.
type Revocations interface {
	// Watch has cancel called with a fault as its cause when p is revoked, and sever a moment later, until End.
	Watch(p *principal.Principal, cancel context.CancelCauseFunc, sever func()) token.Watched
}

// APIKeys exchanges API keys for short access tokens.
type APIKeys interface {
	// Exchange returns a token for the key. It returns fault.InvalidToken for a key that is not ours, expired or revoked,
	// and fault.Unavailable when that can't be known now.
	Exchange(ctx context.Context, key string) (token string, err error)
	// Forget drops what is remembered of a key, because a token of it was refused.
	Forget(key string)
}

// Options is what an Edge is made of. All parts are needed but Tracer and Own.
type Options struct {
	Upstreams   map[string]*Upstream // by the name Routes use
	Limiter     routing.Limiter
	Revocations Revocations
	APIKeys     APIKeys
	Trust       web.TrustedProxies
	Own         http.Handler // the gateway's own paths
	OwnPaths    []string     // exactly these are Own's, on every host
	Log         *slog.Logger
	Registerer  prometheus.Registerer
	Tracer      trace.TracerProvider
}

// Edge is the http.Handler of the public listener. It answers 503 until Use has been called.
type Edge struct {
	upstreams   map[string]*Upstream
	limiter     routing.Limiter
	revocations Revocations
	keys        APIKeys
	trust       web.TrustedProxies
	own         http.Handler
	ownPaths    map[string]bool
	log         *slog.Logger
	metrics     *metrics
	tunnels     *tunnels
	live        atomic.Pointer[live]
}

// live is what requests are served by; it is replaced as a whole.
type live struct {
	table    *routing.Table
	policies map[string]*policy // by the digest of the TokenPolicy
	cookies  cookieNames        // that hold credentials of ours, whatever the policy of the route
}

// New makes an Edge.
func New(opts Options) (*Edge, error) {
	if opts.Limiter == nil || opts.Revocations == nil || opts.APIKeys == nil || len(opts.Upstreams) == 0 || opts.Log == nil {
		return nil, errors.New("edge: upstreams, limiter, revocations, api keys and log are needed")
	}
	e := &Edge{
		upstreams: opts.Upstreams, limiter: opts.Limiter, revocations: opts.Revocations, keys: opts.APIKeys,
		trust: opts.Trust, own: opts.Own, ownPaths: map[string]bool{}, log: opts.Log,
		metrics: newMetrics(opts.Registerer),
	}
	e.tunnels = newTunnels(e.metrics.tunnels)
	for _, path := range opts.OwnPaths {
		e.ownPaths[path] = true
	}
	for _, u := range e.upstreams {
		u.observe(e.metrics, opts.Tracer)
	}
	if opts.Registerer != nil {
		if err := opts.Registerer.Register(newPools(e.upstreams)); err != nil {
			return nil, fmt.Errorf("edge: %w", err)
		}
	}
	return e, nil
}

// Use serves by this table from the next request on. verifiers holds one for each TokenPolicy of the table, by digest; a
// policy without one answers 503.
func (e *Edge) Use(table *routing.Table, verifiers map[string]Verifier) {
	next := &live{table: table, policies: map[string]*policy{}, cookies: cookieNames{web.AccessCookie, web.RefreshCookie}}
	for _, p := range table.TokenPolicies() {
		made := newPolicy(p.Spec, verifiers[p.Digest])
		next.policies[p.Digest], next.cookies = made, next.cookies.with(made.cookie)
	}
	e.live.Store(next)
}

// Table returns the table in use, or nil before the first.
func (e *Edge) Table() *routing.Table {
	if l := e.live.Load(); l != nil {
		return l.table
	}
	return nil
}

// Drain waits until no upgraded connection is left, or ctx ends, and then cuts those that are.
func (e *Edge) Drain(ctx context.Context) { e.tunnels.drain(ctx) }

// Run keeps what is known of the services' addresses true until ctx ends.
func (e *Edge) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, u := range e.upstreams {
		group.Go(func() error { return u.balancer.Run(ctx) })
	}
	return group.Wait()
}

// Upstreams tells how the addresses of each upstream are.
func (e *Edge) Upstreams() map[string][]upstream.Status {
	all := make(map[string][]upstream.Status, len(e.upstreams))
	for name, u := range e.upstreams {
		all[name] = u.balancer.Status()
	}
	return all
}

// Close closes idle connections to the services.
func (e *Edge) Close() {
	for _, u := range e.upstreams {
		u.balancer.Close()
	}
}

func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if wire.MustClose(r) {
		w.Header().Set("Connection", "close")
	}
	x := &exchange{edge: e, live: e.live.Load(), w: w, r: r}
	defer x.end()
	if err := x.serve(); err != nil {
		x.refuse(err)
	}
}

// refuse ends an exchange that has no answer yet. A small body is read to its end by net/http, in a moment or not at
// all, so that the connection lives on; a larger one ends the connection, since reading it would cost what the refusal
// was to save.
func (x *exchange) refuse(err error) {
	if x.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // the client has gone; nobody reads an answer, and nothing has failed
	}
	switch n := x.r.ContentLength; {
	case n == 0 || x.upload.ended():
	case n > 0 && n <= drainedBytes && x.r.Header["Expect"] == nil:
		x.deadlines(time.Now().Add(drainTime), time.Time{})
	default:
		x.w.Header().Set("Connection", "close")
	}
	x.shape()
	problem.Write(x.w, x.r, err)
}

// shape lets the refusal look as the Route says. A request that no rule has taken, or whose path could not even be read, is
// refused as the Route nearest to what it asked for refuses.
func (x *exchange) shape() {
	rule := x.rule
	if rule == nil && x.live != nil {
		asked := x.path
		if asked == "" {
			asked = readablePart(sentPath(x.r))
		}
		rule = x.live.table.Nearest(x.r.Host, asked)
	}
	if rule != nil && rule.Refusal != nil {
		web.SetShape(x.r.Context(), shapeOf(rule.Refusal))
	}
}

func shapeOf(refusal *routing.Refusal) problem.Shape {
	return func(_ *http.Request, doc problem.Document, _ error) problem.Refusal {
		body := refusal.Fill(routing.Told{
			Code: doc.Code, Title: doc.Title, Detail: doc.Detail, Status: doc.Status, RequestID: doc.Instance, Fields: doc.Errors,
		})
		return problem.Refusal{Status: doc.Status, ContentType: refusal.ContentType, Body: body}
	}
}

// readablePart is a path up to the first segment that two programs could read differently.
func readablePart(path string) string {
	for i := range len(path) {
		rest := path[i:]
		if path[i] == '%' || path[i] == '\\' || strings.HasPrefix(rest, "//") || strings.HasPrefix(rest, "/.") {
			return path[:strings.LastIndexByte(path[:i+1], '/')+1]
		}
	}
	return path
}

const (
	drainedBytes = 16 << 10
	drainTime    = 2 * time.Second
)
