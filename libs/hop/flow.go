package hop

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// keptBytes is what a write may leave for a reader that is not there yet: a head, a short body, a whole short answer.
const keptBytes = 4 << 10

var rooms = sync.Pool{New: func() any { return new([keptBytes]byte) }}

// flow is one direction. Writers take turns, and so do readers.
type flow struct {
	reading, writing sync.Mutex // a turn; taken before mu

	mu     sync.Mutex
	reader side
	writer side

	kept []byte           // written, and not read yet: a part of room
	room *[keptBytes]byte // nil while nothing is kept

	target  []byte // of a reader that waits
	taken   int    // bytes that were put there
	filling bool   // somebody does so at this moment, without the lock
}

// side is one of the two that wait for each other.
type side struct {
	moved    sync.Cond
	closed   error // what it gets from now on
	deadline time.Time
	timer    *time.Timer
	due      time.Time // when the timer goes off; zero when it does not run
	waiting  bool
}

func newFlow() *flow {
	f := &flow{}
	f.reader.moved.L, f.writer.moved.L = &f.mu, &f.mu
	return f
}

// wait returns when something may have changed for s, or fails when its deadline has passed. The caller holds mu.
func (f *flow) wait(s *side) error {
	if !s.deadline.IsZero() {
		left := time.Until(s.deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		f.alarm(s, left)
	}
	f.park(s)
	return nil
}

// park waits until s is woken, whatever its deadline. The caller holds mu.
func (*flow) park(s *side) {
	s.waiting = true
	s.moved.Wait()
	s.waiting = false
}

// alarm has s looked at when its deadline has passed, which is in so long. A timer that goes off before that is left to find
// out for itself that the deadline has moved: deadlines move with every request, nearly always into the future, and pass
// hardly ever. The caller holds mu.
func (f *flow) alarm(s *side, left time.Duration) {
	switch {
	case s.timer == nil:
		s.timer = time.AfterFunc(left, func() { f.ring(s) })
	case s.due.IsZero() || s.deadline.Before(s.due):
		s.timer.Reset(left)
	default:
		return
	}
	s.due = s.deadline
}

// ring is the timer's: it wakes whoever waits and is late.
func (f *flow) ring(s *side) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.due = time.Time{}
	if !s.waiting || s.deadline.IsZero() {
		return
	}
	if left := time.Until(s.deadline); left > 0 {
		f.alarm(s, left)
		return
	}
	s.wake()
}

func (s *side) wake() {
	if s.waiting {
		s.moved.Broadcast()
	}
}

// late reports whether the deadline has passed.
func (s *side) late() bool { return !s.deadline.IsZero() && time.Until(s.deadline) <= 0 }

// setDeadline wakes whoever waits only when the deadline has passed: until then nothing changes for them.
func (f *flow) setDeadline(s *side, t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(s.closed, net.ErrClosed) {
		return net.ErrClosed
	}
	s.deadline = t
	if !s.waiting || t.IsZero() {
		return nil
	}
	if left := time.Until(t); left > 0 {
		f.alarm(s, left)
	} else {
		s.wake()
	}
	return nil
}

// read takes what is kept, or waits for a writer to put something into p.
func (f *flow) read(p []byte) (int, error) {
	f.reading.Lock()
	defer f.reading.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reader.closed == nil && f.reader.late() {
		return 0, os.ErrDeadlineExceeded
	}
	if len(f.kept) > 0 && f.reader.closed == nil {
		return f.takeKept(p), nil
	}
	if len(p) == 0 {
		return 0, f.reader.closed
	}
	f.target, f.taken = p, 0
	defer func() { f.target = nil }()
	f.writer.wake() // one that could not leave anything here
	for {
		switch {
		case f.filling:
			f.park(&f.reader) // somebody writes to p
		case f.taken > 0:
			return f.taken, nil
		case f.reader.closed != nil:
			return 0, f.reader.closed
		case f.writer.closed != nil:
			return 0, io.EOF
		default:
			if err := f.wait(&f.reader); err != nil {
				return 0, err
			}
		}
	}
}

// takeKept copies what is kept, and gives the memory back with the last of it.
func (f *flow) takeKept(p []byte) int {
	n := copy(p, f.kept)
	if f.kept = f.kept[n:]; len(f.kept) == 0 {
		f.forget()
	}
	f.writer.wake()
	return n
}

func (f *flow) forget() {
	if f.room != nil {
		rooms.Put(f.room)
		f.room, f.kept = nil, nil
	}
}

// write gives p to whoever reads.
func (f *flow) write(p []byte) (n int, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.writer.closed != nil:
			return n, f.writer.closed
		case f.reader.closed != nil:
			return n, syscall.EPIPE
		case f.writer.late():
			return n, os.ErrDeadlineExceeded
		}
		n += f.give(p[n:])
		if n == len(p) {
			return n, nil
		}
		if err := f.wait(&f.writer); err != nil {
			return n, err
		}
	}
}

// give puts as much of p as can be where it will be read, and returns how much that was.
func (f *flow) give(p []byte) int {
	n := 0
	if len(f.kept) == 0 && f.wanted() {
		n = copy(f.target, p)
		f.taken = n
		f.reader.wake()
	}
	rest := p[n:]
	if len(rest) == 0 || len(rest) > keptBytes-len(f.kept) {
		return n
	}
	if f.room == nil {
		f.room = rooms.Get().(*[keptBytes]byte) //nolint:forcetypeassert // the pool holds nothing else
		f.kept = f.room[:0]
	}
	if cap(f.kept)-len(f.kept) < len(rest) { // room enough, but not behind
		f.kept = f.room[:copy(f.room[:], f.kept)]
	}
	f.kept = append(f.kept, rest...)
	return len(p)
}

// wanted reports whether a reader waits that has got nothing yet.
func (f *flow) wanted() bool { return len(f.target) > 0 && f.taken == 0 && f.reader.closed == nil }

// fill reads once from src into the memory of a reader, when there is one. src must not wait for anybody.
func (f *flow) fill(src io.Reader) (int, error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.writer.closed != nil:
			return 0, f.writer.closed
		case f.reader.closed != nil:
			return 0, syscall.EPIPE
		case f.writer.late():
			return 0, os.ErrDeadlineExceeded
		case len(f.kept) == 0 && f.wanted():
			target := f.target
			f.filling = true
			f.mu.Unlock()
			n, err := src.Read(target)
			f.mu.Lock()
			f.filling, f.taken = false, n
			f.reader.wake()
			return n, err
		}
		if err := f.wait(&f.writer); err != nil {
			return 0, err
		}
	}
}

func (f *flow) quiet() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.kept) == 0 && !f.writer.waiting && f.writer.closed == nil && f.reader.closed == nil
}

// stopReading ends the reader, and with it every write.
func (f *flow) stopReading() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reader.closed = net.ErrClosed
	f.reader.stop()
	if !f.filling {
		f.forget()
	}
	f.writer.wake()
}

// stopWriting ends the writer; the reader gets what is kept, and then an end.
func (f *flow) stopWriting(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !errors.Is(f.writer.closed, net.ErrClosed) {
		f.writer.closed = why
	}
	f.writer.stop()
	f.reader.wake()
}

// stop wakes the side itself, and ends its timer.
func (s *side) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.due = time.Time{}
	}
	s.wake()
}
