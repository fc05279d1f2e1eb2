package sqlite

import (
	"sync"
	"sync/atomic"
)

// bench is where readers wait. The one used last is used next: its cache is warm, and those of readers that are hardly ever needed
// take no memory.
type bench struct {
	some    chan struct{} // holds as many as there are readers: who receives one may take one
	waiting atomic.Int64  // reads that found none
	mu      sync.Mutex
	conns   []*conn
}

func newBench(most int) *bench { return &bench{some: make(chan struct{}, most)} }

func (b *bench) take() *conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.conns) - 1
	c := b.conns[last]
	b.conns = b.conns[:last]
	return c
}

func (b *bench) put(c *conn) {
	b.mu.Lock()
	b.conns = append(b.conns, c)
	b.mu.Unlock()
	b.some <- struct{}{}
}
