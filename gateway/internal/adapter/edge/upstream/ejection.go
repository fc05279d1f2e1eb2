package upstream

import "time"

// Ejection takes an address out of use for a while when requests to it fail.
type Ejection struct {
	Failures int           // in a row; 0 ejects none
	Time     time.Duration // of the first ejection; each further one lasts twice as long
	MaxTime  time.Duration
}

// ejections of one address.
type ejections struct {
	until time.Time
	last  time.Duration // how long the newest lasts or lasted
}

func (e *ejections) at(now time.Time) bool { return now.Before(e.until) }

// begin ejects from now on: twice as long as last time, unless the address has been well for as long since.
func (e *ejections) begin(now time.Time, opts Ejection) {
	d := opts.Time
	if e.last > 0 && now.Sub(e.until) < e.last {
		d = 2 * e.last
	}
	e.last = max(min(d, opts.MaxTime), opts.Time)
	e.until = now.Add(e.last)
}

// failed counts a failure, and ejects at the last straw.
func (b *Balancer) failed(at *endpoint, why string) {
	limit := int32(b.opts.Ejection.Failures)
	if n := at.failures.Add(1); limit == 0 || n < limit {
		return
	}
	now := time.Now()
	b.mu.Lock()
	ejected := b.mayEject(at, now)
	if ejected {
		at.ejected.begin(now, b.opts.Ejection)
		at.failures.Store(limit - 1) // back on probation: the next failure is enough
		b.reviseLocked(now)
	}
	lasts := at.ejected.last
	b.mu.Unlock()
	if ejected {
		b.metrics.ejections.Inc()
		b.opts.Log.Warn("address of an upstream ejected", "upstream", b.opts.Name, "address", at.base.Host, "why", why, "for", lasts.String())
	}
}

// mayEject reports whether at most half would be out, and one that is well would be left.
func (b *Balancer) mayEject(at *endpoint, now time.Time) bool {
	if at.ejected.at(now) {
		return false
	}
	out, left := 1, 0
	for _, e := range b.all {
		switch {
		case e == at:
		case e.ejected.at(now):
			out++
		case e.health.well():
			left++
		}
	}
	return left > 0 && 2*out <= max(len(b.all), 2)
}
