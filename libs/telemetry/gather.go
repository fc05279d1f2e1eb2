package telemetry

import (
	"io"
	"sync"
	"time"
)

const (
	gatherFor  = 5 * time.Millisecond
	gatherMost = 4 << 10 // bytes: what a pipe takes whole whoever else writes to it (PIPE_BUF)
)

// Gathered writes lines of a busy service together: a write for each costs more than making the line. The first is written at once, what
// comes in the 5 ms after it at their end, and so on until nothing comes. Lines stay whole, and a write has at most 4 KiB of them, or one
// that is longer: who brings more than that writes, and waits as without gathering. Loggers on it have warnings and errors written at once,
// and what was logged before them. A process that is killed or panics loses the last 5 ms of its log; one that ends must Close.
// It is safe for concurrent use.
type Gathered struct {
	mu        sync.Mutex
	to        io.Writer
	lines     []byte
	gathering bool
	closed    bool
	end       *time.Timer // of the 5 ms
}

// Gather makes a Gathered that writes to w.
func Gather(w io.Writer) *Gathered {
	g := &Gathered{to: w}
	g.end = time.AfterFunc(time.Hour, g.next)
	g.end.Stop()
	return g
}

// next ends 5 ms.
func (g *Gathered) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gathering = len(g.lines) > 0; g.gathering {
		_ = g.write() // those whose lines these were have gone on
		g.end.Reset(gatherFor)
	}
}

// Write writes p, which must be whole lines, or keeps it for the next write.
func (g *Gathered) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lines)+len(p) > gatherMost {
		if err := g.write(); err != nil {
			return 0, err
		}
	}
	if g.closed || len(p) > gatherMost {
		return g.to.Write(p)
	}
	g.lines = append(g.lines, p...)
	if g.gathering {
		return len(p), nil
	}
	g.gathering = true
	g.end.Reset(gatherFor)
	return len(p), g.write()
}

// Flush writes what there is.
func (g *Gathered) Flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.write()
}

// Close writes what there is. What comes later is written at once.
func (g *Gathered) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.end.Stop()
	return g.write()
}

// write writes what there is. The caller holds mu.
func (g *Gathered) write() error {
	if len(g.lines) == 0 {
		return nil
	}
	_, err := g.to.Write(g.lines)
	g.lines = g.lines[:0]
	return err
}
