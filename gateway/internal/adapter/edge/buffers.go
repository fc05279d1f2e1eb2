package edge

import (
	"sync"
	"sync/atomic"
)

// Buffers for copying answers. A large one makes a download a fifth cheaper, but a client that reads slowly keeps it for
// as long as it likes; so only so many are out at once, and everybody else copies through a small one.
const (
	largeBuffer  = 256 << 10
	smallBuffer  = 16 << 10
	largeBuffers = 64 // 16 MiB
)

// bufferPool is a httputil.BufferPool of two sizes.
type bufferPool struct {
	large, small sync.Pool
	out          atomic.Int64 // large ones
}

func newBufferPool() *bufferPool {
	p := &bufferPool{}
	p.large.New = func() any { return new([largeBuffer]byte) }
	p.small.New = func() any { return new([smallBuffer]byte) }
	return p
}

// Get returns a large buffer while there are any.
func (p *bufferPool) Get() []byte {
	if p.out.Add(1) <= largeBuffers {
		return p.large.Get().(*[largeBuffer]byte)[:] //nolint:forcetypeassert // the pool holds nothing else
	}
	p.out.Add(-1)
	return p.getSmall()
}

func (p *bufferPool) getSmall() []byte {
	return p.small.Get().(*[smallBuffer]byte)[:] //nolint:forcetypeassert // the pool holds nothing else
}

// largeOut is how many large buffers are out.
func (p *bufferPool) largeOut() int64 { return min(p.out.Load(), largeBuffers) } // who asks in vain is in it for a moment

// Put takes a buffer back.
func (p *bufferPool) Put(b []byte) {
	switch len(b) {
	case largeBuffer:
		p.large.Put((*[largeBuffer]byte)(b))
		p.out.Add(-1)
	case smallBuffer:
		p.small.Put((*[smallBuffer]byte)(b))
	}
}

// lender is the pool as one exchange sees it: an answer that says it is short gets a small buffer, so that many small
// answers at once do not take what the downloads need, nor all that memory.
type lender struct{ short bool }

// Get implements httputil.BufferPool.
func (l *lender) Get() []byte {
	if l.short {
		return buffers.getSmall()
	}
	return buffers.Get()
}

// Put implements httputil.BufferPool.
func (*lender) Put(b []byte) { buffers.Put(b) }
