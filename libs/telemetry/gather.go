package telemetry

import (
	"io"
	"sync"
	"time"
)

const (
	gatherFor  = 5 * time.Millisecond
	gatherMost = 32 << 10 // bytes; who brings more writes what there is, and waits for that as without gathering
)

// Gathered writes lines of a busy service together: a write for each costs more than making the line. The first is written at once, what
// comes in the 5 ms after it in one write at their end, and so on until nothing comes. Loggers on it have warnings and errors written at
// once, and what was logged before them. A process that is killed loses the last 5 ms of its log; one that ends must Flush.
// It is safe for concurrent use.
type Gathered struct {
	mu        sync.Mutex
	to        io.Writer
	lines     []byte
	gathering bool
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

// Write writes p, or keeps it for the next write.
func (g *Gathered) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gathering && len(g.lines)+len(p) <= gatherMost {
		g.lines = append(g.lines, p...)
		return len(p), nil
	}
	if !g.gathering {
		g.gathering = true
		g.end.Reset(gatherFor)
	}
	g.lines = append(g.lines, p...)
	return len(p), g.write()
}

// Flush writes what there is.
func (g *Gathered) Flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.write()
}

// write writes what there is. The caller holds mu.
func (g *Gathered) write() error {
	if len(g.lines) == 0 {
		return nil
	}
	_, err := g.to.Write(g.lines)
	if g.lines = g.lines[:0]; cap(g.lines) > 2*gatherMost {
		g.lines = nil
	}
	return err
}
