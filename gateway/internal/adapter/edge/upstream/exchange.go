package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"sync/atomic"
)

// exchange is one request and its answer on one connection. It is one allocation, and the answer's body.
//
// Two parties use the connection: whoever reads the answer, and, when there is a body, the goroutine that sends it. The
// last to leave gives it back.
type exchange struct {
	response http.Response
	request  *http.Request
	conn     *conn
	release  func() bool // lets go of the request's context; false when that has ended

	wrote     bool // something of the request has been sent
	waits     bool // the body waits for the service's word
	uploading bool // the body has been begun
	unbidden  bool // without the service's word
	heard     bool // something of an answer has come

	body reader
	end  error // of the answer, once it is there

	taken     atomic.Bool // some of the request's body has been read
	parties   atomic.Int32
	spent     atomic.Bool           // the connection is for no other request
	drained   atomic.Bool           // the request's body has been read to its end
	unsending atomic.Pointer[error] // why the request's body could not be read
}

// run sends the request and returns when the answer's head has come.
func (x *exchange) run() error {
	x.conn.arm()
	x.parties.Store(1)
	x.release = context.AfterFunc(x.request.Context(), x.conn.cut)
	err := x.send()
	if err == nil {
		err = x.receive()
	}
	if err != nil {
		err = x.reason(err)
		x.leaveAnswer(dead)
	}
	return err
}

// send writes the head and sets the body going.
func (x *exchange) send() error {
	text := appendHead(x.conn.head[:0], x.request)
	x.conn.head = text
	n, err := x.conn.Write(text)
	x.wrote = n > 0
	switch {
	case err != nil:
		return fmt.Errorf("send the request: %w", err)
	case bodyLength(x.request) == 0:
	case asksToContinue(x.request):
		x.waits = true
	default:
		x.startUpload()
	}
	return nil
}

// receive reads heads until one is the answer.
func (x *exchange) receive() error {
	for {
		if x.waits {
			x.awaitContinue()
		}
		text, err := readHead(x.conn.in, x.conn.head[:0])
		x.conn.head = text
		x.heard = x.heard || len(text) > 0
		if err != nil {
			return fmt.Errorf("read the answer: %w", whole(err))
		}
		h, err := parseHead(string(text))
		if err != nil {
			return err
		}
		length, err := h.frame(x.request.Method)
		if err != nil {
			return err
		}
		if h.status >= 200 || h.status == http.StatusSwitchingProtocols {
			return x.accept(&h, length)
		}
		if err := x.inform(&h); err != nil {
			return err
		}
	}
}

// awaitContinue waits for anything the service says, and for so long. Then the body goes without its word, as RFC 9110
// §10.1.1 asks: the service may not know the expectation.
func (x *exchange) awaitContinue() {
	x.conn.readWithin(continueTimeout)
	_, err := x.conn.in.Peek(1)
	x.conn.readWithin(0)
	if errors.Is(err, os.ErrDeadlineExceeded) && x.request.Context().Err() == nil {
		x.unbidden = true
		x.startUpload()
	}
}

// inform passes an informational answer on. The first read of a body that the service has not asked for has net/http ask for
// it, on the client's connection and by a lock of its own; until that is over nothing else may be said there.
func (x *exchange) inform(h *head) error {
	if x.unbidden && !x.taken.Load() {
		return nil
	}
	trace := httptrace.ContextClientTrace(x.request.Context())
	if trace != nil && trace.Got1xxResponse != nil {
		if err := trace.Got1xxResponse(h.status, textproto.MIMEHeader(h.header)); err != nil {
			return err
		}
	}
	if h.status == http.StatusContinue && x.waits {
		x.startUpload()
	}
	return nil
}

// accept makes the answer of its head.
func (x *exchange) accept(h *head, length int64) error {
	if h.status == http.StatusSwitchingProtocols && (!h.switches(x.request) || x.uploading || x.waits) {
		return malformed("an upgrade that nobody asked for")
	}
	x.conn.answerBegins()
	if x.waits { // the service has answered without the body, and may take whatever comes for it
		x.spent.Store(true)
		closeBody(x.request)
	}
	if !h.persists() {
		x.spent.Store(true)
	}
	x.response = http.Response{
		Status: h.text, StatusCode: h.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: h.minor,
		Header: h.header, ContentLength: length, Close: !h.persists(), Request: x.request, Body: http.NoBody,
	}
	if h.minor == 0 {
		x.response.Proto = "HTTP/1.0"
	}
	switch {
	case h.status == http.StatusSwitchingProtocols:
		x.response.Body = &tunnel{x: x}
	case length == 0:
		if x.request.Method == http.MethodHead {
			x.response.ContentLength = declared(h.header)
		}
		x.finish()
	default:
		return x.expectBody(length)
	}
	return nil
}

// declared is the length that an answer without its body has told, or -1.
func declared(header http.Header) int64 {
	if lengths := header["Content-Length"]; len(lengths) == 1 {
		return decimal(lengths[0])
	}
	return -1
}

// expectBody makes the exchange the body of its answer.
func (x *exchange) expectBody(length int64) error {
	x.body = reader{in: x.conn.in, left: length}
	if length == chunked {
		trailer, err := announced(x.response.Header)
		if err != nil {
			return err
		}
		x.body.left, x.body.chunks, x.body.trailer = 0, true, trailer
		x.response.TransferEncoding, x.response.Trailer = inChunks, trailer
	}
	x.response.Body = x
	return nil
}

var inChunks = []string{"chunked"}

// Read reads the answer's body. With its end, the connection is another request's.
func (x *exchange) Read(p []byte) (int, error) {
	if x.end != nil {
		return 0, x.end
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := x.body.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		x.end = io.EOF
		x.finish()
	default:
		x.end = x.reason(err)
		x.leaveAnswer(dead)
	}
	return n, x.end
}

var errClosed = errors.New("read of a closed body")

// Close ends an answer that nobody wants to the end of. It must not be called while a Read is under way.
func (x *exchange) Close() error {
	if x.end == nil {
		x.end = errClosed
		x.leaveAnswer(dead)
	}
	return nil
}

// reason finds why something failed: the request's body and its context come before what they did to the connection.
func (x *exchange) reason(err error) error {
	if why := x.unsending.Load(); why != nil {
		return *why
	}
	if ctx := x.request.Context(); ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// mayGoAgain reports whether the failed request may be sent once more: the service had closed a connection while it was
// idle, and cannot have acted on this, or it does no harm if it has.
func (x *exchange) mayGoAgain() bool {
	return x.conn.reused && !x.heard && !x.uploading && x.request.Context().Err() == nil &&
		(!x.wrote || repeatable(x.request))
}
