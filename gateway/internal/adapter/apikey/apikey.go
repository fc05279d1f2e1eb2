// Package apikey remembers the short access tokens that API keys stand for, so that a key costs one call in the life of
// its token and not one a request.
//
//	key -> SHA-256 -> remembered token, until shortly before it expires
//	              \-> remembered refusal, for a moment
//	              \-> one call for all who ask at once
//
// Promises: no key is kept, only its hash. Both memories are bounded and apart, so that guessing keys can't push a good
// one out. Not knowing is never remembered. Whether a remembered token has been revoked is for its verifier, which looks
// at every request; Forget is how it says so.
package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"cloakroom.dev/libs/fault"
)

// Exchange asks the auth service. It returns fault.InvalidToken for a key that is no good, and fault.Unavailable when
// that can't be known now.
type Exchange func(ctx context.Context, key string) (token string, expiresIn time.Duration, err error)

// Options tune a Keys. The zero value works.
type Options struct {
	MaxEntries int              // of each memory; default 8192
	Now        func() time.Time // default time.Now
	Registerer prometheus.Registerer
}

const (
	prefix = "crk_"
	// What follows the prefix has so many characters, give or take: the auth service alone knows its make.
	minChars, maxChars = 48, 256
	// margin is left of a token's life when it is no longer handed out, so that it does not expire on its way.
	margin = 10 * time.Second
	// refusedFor is how long a refusal is remembered: long enough to break a storm, short enough that nobody notices.
	refusedFor = 2 * time.Second
	// callTimeout bounds a call; it belongs to all who wait for it, not to the request that came first.
	callTimeout = 4 * time.Second
	// maxCalls is how many different keys may be asked about at once.
	maxCalls = 64
)

// Keys exchanges API keys. It is safe for use by many goroutines.
type Keys struct {
	exchange Exchange
	now      func() time.Time
	tokens   *memory
	refusals *memory
	flights  singleflight.Group
	calls    chan struct{}
	metrics  *metrics
}

// New makes a Keys that asks exchange.
func New(exchange Exchange, opts Options) *Keys {
	if opts.MaxEntries <= 0 {
		opts.MaxEntries = 8 << 10
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	k := &Keys{
		exchange: exchange, now: opts.Now, tokens: newMemory(opts.MaxEntries), refusals: newMemory(opts.MaxEntries),
		calls: make(chan struct{}, maxCalls),
	}
	k.metrics = newMetrics(opts.Registerer, k.tokens)
	return k
}

var (
	errRefused = fault.New(fault.InvalidToken, "the access token is not valid")
	errBusy    = fault.Retry(fault.Overloaded, "too many API keys are being checked", time.Second)
)

// Exchange returns a token for the key: fault.InvalidToken when the key is no good, fault.Overloaded or
// fault.Unavailable when that can't be known now.
func (k *Keys) Exchange(ctx context.Context, key string) (string, error) {
	if !wellFormed(key) {
		k.metrics.refused.Inc()
		return "", errRefused
	}
	name := nameOf(key)
	now := k.now()
	if token, ok := k.tokens.get(name, now); ok {
		k.metrics.hits.Inc()
		return token, nil
	}
	if _, ok := k.refusals.get(name, now); ok {
		k.metrics.refused.Inc()
		return "", errRefused
	}
	flight := k.flights.DoChan(string(name[:]), func() (any, error) { return k.ask(context.WithoutCancel(ctx), name, key) })
	select {
	case done := <-flight:
		if done.Err != nil {
			return "", done.Err
		}
		return done.Val.(string), nil //nolint:forcetypeassert // ask returns nothing else
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Forget drops what is remembered of a key.
func (k *Keys) Forget(key string) { k.tokens.drop(nameOf(key)) }

// ask makes the call, unless too many are under way.
func (k *Keys) ask(ctx context.Context, name name, key string) (string, error) {
	select {
	case k.calls <- struct{}{}:
		defer func() { <-k.calls }()
	default:
		k.metrics.busy.Inc()
		return "", errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	token, expiresIn, err := k.exchange(ctx, key)
	now := k.now()
	switch {
	case errors.Is(err, fault.Of(fault.InvalidToken)):
		k.metrics.refused.Inc()
		k.refusals.put(name, "", now, now.Add(refusedFor))
		return "", err
	case err != nil:
		k.metrics.failed.Inc()
		return "", err
	}
	k.metrics.exchanged.Inc()
	if keep := expiresIn - margin; keep > 0 {
		k.tokens.put(name, token, now, now.Add(keep))
	}
	return token, nil
}

// wellFormed spares the auth service what can't be a key.
func wellFormed(key string) bool {
	raw, ok := strings.CutPrefix(key, prefix)
	if !ok || len(raw) < minChars || len(raw) > maxChars {
		return false
	}
	_, err := base64.RawURLEncoding.DecodeString(raw)
	return err == nil
}

func nameOf(key string) name { return sha256.Sum256([]byte(key)) }
