package token

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// ViewOptions tune a View. The zero value works.
type ViewOptions struct {
	MaxStaleness time.Duration // older than this the view proves nothing; default 5 s
	MaxEntries   int           // more live entries than this make the view refuse, never forget; default 1 Mi
	// CutDelay is what a bound request has left when it is revoked, so that a logout can still be answered; default
	// 300 ms, negative none. New requests are refused at once.
	CutDelay   time.Duration
	Registerer prometheus.Registerer
}

// View is what a process knows of the revocation log: an exact set of the live entries, and how old that knowledge is.
// It is safe for use by many goroutines.
type View struct {
	opts  ViewOptions
	set   *entrySet
	bound *bindings

	head  atomic.Int64
	heard atomic.Pointer[instant]
	// incomplete says that an entry could not be taken in; only Reset, and the whole log anew, mends that.
	incomplete atomic.Bool

	mu sync.Mutex // serializes Apply, Heard and Reset
}

// instant is a moment by both clocks. The monotonic one doesn't jump, but stands still while the machine sleeps; the
// wall clock does the opposite. An age is the larger of the two.
type instant struct {
	made time.Time
	wall int64 // nanoseconds
}

func (i *instant) age(now time.Time) time.Duration {
	return max(now.Sub(i.made), time.Duration(now.UnixNano()-i.wall))
}

const reasonRevoked = reason("revoked")

var (
	errRevoked    = fault.Wrap(fault.InvalidToken, invalidDetail, reasonRevoked)
	errStale      = fault.New(fault.TokenStale, "your rights have changed since this access token was issued; refresh it")
	errNotFresh   = fault.Retry(fault.Unavailable, "revocations can't be checked right now", time.Second)
	errIncomplete = fault.Retry(fault.Unavailable, "revocations can't be checked right now", 2*time.Second)
)

// Revoked reports whether err is the refusal of a token that was good until its session, person, key or signing key was
// revoked. Whoever presents one has held it, so it may be told.
func Revoked(err error) bool { return errors.Is(err, reasonRevoked) }

// NewView makes an empty view, which is not fresh until Heard.
func NewView(opts ViewOptions) *View {
	if opts.MaxStaleness <= 0 {
		opts.MaxStaleness = 5 * time.Second
	}
	if opts.MaxEntries <= 0 {
		opts.MaxEntries = 1 << 20
	}
	if opts.CutDelay == 0 {
		opts.CutDelay = 300 * time.Millisecond
	}
	v := &View{opts: opts, set: &entrySet{}}
	v.bound = newBindings(max(opts.CutDelay, 0),
		counter(opts.Registerer, "cloakroom_revocation_cut_requests_total", "Running requests cancelled because their credential was revoked."))
	v.observe(opts.Registerer)
	return v
}

func (v *View) observe(reg prometheus.Registerer) {
	for i, kind := range kinds {
		registerFunc(reg, prometheus.GaugeOpts{
			Name: "cloakroom_revocation_entries", Help: "Live entries of the revocation log held in memory.",
			ConstLabels: prometheus.Labels{"kind": string(kind)},
		}, func() float64 { return float64(v.set.tables[i].count.Load()) })
	}
	registerFunc(reg, prometheus.GaugeOpts{
		Name: "cloakroom_revocation_head_seq", Help: "Newest position of the revocation log known to be applied.",
	}, func() float64 { return float64(v.head.Load()) })
	registerFunc(reg, prometheus.GaugeOpts{
		Name: "cloakroom_revocation_lag_seconds", Help: "Age of what is known of the revocation log; +Inf before it was read, and while an entry of it could not be held.",
	}, func() float64 {
		if heard := v.heard.Load(); heard != nil && !v.Incomplete() {
			return heard.age(time.Now()).Seconds()
		}
		return math.Inf(1)
	})
	registerFunc(reg, prometheus.GaugeOpts{
		Name: "cloakroom_revocation_bound_requests", Help: "Running requests that a revocation would cut.",
	}, func() float64 { return float64(v.bound.len()) })
}

// Apply takes an entry in and cuts the bound requests that it concerns. It may see an entry twice.
func (v *View) Apply(e Entry) {
	v.mu.Lock()
	ok := v.set.add(e, time.Now(), v.opts.MaxEntries)
	v.mu.Unlock()
	if !ok {
		v.incomplete.Store(true) // full, or a kind from the future: what can't be held must not be forgotten either
	}
	v.bound.cut(e)
}

// Heard says that every entry up to head had been applied when it was still made, an instant of this process's clock.
func (v *View) Heard(head int64, made time.Time) {
	now := time.Now()
	if made.After(now) {
		made = now
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set.sweep(now)
	v.head.Store(head)
	last := v.heard.Load()
	if last != nil && last.made.After(made) {
		return
	}
	v.heard.Store(&instant{made: made, wall: now.UnixNano() - int64(now.Sub(made))})
	if last == nil || last.age(now) > v.opts.MaxStaleness {
		// Entries that came and went unheard concerned only tokens that have expired by now. A request that still runs
		// under such a token may have been revoked.
		v.bound.cutExpired(now)
	}
}

// Incomplete reports whether an entry could not be taken in: the view refuses until Reset, and wants the whole log anew after it.
func (v *View) Incomplete() bool { return v.incomplete.Load() }

// Reset forgets every entry; the view is not fresh until Heard.
func (v *View) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.heard.Store(nil)
	v.head.Store(0)
	v.set.clear()
	v.incomplete.Store(false)
}

// reread begins a reading of all live entries. What is known stays in force until forgetUnread.
func (v *View) reread() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set.reading++
}

// forgetUnread ends a reading: entries that were not read again are not in the log any more.
func (v *View) forgetUnread() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set.forgetUnread(time.Now())
}

// Head returns the newest position that is known to be applied.
func (v *View) Head() int64 { return v.head.Load() }

// Check refuses a principal whose session, person, API key or signing key is revoked (fault.InvalidToken), or whose
// rights have changed since (fault.TokenStale). It says nothing of freshness.
func (v *View) Check(p principal.Principal) error { return v.set.check(&p) }

// Barred reports whether a person is blocked or deleted. It is for what is done in somebody's name by whoever holds a link
// or the like, not a token of theirs: that Check refuses. A view that has gone stale answers with what it knew last; one
// that knows nothing yet returns fault.Unavailable.
func (v *View) Barred(userID string) (bool, error) {
	if v.heard.Load() == nil {
		return false, errNotFresh
	}
	epoch, _ := v.set.tables[userEpochs].get(userID)
	return epoch.blocked || v.set.has(deletedUsers, userID), nil
}

// Fresh returns fault.Unavailable when the view is older than MaxStaleness.
func (v *View) Fresh() error { return v.freshAt(time.Now()) }

func (v *View) freshAt(now time.Time) error { return v.freshWithin(now, v.opts.MaxStaleness) }

func (v *View) freshWithin(now time.Time, maxStaleness time.Duration) error {
	heard := v.heard.Load()
	switch {
	case heard == nil || heard.age(now) > maxStaleness:
		return errNotFresh
	case v.Incomplete():
		return errIncomplete
	default:
		return nil
	}
}
