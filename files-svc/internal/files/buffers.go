package files

import (
	"sync"
	"time"
)

const (
	// smallBuffer is what a copy holds until it has shown that its bytes come: also all that a parked one holds.
	smallBuffer = 4 << 10
	// bigBuffer is what a copy that flows holds: fewer system calls, and SHA-256 in long runs.
	bigBuffer = 256 << 10
	// maxBigBuffers bounds those of one kind of copy (uploads, downloads, the scrub) to 16 MiB; copies beyond it make do with small ones.
	maxBigBuffers = 64
	// parkedAfter is how long filling or emptying a big buffer may take before it is given to somebody quicker.
	parkedAfter = 2 * time.Second
)

// buffers lends buffers to copies. Idle ones are the garbage collector's.
type buffers struct {
	tokens chan struct{} // one for each big buffer lent
	big    sync.Pool
	small  sync.Pool
}

func newBuffers() *buffers {
	b := &buffers{tokens: make(chan struct{}, maxBigBuffers)}
	b.big.New = func() any { return new([bigBuffer]byte) }
	b.small.New = func() any { return new([smallBuffer]byte) }
	return b
}

// bigOut is how many big buffers are lent.
func (b *buffers) bigOut() int { return len(b.tokens) }

// buffer is what one copy holds, always exactly one of the two.
type buffer struct {
	from  *buffers
	big   *[bigBuffer]byte
	small *[smallBuffer]byte
}

func (b *buffers) take() *buffer {
	return &buffer{from: b, small: b.small.Get().(*[smallBuffer]byte)}
}

func (b *buffer) bytes() []byte {
	if b.big != nil {
		return b.big[:]
	}
	return b.small[:]
}

// adapt changes the size after one round of the copy: whether it filled the buffer, and how long it took. What the buffer
// held is lost.
func (b *buffer) adapt(full bool, took time.Duration) {
	switch {
	case b.big == nil && full && took < parkedAfter:
		select {
		case b.from.tokens <- struct{}{}:
			b.from.small.Put(b.small)
			b.small, b.big = nil, b.from.big.Get().(*[bigBuffer]byte)
		default: // all lent
		}
	case b.big != nil && took >= parkedAfter:
		b.release()
		b.small = b.from.small.Get().(*[smallBuffer]byte)
	}
}

// release gives the buffer back. Calling it again does nothing.
func (b *buffer) release() {
	if b.big != nil {
		b.from.big.Put(b.big)
		b.big = nil
		<-b.from.tokens
	}
	if b.small != nil {
		b.from.small.Put(b.small)
		b.small = nil
	}
}
