// Package wire watches the bytes of HTTP/1 connections before net/http parses them.
//
// net/http is lenient where two parsers can disagree about where one request ends and the next begins: it drops
// Content-Length beside Transfer-Encoding without a word, unfolds folded headers, takes bare line feeds. A request that
// could be read in two ways is an attack or a broken client, so it has to be refused, and net/http no longer shows it.
// What net/http does refuse it refuses in plain text, without a word in the log: that is noticed here before, too.
//
// Listen wraps a listener. Each connection follows the framing of its requests with a small scanner of its own. A head
// that is fine passes untouched, usually without a copy. A head that is not fine never reaches net/http: its request
// line, or one in its place, is followed by one header that names the reason, so that the refusal travels the ordinary path with its
// request id, log line, metric and problem document; the handler asks Refusal and closes. What follows on the connection is
// thrown away. And a connection that waits long for its next request is parked: see park.go.
//
// Promises: nothing is held back but a head that has not fully arrived (bounded by Limits.HeaderBytes, and by the server's read
// timeouts, since the first byte passes at once); bodies are never copied; a request seen
// by net/http after a refused one on the same connection is impossible.
package wire

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// refusalHeader carries the reason from the connection to the handler. A client that sends it refuses only itself.
const refusalHeader = "Cloakroom-Wire-Refusal"

// A connection that is closed while its client still sends is drained for a moment. Closing with unread bytes would
// reset the connection, and the client might never see the answer.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 4 << 20
)

// Refusal reports why the connection refused this request, and whether it did. The handler must then answer and set
// Connection: close; the request has no header and no body.
func Refusal(r *http.Request) (Reason, bool) {
	v := r.Header[refusalHeader]
	if len(v) == 0 {
		return 0, false
	}
	return parseReason(v[0]), true
}

// MustClose reports whether the answer to r has to end the connection unless it is taken over (101): after a request
// for an upgrade the bytes belong to another protocol and are no longer watched.
func MustClose(r *http.Request) bool { return len(r.Header["Upgrade"]) > 0 }

// Conn is a watched connection. Reads come from one goroutine at a time, as net/http does it.
type Conn struct {
	net.Conn
	release func()      // gives the listener's slot back; may be called again
	closing atomic.Bool // a lingering close is under way
	write   deadlines
	lot     *lot // nil: it is never parked
	parking parking

	scan  scanner
	ready []byte // scanned, to be handed out before anything else is read
	held  []byte // of an incomplete head
	cut   bool   // refused: what still arrives is thrown away
	raw   bool   // no longer HTTP/1 requests
}

// Read hands out watched bytes.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.Conn.Read(p)
	}
	for {
		if len(c.ready) > 0 {
			n := copy(p, c.ready)
			if c.ready = c.ready[n:]; len(c.ready) == 0 {
				c.ready = nil
			}
			return n, nil
		}
		n, err := c.Conn.Read(p)
		if n == 0 && c.lookedUp(err) {
			if c.leaves() {
				return 0, io.EOF
			}
			continue
		}
		if c.raw || n == 0 {
			return n, err
		}
		if n = c.filter(p[:n]); n > 0 {
			return n, nil
		}
		if err != nil && len(c.ready) == 0 {
			return 0, err
		}
	}
}

// filter scans fresh bytes and returns how many of them net/http may see now.
func (c *Conn) filter(p []byte) int {
	if c.cut {
		return 0
	}
	if len(c.held) > 0 {
		c.held = append(c.held, p...)
		n := c.pass(c.held)
		c.ready = append(c.held[:n:n], c.ready...) // ready may hold a refusal, which comes after the good bytes
		c.hold(c.held[n:])
		return 0
	}
	n := c.pass(p)
	c.hold(append([]byte(nil), p[n:]...))
	return n
}

// pass scans b and returns the length of the part that may go on.
func (c *Conn) pass(b []byte) int {
	n, verdict := c.scan.run(b)
	switch verdict {
	case verdictRefuse:
		c.ready = refusedHead(c.scan.instead, c.scan.reason)
		c.cut = true
	case verdictBroken:
		// net/http must fail as well, by its own judgement: an error of the connection would pass for a client that left.
		c.ready = []byte("\x00\r\n\r\n")
		c.cut = true
	case verdictRaw:
		c.raw = true
		return len(b)
	case verdictMore:
	}
	return n
}

// hold keeps the rest of a head that is still arriving.
func (c *Conn) hold(rest []byte) {
	if len(rest) == 0 || c.cut {
		rest = nil
	}
	c.held = rest
}

// refusedHead is what net/http reads instead of the header lines it must not see, and of the request line when that is bad.
func refusedHead(line string, why Reason) []byte {
	return []byte(line + "Host: refused.invalid\r\n" + refusalHeader + ": " + why.String() + "\r\nConnection: close\r\n\r\n")
}

// midRequest reports whether bytes of a request may still be on their way: it was refused, or its body was not read.
func (c *Conn) midRequest() bool {
	return !c.raw && (c.cut || c.scan.state != inRequestLine)
}

// Close closes the connection, or parks it when net/http was made to let go of it. In the middle of a request that happens
// a moment later, behind the answer.
func (c *Conn) Close() error {
	if c.parked() {
		return nil
	}
	c.release()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || !c.midRequest() || c.closing.Swap(true) || half.CloseWrite() != nil {
		return c.Conn.Close()
	}
	_ = c.SetReadDeadline(time.Now().Add(lingerTime))
	go func() { // ends by itself within lingerTime
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
		_ = c.Conn.Close()
	}()
	return nil
}

// CloseWrite ends the sending side, where the connection has one. WebSocket copies use it to pass on an end of stream.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

var _ net.Conn = (*Conn)(nil)
