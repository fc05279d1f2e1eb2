package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// Place is an exchange's place at an address, where it counts as in flight until Done. The zero Place is none. It is used
// by one goroutine at a time.
type Place struct {
	balancer *Balancer
	at       *endpoint // in flight there; nil when it is not
	last     *endpoint
	sent     int
	good     bool        // there is an answer, and it has not broken off
	body     requestBody // of the first try, so that it needs no allocation
}

// Done gives the place back. It may be called at any time, and again.
func (p *Place) Done() {
	if p.balancer == nil {
		return
	}
	if p.good && p.at.failures.Load() != 0 {
		p.at.failures.Store(0)
	}
	p.leave()
	p.balancer.inFlight.Add(-1)
	p.balancer = nil
}

// Answered says that the service's answer has begun.
func (p *Place) Answered() {
	p.at.answers.Add(1)
	p.good = true
}

// Broke says that the answer broke off behind its header, by the service's fault.
func (p *Place) Broke() {
	if p.balancer != nil && p.good {
		p.good = false
		p.balancer.failed(p.at, "an answer broke off")
	}
}

// Resent is how often the request was sent again.
func (p *Place) Resent() int { return max(p.sent-1, 0) }

// Address is host and port of where it was sent last, or "".
func (p *Place) Address() string {
	if p.last == nil {
		return ""
	}
	return p.last.base.Host
}

func (p *Place) enter(at *endpoint) {
	p.leave()
	p.at, p.last = at, at
	p.sent++
	at.inFlight.Add(1)
}

func (p *Place) leave() {
	if p.at != nil {
		p.at.inFlight.Add(-1)
		p.at = nil
	}
}

// requestBody is the body of a request for one try. A try that has not begun to read it can be robbed of it, so that
// another may: a goroutine of the first that comes late finds nothing.
type requestBody struct {
	io.ReadCloser
	state atomic.Int32
	broke atomic.Bool // the client's end failed
	waits atomic.Bool // for the client's end
}

const (
	bodyUntouched int32 = iota
	bodyRead            // some of it may be gone
	bodyTaken           // it is another try's
)

var errTaken = errors.New("the body is sent elsewhere")

func (b *requestBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyUntouched, bodyRead) && b.state.Load() == bodyTaken {
		return 0, errTaken
	}
	b.waits.Store(true)
	n, err := b.ReadCloser.Read(p)
	b.waits.Store(false)
	if err != nil && !errors.Is(err, io.EOF) {
		b.broke.Store(true)
	}
	return n, err
}

// Close closes what has been read from. What has not may be another try's; whoever made the request closes it in the end.
func (b *requestBody) Close() error {
	if b.state.Load() != bodyRead {
		return nil
	}
	return b.ReadCloser.Close()
}

// untouched takes the body away from its try, and reports whether that was in time. No body always is.
func (b *requestBody) untouched() bool {
	return b.ReadCloser == nil || b.state.CompareAndSwap(bodyUntouched, bodyTaken)
}

// NotSent reports whether err says that not one byte of the request was sent.
func NotSent(err error) bool {
	var unsent *NotSentError
	return errors.As(err, &unsent)
}

// mayGoAgain reports whether a request that failed with err may be sent again. One that not one byte was sent of may; one
// that may have been executed only when a second execution changes nothing.
func mayGoAgain(r *http.Request, body *requestBody, err error) bool {
	if r.Context().Err() != nil {
		return false
	}
	return (NotSent(err) || repeatable(r)) && body.untouched()
}
