package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/token"
)

// keyServer answers fetches within the process, as the test says.
type keyServer struct {
	mu      sync.Mutex
	answer  func(*http.Request) (*http.Response, error)
	fetches atomic.Int64
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.fetches.Add(1)
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	return answer(r)
}

func (s *keyServer) set(answer func(*http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func respond(status int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func unreachable(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

var b64 = base64.RawURLEncoding.EncodeToString

func okp(kid string) object {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	return object{"kty": "OKP", "crv": "Ed25519", "x": b64(public), "kid": kid, "alg": "EdDSA", "use": "sig"}
}

func keySet(keys ...object) string { return string(mustMarshal(object{"keys": keys})) }

// startJWKS runs a JWKS against server until the test ends.
func startJWKS(t *testing.T, server *keyServer, opts token.JWKSOptions) (*token.JWKS, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	opts.Registerer, opts.Log = reg, slog.New(slog.DiscardHandler)
	j := token.NewJWKS("http://auth.test/jwks", &http.Client{Transport: server}, opts)
	run(t, j.Run)
	synctest.Wait()
	return j, reg
}

// run runs a component until the test ends, and waits for it.
func run(t *testing.T, component func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- component(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func wantKey(t *testing.T, j *token.JWKS, kid string, want fault.Kind) {
	t.Helper()
	got := fault.Kind(-1)
	if _, err := j.Key(t.Context(), kid); err != nil {
		got = fault.KindOf(err)
	}
	if got != want {
		t.Errorf("Key(%q) = %v, want %v", kid, got, want)
	}
}

func TestJWKS_ServesFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{answer: respond(200, keySet(okp("a"), okp("b")))}
		j, reg := startJWKS(t, s, token.JWKSOptions{RefreshEvery: time.Minute})
		for range 100 {
			wantKey(t, j, "a", -1)
			wantKey(t, j, "b", -1)
		}
		if n := s.fetches.Load(); n != 1 || j.Ready(t.Context()) != nil {
			t.Errorf("%d fetches, ready %v", n, j.Ready(t.Context()))
		}
		time.Sleep(10 * time.Minute)
		if n := s.fetches.Load(); n < 10 || n > 12 {
			t.Errorf("%d fetches in ten minutes", n)
		}
		if got := metric(t, reg, "cloakroom_jwks_keys"); got != 2 {
			t.Errorf("%v keys", got)
		}
	})
}

func TestJWKS_WithoutAnAnswerThereIsNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{answer: unreachable}
		j, reg := startJWKS(t, s, token.JWKSOptions{})
		wantKey(t, j, "a", fault.Unavailable)
		if fault.KindOf(j.Ready(t.Context())) != fault.Unavailable {
			t.Error("ready without keys")
		}
		time.Sleep(time.Minute)
		n := s.fetches.Load()
		if n < 8 || n > 30 {
			t.Errorf("%d attempts in a minute: the pauses should grow to 10 s", n)
		}
		if got := metric(t, reg, "cloakroom_jwks_fetches_total", "error"); got != float64(n) {
			t.Errorf("%v failures counted, want %d", got, n)
		}
		s.set(respond(200, keySet(okp("a"))))
		time.Sleep(10 * time.Second)
		wantKey(t, j, "a", -1)
	})
}

// TestJWKS_AFloodOfUnknownKidsCausesOneFetchACooldown, with answers at once but for those who wait for that fetch.
func TestJWKS_AFloodOfUnknownKidsCausesOneFetchACooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{answer: respond(200, keySet(okp("a")))}
		j, reg := startJWKS(t, s, token.JWKSOptions{RefreshEvery: time.Hour, Cooldown: 5 * time.Second})
		time.Sleep(time.Minute)
		before := s.fetches.Load()
		for second := range 60 {
			var wg sync.WaitGroup
			for i := range 500 {
				wg.Go(func() {
					_, err := j.Key(t.Context(), fmt.Sprintf("unknown-%d-%d", second, i))
					if kind := fault.KindOf(err); kind != fault.NotFound && kind != fault.Unavailable {
						t.Errorf("%v", err)
					}
				})
			}
			wg.Wait()
			wantKey(t, j, "a", -1)
			time.Sleep(time.Second)
		}
		if n := s.fetches.Load() - before; n != 12 {
			t.Errorf("%d fetches in a minute of flood, want 12", n)
		}
		if got := metric(t, reg, "cloakroom_jwks_unknown_kid_total"); got != 30000 {
			t.Errorf("%v unknown kids counted", got)
		}
	})
}

func TestJWKS_FindsANewKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{answer: respond(200, keySet(okp("a")))}
		j, _ := startJWKS(t, s, token.JWKSOptions{RefreshEvery: time.Hour})
		time.Sleep(10 * time.Second)
		s.set(respond(200, keySet(okp("a"), okp("b"))))
		wantKey(t, j, "b", -1) // waits for the fetch it causes
		s.set(respond(200, keySet(okp("c"))))
		wantKey(t, j, "c", fault.NotFound) // in the cool-down
		j.Refresh()                        // as on a signing_key entry
		synctest.Wait()
		wantKey(t, j, "c", -1)
		wantKey(t, j, "a", fault.NotFound)
	})
}

// TestJWKS_AHangingServerHoldsFewAndNotForLong: while a fetch hangs, known keys work, a bounded number waits for it, and
// nobody longer than its deadline.
func TestJWKS_AHangingServerHoldsFewAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{answer: respond(200, keySet(okp("a")))}
		j, reg := startJWKS(t, s, token.JWKSOptions{RefreshEvery: time.Hour, Timeout: 3 * time.Second})
		time.Sleep(10 * time.Second)
		s.set(hang)
		var wg sync.WaitGroup
		var atOnce atomic.Int64
		began := time.Now()
		for i := range 1000 {
			wg.Go(func() {
				_, err := j.Key(t.Context(), fmt.Sprint("unknown-", i))
				if fault.KindOf(err) != fault.Unavailable { // a genuine new key can't be told from a made-up one now
					t.Errorf("%v", err)
				}
				if time.Since(began) == 0 {
					atOnce.Add(1)
				}
			})
		}
		synctest.Wait()
		wantKey(t, j, "a", -1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := j.Key(ctx, "b"); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a request that has ended: %v", err)
		}
		wg.Wait()
		if took := time.Since(began); took != 3*time.Second || atOnce.Load() != 1000-256 {
			t.Errorf("took %v, %d answered at once", took, atOnce.Load())
		}
		if n := s.fetches.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}
		if n := metric(t, reg, "cloakroom_jwks_unknown_kid_refused_total"); n != 1000-256+1 { // and the one that has ended
			t.Errorf("%v are counted as turned away", n)
		}
		wantKey(t, j, "b", fault.Unavailable) // in the cool-down of a failure
	})
}

func TestJWKS_ServesStaleKeysUpToALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{answer: respond(200, keySet(okp("a")))}
		j, reg := startJWKS(t, s, token.JWKSOptions{RefreshEvery: time.Minute, MaxStale: time.Hour})
		s.set(unreachable)
		time.Sleep(59 * time.Minute)
		wantKey(t, j, "a", -1)
		if got := metric(t, reg, "cloakroom_jwks_age_seconds"); got != 59*60 {
			t.Errorf("age %v", got)
		}
		time.Sleep(time.Minute + time.Millisecond)
		wantKey(t, j, "a", fault.Unavailable)
		if got := metric(t, reg, "cloakroom_jwks_age_seconds"); !math.IsInf(got, 1) {
			t.Errorf("age %v without keys", got)
		}
		s.set(respond(200, keySet(okp("a"))))
		time.Sleep(10 * time.Second)
		wantKey(t, j, "a", -1)
	})
}

func TestJWKS_HonoursETagAndMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := keySet(okp("a"))
		s := &keyServer{}
		s.set(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") == `"v1"` {
				return respond(304, "", "ETag", `"v1"`, "Cache-Control", "public, max-age=30")(r)
			}
			return respond(200, body, "ETag", `"v1"`, "Cache-Control", "public, max-age=30")(r)
		})
		j, reg := startJWKS(t, s, token.JWKSOptions{RefreshEvery: time.Hour, MaxStale: 2 * time.Minute})
		time.Sleep(10 * time.Minute)
		wantKey(t, j, "a", -1) // unchanged is as good as fetched
		if n := s.fetches.Load(); n < 20 || n > 23 {
			t.Errorf("%d fetches in ten minutes at max-age=30", n)
		}
		if got := metric(t, reg, "cloakroom_jwks_fetches_total", "unchanged"); got != float64(s.fetches.Load()-1) {
			t.Errorf("%v unchanged", got)
		}
		s.set(respond(200, body, "Cache-Control", "max-age=0, no-store"))
		time.Sleep(time.Minute)
		before := s.fetches.Load()
		time.Sleep(10 * time.Minute)
		if n := s.fetches.Load() - before; n > 1 {
			t.Errorf("%d fetches in ten minutes without a useful max-age", n)
		}
	})
}

// TestJWKS_BadAnswersChangeNothing: whatever comes back, the keys that were there stay, and no other appears.
func TestJWKS_BadAnswersChangeNothing(t *testing.T) {
	answers := map[string]func(*http.Request) (*http.Response, error){
		"nothing":       respond(200, ""),
		"no JSON":       respond(200, "<html>"),
		"an array":      respond(200, "[]"),
		"keys missing":  respond(200, "{}"),
		"keys null":     respond(200, `{"keys":null}`),
		"no keys":       respond(200, `{"keys":[]}`),
		"keys twice":    respond(200, `{"keys":[],`+keySet(okp("evil"))[1:]),
		"only bad keys": respond(200, keySet(object{"kty": "oct", "k": "c2VjcmV0", "kid": "evil", "alg": "HS256"})),
		"a bad status":  respond(500, keySet(okp("evil"))),
		"no content":    respond(204, ""),
		"not modified":  respond(304, ""),
		"a redirect":    respond(302, keySet(okp("evil")), "Location", "http://169.254.169.254/keys"),
		"too much":      respond(200, keySet(okp("evil"))+strings.Repeat(" ", 1<<20)),
		"a cut":         respond(200, keySet(okp("evil"))[:50]),
		"more after it": respond(200, keySet(okp("evil"))+"{}"),
		"too deep":      respond(200, strings.Repeat(`{"keys":[`, 50_000)),
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &keyServer{answer: respond(200, keySet(okp("a")))}
				j, reg := startJWKS(t, s, token.JWKSOptions{})
				s.set(answer)
				j.Refresh()
				synctest.Wait()
				if n := s.fetches.Load(); n != 2 {
					t.Errorf("%d fetches: a redirect must not be followed", n)
				}
				wantKey(t, j, "a", -1)
				if _, err := j.Key(t.Context(), "evil"); err == nil {
					t.Error("took a key from a bad answer")
				}
				if got := metric(t, reg, "cloakroom_jwks_fetches_total", "error"); got != 1 {
					t.Errorf("%v failures counted", got)
				}
			})
		})
	}
}

func TestJWKS_LeavesBadKeysOut(t *testing.T) {
	ec := func(curve elliptic.Curve, name, alg string) object {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		size := len(point) / 2
		return object{"kty": "EC", "crv": name, "alg": alg, "x": b64(point[1 : 1+size]), "y": b64(point[1+size:])}
	}
	rsaKey := testKeys()["RS256"].(*rsa.PrivateKey)
	rs := func(n *big.Int, e, alg string) object {
		return object{"kty": "RSA", "n": b64(n.Bytes()), "e": e, "alg": alg}
	}
	small := new(big.Int).SetBit(new(big.Int).Rsh(rsaKey.N, 1024), 0, 1)
	huge := new(big.Int).SetBit(new(big.Int).Lsh(rsaKey.N, 8192), 0, 1)
	good := map[string]object{
		"okp": okp(""), "okp-bare": with(with(okp(""), "alg", nil), "use", nil), "p256": ec(elliptic.P256(), "P-256", "ES256"),
		"p521": ec(elliptic.P521(), "P-521", "ES512"), "p256-bare": with(ec(elliptic.P256(), "P-256", ""), "alg", nil),
		"rs256": rs(rsaKey.N, "AQAB", "RS256"), "rs512": with(rs(rsaKey.N, "AQAB", "RS512"), "key_ops", []string{"verify"}),
	}
	bad := map[string]object{
		"oct": {"kty": "oct", "k": "c2VjcmV0"}, "private": with(okp(""), "d", b64(make([]byte, 32))), "for-encryption": with(okp(""), "use", "enc"),
		"x25519": with(okp(""), "crv", "X25519"), "p384": ec(elliptic.P384(), "P-384", "ES384"), "p256-as-es512": ec(elliptic.P256(), "P-256", "ES512"),
		"p256-as-p521": ec(elliptic.P256(), "P-521", "ES512"), "off-curve": with(ec(elliptic.P256(), "P-256", "ES256"), "x", b64(make([]byte, 32))),
		"rsa-bare": with(rs(rsaKey.N, "AQAB", ""), "alg", nil), "rsa-1024": rs(small, "AQAB", "RS256"), "rsa-huge": rs(huge, "AQAB", "RS256"),
		"rsa-e1": rs(rsaKey.N, "AQ", "RS256"), "rsa-e2": rs(rsaKey.N, "Ag", "RS256"), "rsa-e-huge": rs(rsaKey.N, "AQAAAAAB", "RS256"),
		"rsa-pss": rs(rsaKey.N, "AQAB", "PS256"), "rsa-eddsa": rs(rsaKey.N, "AQAB", "EdDSA"), "hs256": with(okp(""), "alg", "HS256"), "none": with(okp(""), "alg", "none"),
		"short": with(okp(""), "x", b64(make([]byte, 31))), "padded": with(okp(""), "x", b64(make([]byte, 32))+"="), "ops": with(okp(""), "key_ops", []string{"sign", "verify"}),
		"alg-number": with(okp(""), "alg", 5), "kid with a space": okp(""), "": okp(""),
	}
	var keys []object
	for kid, k := range good {
		keys = append(keys, with(k, "kid", kid))
	}
	for kid, k := range bad {
		keys = append(keys, with(k, "kid", kid))
	}
	keys = append(keys, okp("twice"), okp("twice"), object{"kty": "OKP"})
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{answer: respond(200, keySet(keys...))}
		j, reg := startJWKS(t, s, token.JWKSOptions{})
		for kid := range good {
			wantKey(t, j, kid, -1)
		}
		for kid := range bad {
			wantKey(t, j, kid, fault.NotFound)
		}
		wantKey(t, j, "twice", fault.NotFound)
		if got := metric(t, reg, "cloakroom_jwks_skipped_keys"); got != float64(len(bad)+3) {
			t.Errorf("%v skipped, want %d", got, len(bad)+3)
		}
	})
}

func TestJWKS_EndsCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{answer: respond(200, keySet(okp("a")))}
		j := token.NewJWKS("http://auth.test/jwks", &http.Client{Transport: s}, token.JWKSOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- j.Run(ctx) }()
		synctest.Wait()
		time.Sleep(10 * time.Second)
		s.set(hang)
		waiting := make(chan error, 1)
		go func() { _, err := j.Key(context.Background(), "b"); waiting <- err }()
		synctest.Wait()
		cancel()
		if err := <-waiting; fault.KindOf(err) != fault.Unavailable {
			t.Errorf("who waited got %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
