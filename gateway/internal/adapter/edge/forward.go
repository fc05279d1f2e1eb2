package edge

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// buffers are shared by all exchanges.
var buffers = newBufferPool()

// silent takes what httputil would print of a broken copy; the exchange counts and logs it itself.
var silent = log.New(io.Discard, "", 0)

// exchangeContext is the context of a forwarded request. It carries the exchange without another allocation.
type exchangeContext struct {
	context.Context
	x *exchange
}

type exchangeKey struct{}

// Value knows the exchange, and what the contexts around it know.
func (c *exchangeContext) Value(key any) any {
	if _, mine := key.(exchangeKey); mine {
		return c.x
	}
	return c.Context.Value(key)
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// forward sends the request to its service and streams the answer back. Everything that may end it early (its client,
// its deadline, a revocation) ends the one context it runs under.
func (x *exchange) forward() error {
	x.upstream = x.edge.upstreams[x.rule.Target(rand.Uint64())] //nolint:gosec // a share of the load, not a secret
	if x.upstream == nil {
		return fault.New(fault.Unavailable, "this route is not served right now")
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	x.ctx, x.cancel = exchangeContext{ctx, x}, cancel
	defer cancel(nil)
	if !x.rule.Auth.Anonymous() {
		watched := x.edge.revocations.Watch(&x.caller, x.revoked, x.sever)
		defer func() {
			watched.End()
			if x.farewell.end() && !x.aborted {
				panic(http.ErrAbortHandler) // the connection must not serve another request
			}
		}()
	}
	x.startTimers()
	defer x.stopTimers()
	if x.r.ContentLength != 0 {
		// The service may answer while the body is still coming; net/http would stop one for the other.
		_ = http.NewResponseController(x.w).EnableFullDuplex() // a writer that can't is a test's
	}
	x.pass()
	return nil
}

// pass calls a service of the same process, and hands any other exchange to httputil, which streams both ways.
func (x *exchange) pass() {
	if x.upstream.inside != nil && len(x.r.Header["Upgrade"]) == 0 {
		x.call()
		return
	}
	x.proxy = httputil.ReverseProxy{
		Rewrite: rewrite, ModifyResponse: modify, ErrorHandler: fail,
		Transport: x.upstream, BufferPool: &x.lender, ErrorLog: silent,
	}
	x.out = clientWriter{ResponseWriter: x.w, x: x}
	var w http.ResponseWriter = &x.out
	if len(x.r.Header["Upgrade"]) > 0 {
		w = &upgradeWriter{ResponseWriter: w, x: x}
	}
	x.aborted = true // unless ServeHTTP returns
	defer x.finish()
	x.proxy.ServeHTTP(w, x.r.WithContext(&x.ctx))
	x.aborted = false
}

// past is over.
var past = time.Unix(1, 0)

// deadlines bounds reads and writes of the client's connection; a zero write deadline leaves it as it is. Once the
// handler has returned it does nothing. It may be called from other goroutines.
func (x *exchange) deadlines(read, write time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	x.readBy = read
	x.boundReads()
	if !write.IsZero() {
		_ = http.NewResponseController(x.w).SetWriteDeadline(write) // a writer without deadlines is a test's
	}
}

// serviceDeadline is how a service of the same process bounds reads of the client's connection.
func (x *exchange) serviceDeadline(read time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	x.serviceReadBy = read
	x.boundReads()
}

// serviceIsPast reports whether a service of the same process has let its deadline for reads go by, and the gateway none of its own.
func (x *exchange) serviceIsPast() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	return !x.serviceReadBy.IsZero() && !x.serviceReadBy.After(now) && (x.readBy.IsZero() || x.readBy.After(now))
}

// boundReads sets the earlier of the two deadlines for reads. The caller holds mu.
func (x *exchange) boundReads() {
	by := x.readBy
	if s := x.serviceReadBy; by.IsZero() || !s.IsZero() && s.Before(by) {
		by = s
	}
	_ = http.NewResponseController(x.w).SetReadDeadline(by) // a writer without deadlines is a test's
}

// end is when the handler returns.
func (x *exchange) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
}

// finish counts an answer that broke off, and makes sure no read of the client's body is left behind.
func (x *exchange) finish() {
	if err := x.answer.err; err != nil {
		x.brokeOff(err)
	}
	x.place.Done()
	x.upload.abandon()
}

// brokeOff counts an answer that did.
func (x *exchange) brokeOff(err error) {
	var cut *fault.Error
	switch {
	case x.upload.failed.Load() != nil: // what broke the exchange off is the client's body
	case errors.As(context.Cause(&x.ctx), &cut):
		x.upstream.metrics.ended(cut)
	case x.ctx.Err() == nil:
		x.upstream.metrics.broken.Inc()
		x.place.Broke()
		x.edge.log.WarnContext(x.r.Context(), "answer broke off", "upstream", x.upstream.name, "error", err.Error())
	}
}

// startTimers bounds the whole exchange, and the wait for the answer once the request is sent.
func (x *exchange) startTimers() {
	if d := x.rule.Timeouts.Request; d > 0 {
		x.deadline = time.AfterFunc(d, x.timeOut)
	}
	wait := x.rule.Timeouts.ResponseHeader
	switch {
	case wait <= 0 || (x.rule.Timeouts.Request > 0 && x.rule.Timeouts.Request <= wait && x.r.ContentLength == 0):
		// no bound, or one that the other timer holds already
	case x.r.ContentLength == 0:
		x.headers = time.AfterFunc(wait, x.answerTimeOut)
	default:
		x.headers = time.AfterFunc(time.Hour, x.answerTimeOut) // made now, for the transport's goroutine to set off
		x.headers.Stop()
		x.upload.done = func() { x.headers.Reset(wait) }
	}
}

// answerTimeOut ends an exchange whose answer has not begun; a service may also answer before it has the whole request.
func (x *exchange) answerTimeOut() {
	if !x.begun.Load() {
		x.cancel(errAnswerTimeout)
	}
}

// timeOut ends an exchange that has lasted too long. One whose answer has begun may hang in a write to a client that
// does not read; what it has got is not the whole answer in any case, so the connection goes.
func (x *exchange) timeOut() {
	x.cancel(errRequestTimeout)
	if x.begun.Load() {
		x.deadlines(past, past)
	}
}

func (x *exchange) stopTimers() {
	if x.deadline != nil {
		x.deadline.Stop()
	}
	if x.headers != nil {
		x.headers.Stop()
	}
}

// rewrite makes the request that the service sees. The proxy has removed hop-by-hop headers, and those the client listed
// in Connection, so nothing that is set here can be taken away again.
func rewrite(p *httputil.ProxyRequest) { exchangeOf(p.In.Context()).rewrite(p.Out) }

func (x *exchange) rewrite(out *http.Request) {
	h := out.Header
	x.values = x.room[:0]
	path, outside := x.rule.Path.Apply(x.decision, x.path)
	out.URL.Scheme, out.URL.Host = x.upstream.url.Scheme, x.upstream.url.Host
	out.URL.Path, out.URL.RawPath = path, ""
	out.URL.RawFragment, out.URL.User = "", nil
	out.Host = x.rule.Path.Hostname
	out.Trailer = nil // nothing that comes behind the body has been through hygiene
	x.edit(h, &x.rule.Request)
	x.identify(h)
	x.withholdCookies(h, path)
	x.set(h, web.RequestIDHeader, web.RequestID(x.r.Context()))
	if x.client.IsValid() {
		x.set(h, "X-Forwarded-For", x.client.String())
	}
	x.set(h, "X-Forwarded-Host", x.r.Host)
	x.set(h, "X-Forwarded-Proto", x.scheme())
	if outside != "" {
		x.set(h, "X-Forwarded-Prefix", outside)
	}
}

func (x *exchange) scheme() string {
	if x.https {
		return "https"
	}
	return "http"
}

// set gives a header its one value. The slices that headers are made of come from the exchange, while it has room.
func (x *exchange) set(h http.Header, name, value string) {
	if n := len(x.values); n < cap(x.values) {
		x.values = append(x.values, value)
		h[name] = x.values[n : n+1 : n+1]
		return
	}
	h[name] = []string{value}
}

// gatewaysOwn are headers of an answer that only the gateway gives; Alt-Svc would name the service's own address.
var gatewaysOwn = []string{web.RequestIDHeader, "Ratelimit", "Ratelimit-Policy", "Alt-Svc", web.CallerEndedHeader}

// modify prepares a service's answer for the client.
func modify(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	if err := x.approve(res.Header); err != nil {
		return err
	}
	x.curtail(res.Trailer)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil // its body is the connection
	}
	x.lender.short = res.ContentLength >= 0 && res.ContentLength <= smallBuffer
	x.answer.ReadCloser, x.answer.w = res.Body, x.w
	res.Body = &x.answer
	return nil
}

// approve makes the head of a service's answer one for the client, or says why there is none for it any more.
func (x *exchange) approve(h http.Header) error {
	if err := x.admit(h); err != nil {
		return err
	}
	if x.headers != nil {
		x.headers.Stop()
	}
	for _, name := range gatewaysOwn {
		delete(h, name)
	}
	x.withholdSetCookies(h)
	if x.byCookie && h["Cache-Control"] == nil {
		h["Cache-Control"] = []string{"private"} // shared caches know to leave answers to Authorization alone, not those to cookies
	}
	if x.rule.CORS != nil {
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				delete(h, name)
			}
		}
	}
	x.edit(h, &x.rule.Answer)
	x.upload.announce(h)
	return nil
}
