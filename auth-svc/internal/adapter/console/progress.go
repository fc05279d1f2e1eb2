package console

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
)

// progress tells a person at a terminal how far long work has come: nothing for the first two seconds, then one line on
// stderr that is written over. Where nobody looks it says nothing.
type progress struct {
	to    io.Writer // nil when nobody looks
	what  string
	total int64 // bytes of input; 0 when nobody knows
	now   func() time.Time

	began, shown time.Time
	count, bytes int64
}

const (
	progressAfter = 2 * time.Second
	progressEvery = 200 * time.Millisecond
)

// progress begins to count things.
func (c *call) progress(what string, total int64) *progress {
	p := &progress{what: what, total: total, now: time.Now}
	if f, ok := c.to.Stderr.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		p.to = f
	}
	p.began = p.now()
	return p
}

func (p *progress) add(n int64) { p.set(p.count+n, 0) }

// Write counts bytes.
func (p *progress) Write(b []byte) (int, error) {
	p.add(int64(len(b)))
	return len(b), nil
}

func (p *progress) set(count, bytes int64) {
	p.count, p.bytes = count, bytes
	now := p.now()
	if p.to == nil || now.Sub(p.began) < progressAfter || now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown = now
	fmt.Fprintf(p.to, "\r\x1b[K%s", p.line(now))
}

func (p *progress) line(now time.Time) string {
	took := now.Sub(p.began)
	line := fmt.Sprintf("%d %s, %.0f a second", p.count, p.what, float64(p.count)/took.Seconds())
	if p.total > 0 && p.bytes > 0 {
		left := time.Duration(float64(took) * float64(p.total-p.bytes) / float64(p.bytes))
		line += fmt.Sprintf(", %d %%, %s left", 100*p.bytes/p.total, left.Round(time.Second))
	}
	return line
}

// end takes the line away.
func (p *progress) end() {
	if !p.shown.IsZero() {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
