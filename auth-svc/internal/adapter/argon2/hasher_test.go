package argon2

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"cloakroom.dev/libs/fault"
)

// quick is the cheapest a policy may ask for, so that tests stay quick.
var quick = Params{MemoryKiB: minMemoryKiB, Passes: 1}

func newHasher(t *testing.T, opts Options) *Hasher {
	t.Helper()
	h, err := New(opts, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHasher_VerifiesWhatItHashed(t *testing.T) {
	h := newHasher(t, Options{Params: quick})
	// Bytes after the 72nd count, unlike in bcrypt; the empty password is a password like any other down here.
	long := strings.Repeat("x", 72)
	for _, password := range []string{"correct horse", "", "пароль", long, "nul\x00byte"} {
		encoded, err := h.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			try  string
			want bool
		}{{password, true}, {password + "y", false}, {"other", false}} {
			match, outdated, err := h.Verify(t.Context(), c.try, encoded)
			if err != nil || match != c.want || outdated {
				t.Errorf("Verify(%q) of a hash of %q = %v, outdated %v, %v; want %v", c.try, password, match, outdated, err, c.want)
			}
		}
	}
}

func TestHasher_SaltsEveryHash(t *testing.T) {
	h := newHasher(t, Options{Params: quick})
	first, _ := h.Hash(t.Context(), "same")
	second, _ := h.Hash(t.Context(), "same")
	if first == second {
		t.Error("two hashes of one password are equal")
	}
}

func TestHasher_ReportsCheaperHashesAsOutdated(t *testing.T) {
	h := newHasher(t, Options{Params: quick, MemoryBytes: 64 << 20})
	old, err := h.Hash(t.Context(), "pass")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.use(Params{MemoryKiB: minMemoryKiB, Passes: 2}); err != nil {
		t.Fatal(err)
	}
	if match, outdated, err := h.Verify(t.Context(), "pass", old); !match || !outdated || err != nil {
		t.Errorf("right password, cheaper hash: match %v, outdated %v, %v", match, outdated, err)
	}
	if match, outdated, _ := h.Verify(t.Context(), "wrong", old); match || outdated {
		t.Errorf("wrong password must not ask for a new hash: match %v, outdated %v", match, outdated)
	}
	if err := h.use(quick); err != nil {
		t.Fatal(err)
	}
	dear, _ := h.Hash(t.Context(), "pass")
	if _, outdated, _ := h.Verify(t.Context(), "pass", dear); outdated {
		t.Error("a hash with the current parameters is called outdated")
	}
}

func TestHasher_RefusesHostileStoredHashes(t *testing.T) {
	h := newHasher(t, Options{Params: quick})
	const salt, key = "$c2FsdHNhbHRzYWx0c2FsdA", "$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"
	for name, encoded := range map[string]string{
		"empty":           "",
		"not a hash":      "hunter2",
		"bcrypt 31":       "$2a$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"argon2i, 4 GiB":  "$argon2i$v=19$m=4194304,t=1,p=1" + salt + key,
		"argon2d":         "$argon2d$v=19$m=7168,t=1,p=1" + salt + key,
		"scrypt 2^40":     "$scrypt$ln=40,r=8,p=1" + salt + key,
		"many iterations": "$pbkdf2-sha256$i=4294967296" + salt + key,
		"4 GiB":           "$argon2id$v=19$m=4194304,t=1,p=1" + salt + key,
		"memory overflow": "$argon2id$v=19$m=99999999999,t=1,p=1" + salt + key,
		"a million turns": "$argon2id$v=19$m=7168,t=1000000,p=1" + salt + key,
		"zero passes":     "$argon2id$v=19$m=7168,t=0,p=1" + salt + key,
		"zero lanes":      "$argon2id$v=19$m=7168,t=1,p=0" + salt + key,
		"many lanes":      "$argon2id$v=19$m=7168,t=1,p=255" + salt + key,
		"no memory":       "$argon2id$v=19$m=0,t=1,p=1" + salt + key,
		"negative memory": "$argon2id$v=19$m=-1,t=1,p=1" + salt + key,
		"old version":     "$argon2id$v=16$m=7168,t=1,p=1" + salt + key,
		"no salt":         "$argon2id$v=19$m=7168,t=1,p=1$" + key,
		"no key":          "$argon2id$v=19$m=7168,t=1,p=1" + salt + "$",
		"huge key":        "$argon2id$v=19$m=7168,t=1,p=1" + salt + "$" + strings.Repeat("A", 4<<20),
	} {
		match, _, err := h.Verify(t.Context(), "anything", encoded)
		if match || fault.KindOf(err) != fault.Internal || err == nil {
			t.Errorf("%s: match %v, error %v; want an internal error", name, match, err)
		}
		if err != nil && strings.Contains(err.Error(), "c2Fsd") {
			t.Errorf("%s: the error tells the hash: %v", name, err)
		}
	}
}

func TestHasher_DummyFollowsTheParameters(t *testing.T) {
	h := newHasher(t, Options{Params: quick, MemoryBytes: 64 << 20})
	if err := h.use(Params{MemoryKiB: 8 << 10, Passes: 3}); err != nil {
		t.Fatal(err)
	}
	if got, err := stored(*h.dummy.Load()); err != nil || got != (Params{8 << 10, 3, 1}) {
		t.Errorf("dummy hash has %+v, %v", got, err)
	}
	if err := h.VerifyDummy(t.Context(), "anything"); err != nil {
		t.Error(err)
	}
}

func TestNew_RefusesBadParameters(t *testing.T) {
	for name, opts := range map[string]Options{
		"little memory": {Params: Params{MemoryKiB: 64}},
		"much memory":   {Params: Params{MemoryKiB: 4 << 20}, MemoryBytes: 8 << 30},
		"many passes":   {Params: Params{Passes: 99}},
		"many lanes":    {Params: Params{Lanes: 99}},
		"small gate":    {MemoryBytes: 1 << 20},
	} {
		if _, err := New(opts, prometheus.NewRegistry()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHasher_FullGateIsOverloaded(t *testing.T) {
	h := newHasher(t, Options{Params: quick, MemoryBytes: quick.weight(), Waiting: 1})
	leave, err := h.gate.Enter(t.Context(), quick.weight())
	if err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.VerifyDummy(waiting, "first in line") }()
	untilQueued(t, h, 1)

	_, err = h.Hash(t.Context(), "second in line")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Overloaded || f.RetryAfter <= 0 {
		t.Errorf("over the bound: %v, want Overloaded with a time to come back", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that leaves the line gets %v", err)
	}
	leave()
	if _, err := h.Hash(t.Context(), "alone"); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

func TestHasher_GivesMemoryBackOnlyWhenQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, Options{Params: quick})
		var frees atomic.Int64
		h.free = func() { frees.Add(1) }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		after := func(d time.Duration, want int64, what string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := frees.Load(); got != want {
				t.Errorf("%s: given back %d times, want %d", what, got, want)
			}
		}
		after(time.Minute, 1, "started")
		for range 20 {
			if err := h.VerifyDummy(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			after(2*time.Second, 1, "under load")
		}
		after(time.Minute, 2, "quiet again")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func untilQueued(t *testing.T, h *Hasher, n float64) {
	t.Helper()
	var m dto.Metric
	for range 30_000 {
		if err := h.metrics.gate.Line.Write(&m); err != nil {
			t.Fatal(err)
		}
		if m.GetGauge().GetValue() == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never saw %v in line", n)
}
