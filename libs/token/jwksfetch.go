package token

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/replica"
)

// keyFetcher asks for the key set, at one of its addresses.
type keyFetcher struct {
	at       *replica.Set
	client   http.Client
	timeout  time.Duration
	maxBytes int64
}

func newKeyFetcher(url string, client *http.Client, opts JWKSOptions) *keyFetcher {
	f := &keyFetcher{at: replica.New(append([]string{url}, opts.Replicas...)...), timeout: opts.Timeout, maxBytes: opts.MaxBytes}
	if client != nil {
		f.client = *client
	}
	// Keys come from the configured address or not at all.
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return f
}

// fetch returns the set as it is now; old's keys when the server says that nothing changed. Each address has its share of
// the time.
func (f *keyFetcher) fetch(ctx context.Context, old *keySet) (set *keySet, err error) {
	share := f.timeout / time.Duration(f.at.Len())
	for range f.at.Len() {
		at := f.at.Current()
		if set, err = f.ask(ctx, at, share, old); err == nil || ctx.Err() != nil {
			return set, err
		}
		f.at.Leave(at)
	}
	return nil, err
}

func (f *keyFetcher) ask(ctx context.Context, at string, timeout time.Duration, old *keySet) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the key set: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if old != nil && old.etag != "" {
		req.Header.Set("If-None-Match", old.etag)
	}
	asked := time.Now()
	res, err := f.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for the key set: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only read from
	switch {
	case res.StatusCode == http.StatusNotModified && old != nil && old.etag != "":
		renewed := *old
		renewed.fetched, renewed.maxAge = asked, maxAge(res.Header)
		return &renewed, nil
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask for the key set: status %d", res.StatusCode)
	}
	return f.read(res, asked)
}

func (f *keyFetcher) read(res *http.Response, asked time.Time) (*keySet, error) {
	data, err := io.ReadAll(io.LimitReader(res.Body, f.maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	if int64(len(data)) > f.maxBytes {
		return nil, fmt.Errorf("read the key set: more than %d bytes", f.maxBytes)
	}
	keys, skipped, err := decodeKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	set := &keySet{keys: keys, skipped: skipped, fetched: asked, maxAge: maxAge(res.Header)}
	if etag := res.Header.Get("ETag"); len(etag) <= maxIDBytes {
		set.etag = etag
	}
	return set, nil
}

// maxAge reads Cache-Control: max-age; zero when it says nothing useful.
func maxAge(h http.Header) time.Duration {
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if seconds, err := strconv.ParseUint(value, 10, 31); err == nil && strings.EqualFold(name, "max-age") {
			return time.Duration(seconds) * time.Second
		}
	}
	return 0
}

type jwksMetrics struct {
	fetched, unchanged, failed, unknown prometheus.Counter
	crowded                             prometheus.Counter
}

func newJWKSMetrics(reg prometheus.Registerer, name string, set *atomic.Pointer[keySet]) jwksMetrics {
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"jwks": name}, reg)
	}
	fetches := counterVec(reg, "cloakroom_jwks_fetches_total", "Fetches of the key set, by result.", "result")
	gauge := func(name, help string, read func(*keySet) float64) {
		registerFunc(reg, prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return read(cmp.Or(set.Load(), &keySet{}))
		})
	}
	gauge("cloakroom_jwks_keys", "Signing keys in use.", func(s *keySet) float64 { return float64(len(s.keys)) })
	gauge("cloakroom_jwks_skipped_keys", "Keys of the set that can't be used.", func(s *keySet) float64 { return float64(s.skipped) })
	gauge("cloakroom_jwks_age_seconds", "Time since the key set was last known to be true; +Inf without a set.",
		func(s *keySet) float64 {
			if s.fetched.IsZero() {
				return math.Inf(1)
			}
			return time.Since(s.fetched).Seconds()
		})
	return jwksMetrics{
		fetched: fetches.WithLabelValues("ok"), unchanged: fetches.WithLabelValues("unchanged"), failed: fetches.WithLabelValues("error"),
		unknown: counter(reg, "cloakroom_jwks_unknown_kid_total", "Look-ups of a kid that is in no key set."),
		crowded: counter(reg, "cloakroom_jwks_unknown_kid_refused_total", "Look-ups of an unknown kid turned away because 256 waited for a fetch."),
	}
}
