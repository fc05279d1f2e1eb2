package gateway_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// apiKey is a key in the right shape.
func apiKey(seed byte) string {
	return "crk_" + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(string([]byte{seed}), 66)))
}

func (w *world) exchanging(fn func(key string) (int, string, int)) { w.exchange.Store(&fn) }

func TestAPIKey_IsExchangedOnceUnderAHundredParallel(t *testing.T) {
	w := start(t, setup{})
	key := apiKey(1)
	w.exchanging(func(shown string) (int, string, int) {
		time.Sleep(30 * time.Millisecond)
		if shown != key {
			return 401, "", 0
		}
		return 200, w.issuer.Mint(tokentest.APIKey("k-1"), tokentest.Subject("u-1")), 300
	})
	var failed atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		header := bearer(key)
		if i%2 == 0 {
			header = "X-API-Key: " + key
		}
		wg.Go(func() {
			if a := w.get("/closed", header); a.status != 200 {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if n := w.exchanges.Load(); n != 1 || failed.Load() != 0 {
		t.Errorf("%d exchanges, %d requests failed", n, failed.Load())
	}
	seen, _ := w.files.all()
	for i := range seen {
		h := seen[i].Header
		if strings.Contains(h.Get("Authorization"), "crk_") || h.Get("X-Api-Key") != "" || h.Get("X-User-Id") != "u-1" {
			t.Fatalf("the service got %v", h)
		}
	}
	if strings.Contains(w.logs.String(), key) {
		t.Error("the key is in the log")
	}
}

func TestAPIKey_RevokedIsRefusedAtOnceAndAskedForOnce(t *testing.T) {
	w := start(t, setup{})
	key := apiKey(2)
	var revoked atomic.Bool
	w.exchanging(func(string) (int, string, int) {
		if revoked.Load() {
			return 401, "", 0
		}
		return 200, w.issuer.Mint(tokentest.APIKey("k-2")), 300
	})
	w.want(w.get("/closed", bearer(key)), 200, "")
	revoked.Store(true)
	w.issuer.Revoke(token.KindAPIKey, "k-2")
	eventually(t, "the key is refused", func() bool { return w.get("/closed", bearer(key)).status == 401 })
	asked, began := w.exchanges.Load(), time.Now()
	for range 20 {
		w.want(w.get("/closed", bearer(key)), 401, "INVALID_TOKEN")
	}
	took := time.Since(began) // a refusal is remembered for two seconds
	if more := w.exchanges.Load() - asked; more > 1+int64(took/(2*time.Second)) {
		t.Errorf("a refused key was asked about %d times in %v", more, took)
	}
}

func TestAPIKey_NewRightsBringANewToken(t *testing.T) {
	w := start(t, setup{})
	var epoch atomic.Int64
	w.exchanging(func(string) (int, string, int) {
		return 200, w.issuer.Mint(tokentest.APIKey("k-3"), tokentest.Epoch(epoch.Load())), 300
	})
	w.want(w.get("/closed", bearer(apiKey(3))), 200, "")
	entry := w.issuer.Revoke(token.KindUserEpoch, tokentest.DefaultSubject)
	epoch.Store(entry.Seq)
	pass := func() { w.want(w.get("/closed", bearer(apiKey(3))), 200, "") }
	eventually(t, "a token with the new rights is asked for", func() bool { pass(); return w.exchanges.Load() > 1 })
	for range 20 {
		pass()
	}
	if n := w.exchanges.Load(); n != 2 {
		t.Errorf("%d exchanges, want the first and one with the new rights", n)
	}
}

func TestAPIKey_WhatCanNotBeOneCostsNoCall(t *testing.T) {
	w := start(t, setup{})
	w.exchanging(func(string) (int, string, int) { return 200, w.issuer.Mint(), 300 })
	for _, key := range []string{"crk_", "crk_short", "crk_" + strings.Repeat("A", 300), "crk_" + strings.Repeat("!", 88), "abc", strings.Repeat("x", 4000)} {
		w.want(w.get("/closed", "X-API-Key: "+key), 401, "INVALID_TOKEN")
	}
	if n := w.exchanges.Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
	// A token without api_key_id for a key is the auth service's mistake, and lets nobody in.
	w.want(w.get("/closed", bearer(apiKey(4))), 500, "INTERNAL_ERROR")
}

func TestAPIKey_NotKnowingIsNoRefusalAndNoPass(t *testing.T) {
	w := start(t, setup{})
	status := http.StatusServiceUnavailable
	var mu sync.Mutex
	w.exchanging(func(string) (int, string, int) {
		mu.Lock()
		defer mu.Unlock()
		return status, w.issuer.Mint(tokentest.APIKey("k-5")), 300
	})
	a := w.get("/closed", bearer(apiKey(5)))
	w.want(a, 503, "UNAVAILABLE")
	if a.header.Get("Retry-After") == "" {
		t.Error("no word on when to come back")
	}
	mu.Lock()
	status = http.StatusOK
	mu.Unlock()
	w.want(w.get("/closed", bearer(apiKey(5))), 200, "")
}
