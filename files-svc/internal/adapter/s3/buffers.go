package s3

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"cloakroom.dev/libs/fault"
)

// buffers lends part buffers. Their number is fixed: it is what bounds the memory of all uploads together. A small content
// needs none. One that needs a buffer holds it only from the first byte of a part until the store has the part, so that
// uploads take turns; one whose bytes come so slowly that others would wait in vain has to make room (parked.go).
type buffers struct {
	size    int
	tokens  chan struct{} // one for each buffer that is out
	idle    sync.Pool
	wait    time.Duration
	refused atomic.Int64

	mu      sync.Mutex
	waiting int
	leaving int                 // holders that are making room
	held    map[*buffer]holding // those that are being filled
}

func newBuffers(size, count int, wait time.Duration) *buffers {
	b := &buffers{size: size, tokens: make(chan struct{}, count), wait: wait, held: map[*buffer]holding{}}
	b.idle.New = func() any { return new(make([]byte, size)) }
	return b
}

// take waits for a buffer of at least size bytes. Give it back.
func (b *buffers) take(ctx context.Context, size int) (*buffer, error) {
	select {
	case b.tokens <- struct{}{}:
	default:
		if err := b.queue(ctx); err != nil {
			return nil, err
		}
	}
	if size > b.size { // of an upload that began under a larger part size
		return &buffer{from: b, bytes: new(make([]byte, size)), odd: true}, nil
	}
	return &buffer{from: b, bytes: b.idle.Get().(*[]byte)}, nil
}

// queue waits for a token, and has others make room for it.
func (b *buffers) queue(ctx context.Context) error {
	b.count(&b.waiting, 1)
	defer b.count(&b.waiting, -1)
	patience := time.NewTimer(b.wait)
	defer patience.Stop()
	look := time.NewTicker(b.wait / looksAWait)
	defer look.Stop()
	for {
		b.makeRoom(time.Now())
		select {
		case b.tokens <- struct{}{}:
			return nil
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience.C:
			b.refused.Add(1)
			return fault.Retry(fault.Unavailable, "too many large uploads at once", comeAgain)
		}
	}
}

func (b *buffers) count(n *int, by int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n += by
}

func (b *buffers) inUse() int { return len(b.tokens) }

type buffer struct {
	from  *buffers
	bytes *[]byte
	odd   bool
	n     atomic.Int64 // bytes in it, for whoever looks for room
}

// release gives the buffer back. Calling it again does nothing.
func (b *buffer) release() {
	if b == nil || b.bytes == nil {
		return
	}
	if !b.odd {
		b.from.idle.Put(b.bytes)
	}
	b.bytes = nil
	b.from.letGo(b)
	<-b.from.tokens
}
