package upstream

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

// endpoint is one address with all that is known of it.
type endpoint struct {
	base *url.URL // scheme, and the host and port that are dialled
	host string   // the host and port it goes by
	conn Conn

	origin *url.URL // the URL it comes from

	inFlight atomic.Int64
	answers  atomic.Uint64 // to requests
	failures atomic.Int32  // in a row

	// Below: under the balancer's lock.
	health  condition
	streak  int // answers to the question that contradict health, in a row
	ejected ejections
}

// roster is who gets requests. It is replaced as a whole.
type roster struct {
	use   []*endpoint
	rest  []*endpoint // well but ejected: better than nobody for a request that has failed elsewhere
	until time.Time   // when an ejection ends, and the roster is to be made anew; zero for never
}

// pick draws two and takes the one with less to do. It returns nil when there is none.
func (b *Balancer) pick(now time.Time) *endpoint {
	r := b.roster.Load()
	if !r.until.IsZero() && !now.Before(r.until) {
		r = b.revise(now)
	}
	n := len(r.use)
	if n < 2 {
		if n == 0 {
			return nil
		}
		return r.use[0]
	}
	i, j := rand.IntN(n), rand.IntN(n-1) //nolint:gosec // a share of the load, not a secret
	if j >= i {
		j++
	}
	if r.use[j].inFlight.Load() < r.use[i].inFlight.Load() {
		i = j
	}
	return r.use[i]
}

// other is the address with the least to do among those that have not been tried, or nil.
func (b *Balancer) other(tried []*endpoint) *endpoint {
	r := b.roster.Load()
	if e := idlest(r.use, tried); e != nil {
		return e
	}
	return idlest(r.rest, tried)
}

func idlest(list, but []*endpoint) *endpoint {
	var best *endpoint
	for _, e := range list {
		if !slices.Contains(but, e) && (best == nil || e.inFlight.Load() < best.inFlight.Load()) {
			best = e
		}
	}
	return best
}

// revise makes the roster anew.
func (b *Balancer) revise(now time.Time) *roster {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reviseLocked(now)
}

// reviseLocked takes those who are well and not ejected; without any, those who are well; without any, those who at least
// answer that they are not ready: what they say to requests is better than what we could.
func (b *Balancer) reviseLocked(now time.Time) *roster {
	r := &roster{}
	var unready []*endpoint
	for _, e := range b.all {
		switch {
		case e.health == isUnready:
			unready = append(unready, e)
		case e.health == isDown:
		case e.ejected.at(now):
			r.rest = append(r.rest, e)
			if r.until.IsZero() || e.ejected.until.Before(r.until) {
				r.until = e.ejected.until
			}
		default:
			r.use = append(r.use, e)
		}
	}
	if len(r.use) == 0 {
		r.use = r.rest
	}
	if len(r.use) == 0 {
		r.use = unready
	}
	b.roster.Store(r)
	return r
}
