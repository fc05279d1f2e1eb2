package webhook

import "time"

// How long an open circuit keeps attempts away: each further failure doubles it.
const (
	firstPause = 5 * time.Second
	maxPause   = 5 * time.Minute
)

// circuit keeps attempts away from an endpoint that fails. While it is open nothing is sent; then one attempt at a time
// tries whether it may close.
type circuit struct {
	opts     *Options
	failures int           // in a row
	pause    time.Duration // the last one
	until    time.Time     // with a monotonic reading: a clock that is set does not move it
}

// room is how many attempts may be under way at now.
func (c *circuit) room(now time.Time, concurrency int) int {
	switch {
	case now.Before(c.until):
		return 0
	case c.failures >= c.opts.Tolerate:
		return 1
	default:
		return concurrency
	}
}

func (c *circuit) open() bool { return c.failures >= c.opts.Tolerate }

func (c *circuit) succeeded() { c.failures, c.pause, c.until = 0, 0, time.Time{} }

// failed counts a failure. Those of attempts that began before the circuit opened do not make the pause longer.
func (c *circuit) failed(now time.Time, wanted time.Duration) {
	c.failures++
	if wanted > 0 {
		c.hold(now, min(wanted, maxPause))
	}
	if !c.open() || now.Before(c.until) {
		return
	}
	c.pause = min(max(2*c.pause, firstPause), maxPause)
	c.hold(now, c.pause/2+time.Duration(c.opts.Jitter()*float64(c.pause/2)))
}

// hold keeps attempts away for a while.
func (c *circuit) hold(now time.Time, d time.Duration) {
	if at := now.Add(d); at.After(c.until) {
		c.until = at
	}
}
