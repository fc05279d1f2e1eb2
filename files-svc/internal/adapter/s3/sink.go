package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

var errEnded = errors.New("the blob has ended")

// cleanUpTime bounds what is done for an upload whose own context may have ended.
const cleanUpTime = 10 * time.Second

// sink is one blob on its way into the store. It keeps the context it was created under: Write has none, and must not
// wait for a buffer or the store when the request has gone.
type sink struct {
	ctx   context.Context
	store *Blobs
	key   string

	mu    sync.Mutex // held by each call, and by who takes the buffer
	lost  error      // what the upload hears since its buffer was taken
	fill  filling
	ship  shipping
	multi *multipart // nil while all of it fits a part
	parts int32
	size  int64
	crc   uint32
	ended bool
}

// Create implements files.Blobs.
func (b *Blobs) Create(ctx context.Context, id files.BlobID) (files.BlobSink, error) {
	key, err := b.keyOf(id)
	if err != nil {
		return nil, err
	}
	s := &sink{ctx: ctx, store: b, key: key, fill: filling{pool: b.buffers, size: b.opts.PartBytes}}
	s.fill.by = s
	return s, nil
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.lost != nil {
		return 0, cmp.Or(s.lost, errEnded)
	}
	for len(p) > 0 {
		if s.fill.full() {
			if err := s.send(); err != nil {
				return written, err
			}
		}
		n, err := s.fill.add(s.ctx, p)
		if err != nil {
			return written, err
		}
		written, p = written+n, p[n:]
	}
	return written, nil
}

// send gives the buffer to the store, and returns when the one before it is there.
func (s *sink) send() error {
	if err := s.ship.wait(); err != nil {
		return err
	}
	if s.multi == nil {
		trusted, err := s.store.trusted(s.ctx)
		if err != nil {
			return err
		}
		if s.multi, err = s.store.beginMultipart(s.ctx, s.key, newToken(), trusted); err != nil {
			return err
		}
	}
	if s.parts++; s.parts > maxParts {
		return fault.New(fault.TooLarge, fmt.Sprintf("the storage takes at most %d bytes", int64(maxParts)*int64(s.fill.size)))
	}
	content, number := s.fill.content(), s.parts
	s.count(content)
	used := s.fill.handOver()
	s.ship.begin(func() error {
		defer used.release()
		return s.multi.part(s.ctx, number, content)
	})
	return nil
}

func (s *sink) count(content []byte) {
	s.crc = joinCRC(s.crc, crcOf(content), int64(len(content)))
	s.size += int64(len(content))
}

// Commit implements files.BlobSink.
func (s *sink) Commit(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.lost != nil {
		return cmp.Or(s.lost, errEnded)
	}
	if err := s.commit(ctx); err != nil {
		s.abort()
		return err
	}
	s.ended = true
	return nil
}

func (s *sink) commit(ctx context.Context) error {
	defer s.fill.drop()
	if s.multi == nil {
		return s.store.put(ctx, s.key, s.fill.content())
	}
	if len(s.fill.content()) > 0 {
		if err := s.send(); err != nil {
			return err
		}
	}
	if err := s.ship.wait(); err != nil {
		return err
	}
	return s.multi.complete(ctx, s.size, s.crc)
}

// Abort implements files.BlobSink. An object that stands under the key all the same, since its answer was lost, is left to
// the reaper: it may be another writer's.
func (s *sink) Abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort()
}

func (s *sink) abort() {
	if s.ended {
		return
	}
	s.ended = true
	s.fill.drop()
	_ = s.ship.wait() // the parts are not wanted any more
	if s.multi == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), cleanUpTime)
	defer cancel()
	s.multi.abort(ctx)
}

// filling is a part that grows: in a little memory of its own while it is small, then in a buffer of the pool.
type filling struct {
	pool *buffers
	by   holder
	size int // at which it is full
	room int // that a buffer must have; 0: size
	held []byte
	buf  *buffer
	n    int // bytes in buf
}

func (f *filling) full() bool { return f.len() == f.size }

func (f *filling) len() int { return len(f.held) + f.n }

// add takes as much of p as fits the part.
func (f *filling) add(ctx context.Context, p []byte) (int, error) {
	p = p[:min(len(p), f.size-f.len())]
	if f.buf == nil {
		if len(f.held)+len(p) <= smallBytes {
			f.held = append(f.held, p...)
			return len(p), nil
		}
		if err := f.grow(ctx); err != nil {
			return 0, err
		}
	}
	f.n += copy((*f.buf.bytes)[f.n:f.size], p)
	f.buf.n.Store(int64(f.n))
	return len(p), nil
}

func (f *filling) grow(ctx context.Context) (err error) {
	if f.buf, err = f.pool.take(ctx, max(f.size, f.room)); err != nil {
		return err
	}
	f.n = copy(*f.buf.bytes, f.held)
	f.held = nil
	f.pool.hold(f.buf, f.by)
	return nil
}

func (f *filling) content() []byte {
	if f.buf == nil {
		return f.held
	}
	return (*f.buf.bytes)[:f.n]
}

// handOver empties the part; who gets the buffer must release it when the content is not needed any more.
func (f *filling) handOver() *buffer {
	buf := f.buf
	f.buf, f.n, f.held = nil, 0, nil
	if buf != nil {
		f.pool.letGo(buf)
	}
	return buf
}

func (f *filling) drop() { f.handOver().release() }

// shipping is at most one part on its way while the next is filled. A failure is kept: nothing can follow it.
type shipping struct {
	done chan error
	err  error
}

// begin runs do beside the caller, who has waited for the one before.
func (s *shipping) begin(do func() error) {
	s.done = make(chan error, 1)
	go func() { s.done <- do() }()
}

func (s *shipping) wait() error {
	if s.done != nil {
		s.err = errors.Join(s.err, <-s.done)
		s.done = nil
	}
	return s.err
}
