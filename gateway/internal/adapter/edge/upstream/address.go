// Package upstream is the gateway's side of the conversation with its services: HTTP/1.1, over plain TCP or TLS, or over whatever
// a Dial of its maker's brings.
//
// Address is one address of a service, an http.RoundTripper. What chooses between several addresses, and sends again,
// stands above it. A request goes
//
//	pool      a connection that nobody uses: the one used last, a new one, or the next that comes free
//	request   head, then the body as it comes; the body has a goroutine, everything else runs on the caller's
//	answer    informational answers to the caller's httptrace hook, then the one that counts
//	body      to its end, and the connection back to the pool; or an upgrade, and the connection to the caller
//
// Promises, both sides being hostile:
//   - An answer is believed only when it leaves no question (RFC 9112 §2.2, §5, §6, §7): one framing and one length, lines that
//     end in CRLF, no folded lines, no name with a space behind it. Whatever else a lenient reader would guess at is refused.
//   - A short answer never looks whole. An answer without a framing, which ends when the connection does, can't be told from one
//     that broke off, and is refused (§6.3, §8).
//   - An answer belongs to the request it came for. A connection serves another request only when the answer before was read to
//     its end with nothing behind it, the request before was sent to its end, and the socket has nothing to say in the moment
//     before it is used (§9.3: what is unasked for is nobody's).
//   - A request is sent again only when the connection it was sent on had served another before, not one byte of an answer came,
//     nothing of the body was read, and its method is idempotent or nothing was sent either (§9.3.1).
//   - When the request's context ends, reads and writes end at once, in both directions, and the connection is not used again.
//   - A body is never held: at most one piece of it, 64 KiB, is between the two sides. An idle connection holds no buffers.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Pool bounds the connections to one address.
type Pool struct {
	MaxConns     int           // at once; 0 is no bound
	MaxIdleConns int           // kept for the next request
	IdleTimeout  time.Duration // how long they are kept; 0 is for ever
	DialTimeout  time.Duration // the most a request waits for a connection: first for its turn, then for the dial; 0 is no bound
	TLS          *tls.Config   // of https addresses; nil trusts the system's roots
	Dial         Dial          // nil is TCP
}

// Dial makes a connection to a service in its own way: to one in the same process, without the network. What it returns must be
// a socket, or have Quiet() bool, which says that there is neither a byte nor an end to be read from it.
type Dial func(context.Context) (net.Conn, error)

const (
	// continueTimeout is how long a client that asked for 100-continue is made to wait for the service's word. It is long
	// enough for the service to look at the request, so that a refused upload is never sent.
	continueTimeout = 10 * time.Second
	// keepAlive finds services that vanished without a word, while an exchange waits for them.
	keepAlive = 15 * time.Second
)

// NotSentError is returned by RoundTrip when not one byte of the request has been sent: no connection could be had. The
// request's body has been neither read nor closed, so that it can go elsewhere, whatever its method.
type NotSentError struct{ Err error }

func (e *NotSentError) Error() string { return "not sent: " + e.Err.Error() }

// Unwrap is why.
func (e *NotSentError) Unwrap() error { return e.Err }

// Address is one address of a service. It is safe for use by many goroutines.
type Address struct {
	base    *url.URL
	dialled string // host and port to dial
	dialer  net.Dialer
	tls     *tls.Config // nil for http
	pool    pool
}

var _ http.RoundTripper = (*Address)(nil)

// NewAddress makes an Address. base is scheme (http or https), host and port. Nothing is dialled before it is needed.
func NewAddress(base *url.URL, p Pool) *Address {
	a := &Address{base: base, dialer: net.Dialer{KeepAlive: keepAlive}}
	port := base.Port()
	if base.Scheme == "https" {
		a.tls = tlsConfig(p.TLS, base.Hostname())
		if port == "" {
			port = "443"
		}
	} else if port == "" {
		port = "80"
	}
	a.dialled = net.JoinHostPort(base.Hostname(), port)
	a.pool = pool{bounds: p, dial: a.dial}
	return a
}

// tlsConfig speaks HTTP/1.1 alone: HTTP/2 between machines next to each other costs throughput and gains nothing.
func tlsConfig(given *tls.Config, host string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if given != nil {
		c = given.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	c.NextProtos = []string{"http/1.1"}
	return c
}

// Base is the address: scheme, host and port.
func (a *Address) Base() *url.URL { return a.base }

// Stats tells how the pool is used now.
func (a *Address) Stats() Stats { return a.pool.stats() }

// RoundTrip sends r to this address, whatever its URL says of scheme and host, and returns the answer once its header
// has come. It fails with a NotSentError when the service cannot have seen anything of the request. It does not change r,
// and closes its body unless it fails with a NotSentError; the answer's Request is r. The answer's Body must be read to
// its end or closed. When r's context ends, the error is the context's cause.
//
// Informational answers go to Got1xxResponse of r's httptrace.ClientTrace. The Body of a 101 is the connection, an
// io.ReadWriteCloser with CloseWrite.
func (a *Address) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := sendable(r); err != nil {
		closeBody(r)
		return nil, err
	}
	for again := false; ; again = true {
		c, err := a.pool.take(r.Context(), again)
		switch {
		case err != nil && !again:
			return nil, &NotSentError{err}
		case err != nil:
			closeBody(r)
			return nil, err
		}
		x := &exchange{conn: c, request: r}
		err = x.run()
		if err == nil {
			return &x.response, nil
		}
		if !x.mayGoAgain() {
			closeBody(r)
			return nil, err
		}
	}
}

// dial opens a connection.
func (a *Address) dial(ctx context.Context) (*conn, error) {
	plain, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	c, err := newConn(plain, &a.pool)
	if err != nil {
		_ = plain.Close()
		return nil, err
	}
	if a.tls != nil {
		secured := tls.Client(plain, a.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = plain.Close()
			return nil, fmt.Errorf("TLS handshake with %s: %w", a.dialled, err)
		}
		c.Conn, c.secured = secured, true
	}
	return c, nil
}

func (a *Address) open(ctx context.Context) (net.Conn, error) {
	if own := a.pool.bounds.Dial; own != nil {
		return own(ctx)
	}
	return a.dialer.DialContext(ctx, "tcp", a.dialled)
}

// Close closes the idle connections. Requests that run keep theirs until they end; those that come later still work, and
// keep none.
func (a *Address) Close() { a.pool.close() }

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// errNoTurn is a wait for a connection that lasted too long: all that may be open are in use.
var errNoTurn = errors.New("every connection this address may have is in use")
