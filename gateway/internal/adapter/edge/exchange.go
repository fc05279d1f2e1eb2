package edge

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"
)

// exchange is one request on its way. It is one allocation: what its steps need lives in it.
type exchange struct {
	edge *Edge
	live *live
	w    http.ResponseWriter
	r    *http.Request

	path      string // canonical, decoded
	decision  routing.Decision
	rule      *routing.Rule
	preflight bool
	https     bool // how the client came, as far as trusted proxies tell

	client   netip.Addr
	policy   *policy             // nil for an anonymous rule
	caller   principal.Principal // zero for an anonymous rule
	raw      string              // the access token that services get; empty for an anonymous rule
	byCookie bool                // it came in a cookie
	limits   limits
	upstream *Upstream
	place    upstream.Place // at an address of it
	ctx      exchangeContext
	cancel   context.CancelCauseFunc
	farewell farewell
	deadline *time.Timer // of the whole exchange
	headers  *time.Timer // of the upstream's answer beginning
	upload   upload
	answer   answer
	lender   lender
	proxy    httputil.ReverseProxy
	out      clientWriter // what the proxy writes to
	values   []string     // one-value headers of the request to the service, in room
	room     [8]string
	aborted  bool        // the proxy has panicked: the connection is being cut already
	begun    atomic.Bool // the answer has begun

	called called // when the service is one of this process

	mu            sync.Mutex
	ended         bool      // the handler has returned: its connection may be another request's by now
	readBy        time.Time // the deadline of reads
	serviceReadBy time.Time // and the one a service of the same process has set
}

// serve takes the request through every step. It returns the error to answer with, or nil when the answer is written.
func (x *exchange) serve() error {
	if err := x.parse(); err != nil {
		return err
	}
	if x.edge.ownPaths[x.path] {
		x.edge.own.ServeHTTP(x.w, x.r)
		return nil
	}
	if x.live == nil {
		return fault.Retry(fault.Unavailable, "the gateway has no configuration yet", time.Second)
	}
	x.strip()
	if err := x.match(); err != nil {
		return err
	}
	if answered, err := x.crossOrigin(); answered || err != nil {
		return err
	}
	for _, step := range [...]func(*exchange) error{
		(*exchange).limitBody, (*exchange).limitStrangers, (*exchange).authenticate, (*exchange).authorize,
		(*exchange).limitCallers,
	} {
		if err := step(x); err != nil {
			return err
		}
	}
	return x.forward()
}

// match finds the rule. A preflight is matched as the request it asks for, and as itself when that rule has no CORS.
func (x *exchange) match() error {
	x.client = web.ClientAddr(x.r.Context())
	q := routing.Request{Method: x.r.Method, Host: x.r.Host, Path: x.path, RawQuery: x.r.URL.RawQuery, Header: x.r.Header}
	if asked := preflightMethod(x.r); asked != "" {
		q.Method = asked
		if d := x.live.table.Match(&q); d.Outcome == routing.Matched && d.Rule.CORS != nil {
			x.preflight, x.decision = true, d
		}
		q.Method = x.r.Method
	}
	if !x.preflight {
		x.decision = x.live.table.Match(&q)
	}
	switch x.decision.Outcome {
	case routing.Matched:
	case routing.MethodNotAllowed:
		x.w.Header().Set("Allow", x.decision.Allow)
		return fault.New(fault.MethodNotAllowed, "this path does not take that method")
	default:
		return fault.New(fault.NotFound, "no such path")
	}
	x.rule = x.decision.Rule
	web.SetRoute(x.r.Context(), x.rule.Route)
	if x.rule.Refused != "" {
		x.edge.log.DebugContext(x.r.Context(), "a rule that may not be served was asked for",
			"route", x.rule.Route, "rule", x.rule.Name, "why", x.rule.Refused)
		return fault.Retry(fault.Unavailable, "this route is not served right now", misconfiguredRetry)
	}
	return nil
}

// misconfiguredRetry is how soon a client may look whether somebody has mended a Route.
const misconfiguredRetry = 30 * time.Second

// limitBody refuses what is declared too long before a byte of it is read, and watches the rest as it comes.
func (x *exchange) limitBody() error {
	if x.r.ContentLength == 0 {
		return nil
	}
	if limit := x.rule.MaxBodyBytes; limit > 0 && x.r.ContentLength > limit {
		return tooLarge(limit)
	}
	x.upload.watch(x)
	return nil
}

// authorize refuses callers who lack what the rule requires. Whose thing it is only the service knows; it checks again.
func (x *exchange) authorize() error {
	if !x.rule.Auth.Anonymous() && !x.rule.Allows(x.caller) {
		return fault.New(fault.Forbidden, "your permissions do not cover this")
	}
	return nil
}
