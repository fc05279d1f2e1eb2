package edge

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
	"cloakroom.dev/libs/fault"
)

// Inside is a service of the same process; a hop.Listener is one.
type Inside interface {
	// Dial connects to it, for what needs a connection: questions of health, upgrades.
	Dial(ctx context.Context) (net.Conn, error)
	// Call has it serve r on the goroutine that calls. It fails when the service takes no requests, and has done nothing then.
	Call(w http.ResponseWriter, r *http.Request) error
}

// called is an exchange with a service of the same process, as that service sees it: it is called on the goroutine of its client's
// request, and nothing is written, parsed or copied between the two.
//
// What the way over a connection promises is kept here. The service gets a request of its own, by its own context, which ends with
// the exchange. Its answer passes through the same hands, and not at all once the exchange is over; nothing of it is held. An exchange
// that the gateway ends is answered soon, whatever the service is busy with: if need be, while it is. A service that breaks off
// breaks its client's connection off.
type called struct {
	x       *exchange
	header  http.Header // of the answer, until it begins
	trailer http.Header // which of it come behind the answer
	sent    time.Time
	span    trace.Span

	timedOut atomic.Bool // the time that the service has set its client for the body is over

	mu      sync.Mutex  // between the service and whoever answers in its stead
	begun   bool        // the service has given its answer, or can't any more
	refused error       // why that was not passed
	cut     bool        // some of it was not passed
	over    bool        // the service has returned
	instead bool        // the exchange was answered without it
	late    *time.Timer // ends the wait for it
}

// insteadDelay is what a service has to notice that the exchange has ended. It is below severDelay, or the connection might be gone.
const insteadDelay = severDelay / 2

var (
	errBrokeOff = errors.New("the service broke off")
	errNotTaken = errors.New("the exchange is over")
)

// call has the service serve the exchange.
func (x *exchange) call() {
	c := &x.called
	c.x, c.header = x, http.Header{}
	x.aborted = true // unless this returns
	defer x.finish()
	if err := c.serve(); err != nil {
		x.failed(err)
	}
	x.aborted = false
}

// serve returns the reason when there is no answer. It panics when the answer is not whole.
func (c *called) serve() error {
	x := c.x
	if err := x.upstream.balancer.Enter(&x.place); err != nil {
		return err
	}
	r := x.request()
	c.sent, c.span = time.Now(), x.upstream.start(r)
	stop := context.AfterFunc(&x.ctx, c.exchangeEnded)
	broken, err := c.run(r)
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.late != nil {
		c.late.Stop()
	}
	switch {
	case c.instead:
		return nil
	case err != nil:
		err = &upstream.NotSentError{Err: err}
		c.measure(0, err)
		return err
	case c.refused != nil:
		return c.refused
	case !c.begun && broken:
		c.measure(0, errBrokeOff)
		return errBrokeOff
	case broken || c.cut:
		x.brokeOff(errBrokeOff)
		panic(http.ErrAbortHandler)
	case !c.begun:
		c.begin(http.StatusOK)
		return c.refused
	}
	for name := range c.trailer {
		x.w.Header()[name] = c.header[name]
	}
	return nil
}

// announceTrailer tells which headers will come behind the answer, of those that the service has announced and that may pass.
func (c *called) announceTrailer() {
	c.trailer = http.Header{}
	for _, names := range c.header["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			c.trailer[http.CanonicalHeaderKey(strings.TrimSpace(name))] = nil
		}
	}
	c.x.curtail(c.trailer)
	for name := range c.trailer {
		c.x.w.Header().Add("Trailer", name)
	}
}

// run calls the service, and reports whether it broke off.
func (c *called) run(r *http.Request) (broken bool, err error) {
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case http.ErrAbortHandler:
			broken = true
		default:
			panic(cause)
		}
	}()
	return false, c.x.upstream.inside.Call(c, r)
}

// peer is where requests come from, as far as the service can see: this machine. Whose they are is in X-Forwarded-For.
const peer = "127.0.0.1:0"

// request is what the service sees. Its header is a map of its own.
func (x *exchange) request() *http.Request {
	in := x.r
	h := make(http.Header, len(in.Header)+len(x.room))
	for name, values := range in.Header {
		if !ofConnection(name, in.Header["Connection"]) {
			h[name] = values
		}
	}
	out := &http.Request{
		Method: in.Method, URL: &url.URL{RawQuery: in.URL.RawQuery}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: http.NoBody, ContentLength: in.ContentLength, TransferEncoding: in.TransferEncoding, RemoteAddr: peer,
	}
	if in.ContentLength != 0 {
		out.Body = calledBody{&x.called}
	}
	x.rewrite(out)
	out.URL.Scheme, out.URL.Host, out.Host = "", "", cmp.Or(out.Host, out.URL.Host)
	out.RequestURI = out.URL.RequestURI()
	return out.WithContext(&x.ctx)
}

// calledBody is the client's body. How it fails is for the gateway to tell the client; the service learns what a connection would
// have told it: that it was too slow, or broke off.
type calledBody struct{ c *called }

// Close leaves the body to the gateway.
func (calledBody) Close() error { return nil }

func (b calledBody) Read(p []byte) (int, error) {
	n, err := b.c.x.upload.Read(p)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case fault.KindOf(err) == fault.Timeout:
		if b.c.x.serviceIsPast() {
			b.c.timedOut.Store(true)
		}
		return n, os.ErrDeadlineExceeded
	default:
		return n, io.ErrUnexpectedEOF
	}
}

// Header is the answer's until it begins.
func (c *called) Header() http.Header { return c.header }

// WriteHeader begins the answer, or passes an informational one.
func (c *called) WriteHeader(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.begun:
	case status >= http.StatusOK || status == http.StatusSwitchingProtocols:
		c.begin(status)
	case c.ended() == nil:
		early := clientWriter{ResponseWriter: c.x.w, x: c.x, early: c.header}
		early.WriteHeader(status)
	}
}

// begin passes the answer's head, or notes why not. The caller holds mu.
func (c *called) begin(status int) {
	x := c.x
	c.begun = true
	c.measure(status, nil)
	if c.refused = c.ended(); c.refused != nil {
		return
	}
	connection := c.header["Connection"]
	if c.header["Trailer"] != nil {
		c.announceTrailer()
	}
	maps.DeleteFunc(c.header, func(name string, _ []string) bool { return ofConnection(name, connection) })
	if c.refused = x.approve(c.header); c.refused != nil {
		return
	}
	x.place.Answered()
	own := x.w.Header()
	for name, values := range c.header {
		own[name] = append(own[name], values...)
	}
	x.w.WriteHeader(status)
}

// ended says why the service's answer is of no use any more, if so. net/http ends the context of a request whose body can't be
// read: when it was the service that set its client a time, the answer is the service's.
func (c *called) ended() error {
	cause := context.Cause(&c.x.ctx)
	var cut *fault.Error
	if c.timedOut.Load() && !errors.As(cause, &cut) {
		return nil
	}
	if f := c.x.upload.failed.Load(); f != nil {
		return f
	}
	return cause
}

// passing begins the answer if need be, and reports whether more of it may pass. The caller holds mu.
func (c *called) passing() error {
	if !c.begun {
		c.begin(http.StatusOK)
	}
	switch {
	case c.refused != nil || c.instead:
		return errNotTaken
	case c.x.ctx.Err() != nil && c.ended() != nil:
		c.cut = true
		return errNotTaken
	}
	return nil
}

func (c *called) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.passing(); err != nil {
		return 0, err
	}
	return c.x.w.Write(p)
}

// ReadFrom lets net/http hand a file to the kernel.
func (c *called) ReadFrom(src io.Reader) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.passing(); err != nil {
		return 0, err
	}
	return io.Copy(c.x.w, src)
}

// FlushError passes on what has been written.
func (c *called) FlushError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.passing(); err != nil {
		return err
	}
	return http.NewResponseController(c.x.w).Flush()
}

// SetReadDeadline bounds reads of the body, beside the gateway's own bound.
func (c *called) SetReadDeadline(at time.Time) error {
	c.x.serviceDeadline(at)
	return nil
}

// SetWriteDeadline bounds writes of the answer.
func (c *called) SetWriteDeadline(at time.Time) error {
	c.x.mu.Lock()
	defer c.x.mu.Unlock()
	if c.x.ended {
		return nil
	}
	return http.NewResponseController(c.x.w).SetWriteDeadline(at)
}

// EnableFullDuplex is what the gateway has done already.
func (c *called) EnableFullDuplex() error { return nil }

// exchangeEnded waits a little for a service whose exchange the gateway has ended. When it is the client who has gone there is
// nobody to answer.
func (c *called) exchangeEnded() {
	var cut *fault.Error
	if !errors.As(context.Cause(&c.x.ctx), &cut) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && !c.begun {
		c.late = time.AfterFunc(insteadDelay, c.answerInstead)
	}
}

// answerInstead tells the client why the exchange has ended, while the service has not noticed. What it does from then on is lost.
func (c *called) answerInstead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.begun {
		return
	}
	defer func() { // refuse gives up so when the client has gone; here is no handler to give up
		switch cause := recover(); cause {
		case nil, http.ErrAbortHandler:
		default:
			panic(cause)
		}
	}()
	c.begun, c.instead = true, true
	c.measure(0, errNotTaken)
	x := c.x
	reason := x.explain(errNotTaken)
	if reason == nil {
		return
	}
	x.w.Header().Set("Connection", "close")
	x.refuse(reason)
	_ = http.NewResponseController(x.w).Flush() // a client that has gone
	x.deadlines(past, time.Time{})              // what the service still reads of the body
}

// measure notes that the wait for the answer is over. The caller holds mu.
func (c *called) measure(status int, err error) {
	c.x.upstream.measure(c.x, c.sent, c.span, status, err)
}
