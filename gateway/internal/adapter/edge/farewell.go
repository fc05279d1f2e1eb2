package edge

import (
	"net/http"
	"sync"
	"time"

	"cloakroom.dev/libs/web"
)

// A request that ends the very session it came with is cut like any other of that session, and its caller would be told 401
// for what has succeeded. So the one upstream that ends sessions marks such answers, and a request to it that was sent whole
// may wait for its answer a little longer. What comes without the mark is the answer of a revoked caller, and not passed.

const (
	// farewellTime bounds the wait, and the answer with it. It is above the two seconds that the auth service itself waits
	// for the word to spread.
	farewellTime = 3 * time.Second
	// severDelay is what a cut exchange has to end by itself, before its client's connection is ended for it.
	severDelay = 200 * time.Millisecond
)

// farewell is what becomes of an exchange whose caller is revoked.
type farewell struct {
	mu      sync.Mutex
	cause   error       // the caller is revoked: only a marked answer may begin
	marked  bool        // the answer has begun and is marked
	waiting bool        // for an answer, or the end of one
	late    *time.Timer // ends the wait
	severed bool
	ended   bool
}

// revoked is told that the caller is, once.
func (x *exchange) revoked(cause error) {
	f := &x.farewell
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cause = cause
	if f.ended || !x.mayAnswerYet() {
		x.cancel(cause)
		return
	}
	f.waiting = true
	f.late = time.AfterFunc(farewellTime, x.waitedLongEnough)
}

// waitedLongEnough ends the wait, or an answer that has begun and does not end.
func (x *exchange) waitedLongEnough() {
	f := &x.farewell
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	f.waiting = false
	x.cancel(f.cause)
	f.late = time.AfterFunc(severDelay, x.sever)
}

// mayAnswerYet reports whether an answer is worth waiting for. The caller holds farewell.mu.
func (x *exchange) mayAnswerYet() bool {
	if x.begun.Load() {
		return x.farewell.marked
	}
	return x.upstream.endsCallers && !web.ChangesNothing(x.r) && (x.r.ContentLength == 0 || x.upload.ended())
}

// admit is asked when the answer begins, and refuses it when its caller may not have it any more.
func (x *exchange) admit(answer http.Header) error {
	f := &x.farewell
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marked = x.upstream.endsCallers && answer[web.CallerEndedHeader] != nil && !web.ChangesNothing(x.r)
	if f.cause != nil && !f.marked {
		x.cancel(f.cause) // so that it counts as cut
		return f.cause
	}
	x.begun.Store(true)
	return nil
}

// sever ends a read or a write that hangs: the client does not send, or does not take what it is sent. Nobody knows then
// how much has passed, so the connection goes. An answer that is waited for has its own time.
func (x *exchange) sever() {
	f := &x.farewell
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || f.waiting {
		return
	}
	f.severed = true
	x.deadlines(past, past)
}

// end is when the exchange is over: nothing touches it any more. It reports whether the connection was severed.
func (f *farewell) end() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	if f.late != nil {
		f.late.Stop()
	}
	return f.severed
}
