// Package argon2 hashes passwords with argon2id, and bounds what that may cost the process.
//
// Every hash first passes the gate, which is weighed by memory: so many bytes run, so many callers wait, the rest get
// fault.Overloaded with a time to come back. So a flood of sign-ins can neither exhaust memory nor take all cores from
// refreshes. In a service the work itself is done by helpers, processes of the lowest priority (Main, Hasher.Apart, package helper, ADR 39).
// Parameters come from policy and may change while the service runs; Verify reports a hash that was
// made with cheaper ones, so the core can make a new one while it has the password. Parameters inside a stored
// hash are checked against caps before they are used: a row must not be able to ask for gigabytes.
//
// Hashes that other systems made (package foreignhash) pass the same gate and are always reported as outdated. They take
// other times than ours, so while the store has any, a refusal is held back until the dearest would have been checked.
package argon2

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	xargon2 "golang.org/x/crypto/argon2"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/gate"
	"cloakroom.dev/libs/telemetry/metric"
)

// Options bounds the gate. Zero values mean the defaults.
type Options struct {
	Params      Params        // what a new hash costs
	MemoryBytes int64         // memory of all hashes that run at once; default 80 MiB
	Running     int           // hashes that run at once; default all cores but one, which stays free for everything else
	Waiting     int           // callers in line; default 64, negative none
	MaxWait     time.Duration // longest wait in line; default 2 s
}

const (
	defaultMemoryBytes = 80 << 20
	defaultWaiting     = 64
	defaultMaxWait     = 2 * time.Second
)

// overloaded says to come back soon because the line is short: at 22 ms a hash a full default line is gone in about a second.
var overloaded = fault.Retry(fault.Overloaded, "too many sign-ins at this moment, try again shortly", time.Second)

// Hasher makes and checks password hashes. It is safe for concurrent use.
type Hasher struct {
	gate    *gate.Gate
	params  atomic.Pointer[Params]
	dummy   atomic.Pointer[string]
	level   level
	helpers *helpers // nil: hashing is done here
	metrics *metrics
	began   atomic.Int64 // hashes so far
	free    func()       // gives memory back to the machine
}

var _ identity.Hasher = (*Hasher)(nil)

// New returns a Hasher. It refuses parameters outside what a policy may ask for, and a gate too small for one hash.
func New(opts Options, reg prometheus.Registerer) (*Hasher, error) {
	opts = opts.withDefaults()
	m := newMetrics(reg)
	h := &Hasher{
		gate: gate.New(gate.Options{
			Capacity: opts.MemoryBytes, Running: opts.Running, Waiting: opts.Waiting, MaxWait: opts.MaxWait,
			Full: overloaded, Meter: &m.gate,
		}),
		metrics: m, free: debug.FreeOSMemory,
	}
	return h, h.use(opts.Params)
}

func (o Options) withDefaults() Options {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultMemoryBytes
	}
	if o.Running == 0 {
		o.Running = max(1, runtime.GOMAXPROCS(0)-1)
	}
	switch {
	case o.Waiting == 0:
		o.Waiting = defaultWaiting
	case o.Waiting < 0:
		o.Waiting = 0
	}
	if o.MaxWait == 0 {
		o.MaxWait = defaultMaxWait
	}
	return o
}

// use makes p the parameters of every hash from now on. Older hashes keep working and are reported as outdated when
// they are cheaper.
func (h *Hasher) use(p Params) error {
	p = p.withDefaults()
	if err := p.check(); err != nil {
		return err
	}
	if p.weight() > h.gate.Capacity() {
		return fmt.Errorf("a hash of %d KiB does not fit into a gate of %d bytes", p.MemoryKiB, h.gate.Capacity())
	}
	dummy, err := dummyHash(p)
	if err != nil {
		return err
	}
	h.params.Store(&p)
	h.dummy.Store(&dummy)
	return nil
}

// Refuses returns fault.Overloaded when Hash and Verify would return it at once, and nil otherwise.
func (h *Hasher) Refuses() error { return h.gate.Refuses() }

// Hash makes a new salted hash. It returns fault.Overloaded when the gate is full.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	p := *h.params.Load()
	leave, err := h.gate.Enter(ctx, p.weight())
	if err != nil {
		return "", err
	}
	defer leave()
	defer h.observe(ctx, h.begin())
	made, err := h.do(job{Password: []byte(password), Params: p})
	return made.Encoded, err
}

// Verify reports whether password made the encoded hash, and whether that hash is due for a new one. A mismatch is told
// no sooner than one against any other hash in the store (Expect). It returns fault.Overloaded when the gate is full and
// an internal error for a damaged or hostile hash.
func (h *Hasher) Verify(ctx context.Context, password, encoded string) (match, outdated bool, err error) {
	c, err := h.read(encoded)
	if err != nil {
		return false, false, err
	}
	began, match, err := h.run(ctx, c, password)
	if err != nil || match {
		return match, match && c.outdated, err
	}
	return false, false, h.level.hold(ctx, began, c.foreign)
}

// run checks a password behind the gate and says when it was let in.
func (h *Hasher) run(ctx context.Context, c checkable, password string) (began time.Time, match bool, err error) {
	leave, err := h.gate.Enter(ctx, c.weight)
	if err != nil {
		return began, false, err
	}
	defer leave()
	began = h.begin()
	defer h.observe(ctx, began)
	checked, err := h.do(job{Password: []byte(password), Encoded: c.encoded})
	return began, checked.Match, err
}

// do has the work done: by a helper when hashing is apart, else here.
func (h *Hasher) do(j job) (outcome, error) {
	if h.helpers != nil {
		return h.helpers.do(j)
	}
	return j.run()
}

// Apart lets all hashing be done by processes of the lowest priority, which are started when they are needed: while
// passwords are hashed, everything else goes first, as no scheduler inside one process can promise. It works in
// programs that call Main and reports whether this is one; in others hashing stays where it is. It must come before the
// first hash. Run ends the processes.
func (h *Hasher) Apart(log *slog.Logger) bool {
	if kind.Possible() {
		h.helpers = &helpers{log: log, count: h.metrics.helpers}
	}
	return h.helpers != nil
}

// VerifyDummy does the work of Verify against a hash nobody's password made, so that an unknown person costs what a
// known one does. It returns fault.Overloaded when the gate is full.
func (h *Hasher) VerifyDummy(ctx context.Context, password string) error {
	_, _, err := h.Verify(ctx, password, *h.dummy.Load())
	return err
}

func (h *Hasher) begin() time.Time {
	h.began.Add(1)
	return time.Now()
}

func (h *Hasher) observe(ctx context.Context, began time.Time) {
	metric.Observe(ctx, h.metrics.work, time.Since(began))
}

// dummyHash encodes random bytes as if they were a hash made with p: it costs nothing to make, and exactly as much as
// a real one to check. The chance that a password matches it is that of guessing 256 bits.
func dummyHash(p Params) (string, error) {
	random := make([]byte, saltBytes+keyBytes)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("make the dummy hash: %w", err)
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", xargon2.Version, p.MemoryKiB, p.Passes, p.Lanes,
		b64.EncodeToString(random[:saltBytes]), b64.EncodeToString(random[saltBytes:])), nil
}
