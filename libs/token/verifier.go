package token

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// maxTokenBytes bounds a token before anything is read of it.
const maxTokenBytes = 8 << 10

const invalidDetail = "the access token is not valid"

var (
	errExpired  = fault.New(fault.TokenExpired, "the access token has expired; refresh it")
	errTooLarge = invalid(reason("too large"))
)

// invalid makes the one refusal there is. why is for the log.
func invalid(why error) error { return fault.Wrap(fault.InvalidToken, invalidDetail, why) }

// Verifier turns access tokens into principals. It is safe for use by many goroutines.
type Verifier struct {
	keys    KeySource
	view    *View
	policy  Policy
	broken  error // what is wrong with the policy
	cache   *cache
	results map[fault.Kind]prometheus.Counter
	other   prometheus.Counter
}

// accepted stands for no failure in the table of results.
const accepted fault.Kind = -1

// NewVerifier makes a verifier. One whose policy does not Validate refuses every token with fault.Unavailable.
func NewVerifier(keys KeySource, view *View, policy Policy, reg prometheus.Registerer) *Verifier {
	results := counterVec(reg, "cloakroom_token_verifications_total", "Access tokens checked, by result.", "result")
	v := &Verifier{
		keys: keys, view: view, policy: policy, cache: newCache(policy.CacheSize, newCacheMetrics(reg)),
		results: map[fault.Kind]prometheus.Counter{
			accepted:           results.WithLabelValues("ok"),
			fault.InvalidToken: results.WithLabelValues("invalid"),
			fault.TokenExpired: results.WithLabelValues("expired"),
			fault.TokenStale:   results.WithLabelValues("stale"),
		},
		other: results.WithLabelValues("unavailable"),
	}
	if err := policy.Validate(); err != nil {
		v.broken = fault.Wrap(fault.Unavailable, "access tokens can't be checked right now", err)
	}
	return v
}

// Verify returns whom the token speaks for. It returns fault.InvalidToken for anything that is not a live token of ours,
// fault.TokenExpired and fault.TokenStale for genuine ones past their life or older than a change of rights, and
// fault.Unavailable when keys or revocations are not known. The principal's slices are shared: don't change them.
func (v *Verifier) Verify(ctx context.Context, raw string) (principal.Principal, error) {
	p, err := v.verify(ctx, raw)
	v.count(err)
	return p, err
}

func (v *Verifier) count(err error) {
	kind := accepted
	if err != nil {
		kind = fault.KindOf(err)
	}
	if c, ok := v.results[kind]; ok {
		c.Inc()
		return
	}
	v.other.Inc()
}

func (v *Verifier) verify(ctx context.Context, raw string) (principal.Principal, error) {
	switch {
	case v.broken != nil:
		return principal.Principal{}, v.broken
	case len(raw) > maxTokenBytes:
		return principal.Principal{}, errTooLarge
	}
	now := time.Now()
	name := nameOf(raw)
	t, err := v.recall(ctx, name)
	if err != nil {
		return principal.Principal{}, err
	}
	known := t != nil
	if !known {
		if t, err = v.examine(ctx, raw, now); err != nil {
			return principal.Principal{}, err
		}
	}
	if now.Unix() >= t.expires {
		v.cache.remove(name)
		return principal.Principal{}, errExpired
	}
	if err := v.view.set.check(&t.principal); err != nil { // what is revoked stays so, however old the view is
		v.cache.remove(name)
		return principal.Principal{}, err
	}
	if err := v.view.freshWithin(now, cmp.Or(v.policy.MaxStaleness, v.view.opts.MaxStaleness)); err != nil {
		return v.unproven(ctx, raw, err)
	}
	if !known {
		v.cache.put(name, t)
	}
	return t.principal, nil
}

// nameOf hashes the token where it lies: hashing neither keeps nor changes it.
func nameOf(raw string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(raw), len(raw))) //nolint:gosec // spares a copy of the token on every request
}

// recall finds a token that was verified before, as long as the key that verified it is still there.
func (v *Verifier) recall(ctx context.Context, name digest) (*verified, error) {
	t := v.cache.get(name)
	if t == nil {
		v.cache.metrics.misses.Inc()
		return nil, nil
	}
	key, err := v.keys.Key(ctx, t.key.ID)
	switch {
	case err == nil && key.same(t.key):
		v.cache.metrics.hits.Inc()
		return t, nil
	case err == nil || errors.Is(err, fault.Of(fault.NotFound)):
		v.cache.remove(name)
		v.cache.metrics.misses.Inc()
		return nil, nil
	default:
		return nil, v.noKeys(err)
	}
}

// examine checks everything about a token that does not change with time, and that its time has come. The claims come
// last: they are read of tokens only that we signed.
func (v *Verifier) examine(ctx context.Context, raw string, now time.Time) (*verified, error) {
	j, err := parseJWS(raw)
	if err != nil {
		return nil, invalid(err)
	}
	switch {
	case j.typ != "at+jwt" && j.typ != "application/at+jwt":
		return nil, invalid(reason("not an access token"))
	case !v.policy.allows(j.algorithm):
		return nil, invalid(reason("algorithm not accepted"))
	}
	key, err := v.keys.Key(ctx, j.keyID)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return nil, invalid(reason("unknown kid"))
	case err != nil:
		return nil, v.noKeys(err)
	}
	if err := key.verify(&j); err != nil {
		return nil, invalid(err)
	}
	c, err := parseClaims(&j)
	if err != nil {
		return nil, invalid(err)
	}
	if err := v.policy.admits(&c); err != nil {
		return nil, invalid(err)
	}
	if err := v.policy.begun(&c, now); err != nil {
		return nil, invalid(err)
	}
	return &verified{principal: c.principal, expires: c.expires, key: key}, nil
}

func (v *Verifier) noKeys(err error) error {
	if fault.KindOf(err) == fault.Unavailable {
		return err
	}
	return fault.Wrap(fault.Unavailable, "access tokens can't be checked right now", err)
}

// unproven decides on a good token while the view is not fresh.
func (v *Verifier) unproven(ctx context.Context, raw string, notFresh error) (principal.Principal, error) {
	if v.policy.Introspect == nil {
		return principal.Principal{}, notFresh
	}
	return v.policy.Introspect(ctx, raw)
}

// Close forgets the cache. A verifier that a newer one replaces is closed, so that the metrics stay true.
func (v *Verifier) Close() { v.cache.close() }
