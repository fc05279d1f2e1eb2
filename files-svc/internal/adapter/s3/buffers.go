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
// uploads take turns.
type buffers struct {
	size    int
	tokens  chan struct{} // one for each buffer that is out
	idle    sync.Pool
	wait    time.Duration
	refused atomic.Int64
}

func newBuffers(size, count int, wait time.Duration) *buffers {
	b := &buffers{size: size, tokens: make(chan struct{}, count), wait: wait}
	b.idle.New = func() any { return new(make([]byte, size)) }
	return b
}

// take waits for a buffer of at least size bytes. Give it back.
func (b *buffers) take(ctx context.Context, size int) (*buffer, error) {
	patience := time.NewTimer(b.wait)
	defer patience.Stop()
	select {
	case b.tokens <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-patience.C:
		b.refused.Add(1)
		return nil, fault.Retry(fault.Unavailable, "too many large uploads at once", comeAgain)
	}
	if size > b.size { // of an upload that began under a larger part size
		return &buffer{from: b, bytes: new(make([]byte, size)), odd: true}, nil
	}
	return &buffer{from: b, bytes: b.idle.Get().(*[]byte)}, nil
}

func (b *buffers) inUse() int { return len(b.tokens) }

type buffer struct {
	from  *buffers
	bytes *[]byte
	odd   bool
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
	<-b.from.tokens
}
