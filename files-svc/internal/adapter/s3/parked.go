package s3

import (
	"time"

	"cloakroom.dev/libs/fault"
)

const (
	looksAWait = 20 // how often somebody who waits for a buffer looks who could make room
	slowPart   = 4  // a buffer is left alone for this part of the time others wait
)

// holder fills a buffer, at the speed of its client.
type holder interface {
	// saves reports whether making room costs the client nothing.
	saves() bool
	// giveUp gives the buffer back, unless a call is at work on it now, and reports whether it does; done is called when it has.
	giveUp(done func()) bool
}

// holding is since when who fills a buffer.
type holding struct {
	by    holder
	since time.Time
}

// hold makes it known that a buffer is being filled; letGo, that it is not.
func (b *buffers) hold(buf *buffer, by holder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[buf] = holding{by, time.Now()}
}

func (b *buffers) letGo(buf *buffer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held, buf)
}

// makeRoom has the slowest holder make room, when more wait than have been seen to. Slow is who would not fill a buffer within the
// time others wait. Those who can go on afterwards come first, whatever their speed.
func (b *buffers) makeRoom(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting <= b.leaving {
		return
	}
	var slowest *buffer
	var lowest float64
	for buf, h := range b.held {
		took := now.Sub(h.since)
		rate := float64(buf.n.Load()) / took.Seconds()
		if took < b.wait/slowPart || rate*b.wait.Seconds() >= float64(b.size) {
			continue
		}
		if slowest == nil || h.by.saves() && !b.held[slowest].by.saves() || h.by.saves() == b.held[slowest].by.saves() && rate < lowest {
			slowest, lowest = buf, rate
		}
	}
	if slowest == nil {
		return
	}
	by := b.held[slowest].by
	delete(b.held, slowest) // once is enough
	b.leaving++
	go func() {
		if !by.giveUp(func() { b.count(&b.leaving, -1) }) {
			b.count(&b.leaving, -1)
		}
	}()
}

// errSlow is what an upload hears that can't go on without the buffer it had.
func errSlow() error {
	return fault.Retry(fault.Unavailable, "this upload is too slow while others wait: send it as a resumable one, or later", comeAgain)
}

// saves implements holder: what a plain upload has sent is lost.
func (s *sink) saves() bool { return false }

// giveUp implements holder.
func (s *sink) giveUp(done func()) bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	if s.ended || s.lost != nil || s.fill.buf == nil {
		return false
	}
	s.lost = errSlow()
	s.fill.drop()
	s.store.metrics.madeRoom.WithLabelValues("refused").Inc()
	done()
	return true
}

// saves implements holder: what has come is a piece like any other, which the next Sync tells of.
func (s *partialSink) saves() bool { return true }

// giveUp implements holder. Calls of the sink wait until the piece is there.
func (s *partialSink) giveUp(done func()) bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	if s.bad || s.over || s.fill.buf == nil {
		return false
	}
	defer done()
	if err := s.sync(s.ctx); err != nil {
		s.store.opts.Log.WarnContext(s.ctx, "a slow upload can't be saved to make room", "upload", s.id, "error", err.Error())
		s.bad, s.why = true, err
	}
	s.fill.drop()
	s.from = s.have.end()
	s.fill.size = int(s.have.part - s.from%s.have.part)
	s.store.metrics.madeRoom.WithLabelValues("saved").Inc()
	return true
}
