package argon2

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/auth-svc/internal/foreignhash"
	"cloakroom.dev/auth-svc/internal/identity"
)

// The times of refusals must be drawn from one distribution, whatever hash a password was held against: ours, nobody's,
// or that of a system people came from. Kolmogorov and Smirnov's distance, as in the test of the login as a whole.
func TestHasher_RefusalsTakeTheSameTimeForForeignHashes(t *testing.T) {
	h := newHasher(t, Options{Params: quick})
	own, err := h.Hash(t.Context(), "pass")
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]string{"own": own, "nobody's": ""}
	var kinds []string
	for name, kind := range map[string]string{"bcrypt": "$2b$08", "light pbkdf2": "$pbkdf2-sha1$i=1000", "scrypt": "$scrypt$ln=12,r=8,p=1"} {
		d, err := foreignhash.Dummy(kind)
		if err != nil {
			t.Fatal(err)
		}
		hashes[name] = d.String()
		kinds = append(kinds, kind)
	}
	if err := h.Expect(t.Context(), append(kinds, identity.HashKind(own), "", "$2b$31", "nonsense")); err != nil {
		t.Fatal(err)
	}
	// By chance 1.95·sqrt(2/n) is passed once in a thousand times. A busy machine may spoil a round, a leak spoils all.
	const samples, rounds, limit = 25, 6, 0.55
	best := map[string]float64{}
	for range rounds {
		times := map[string][]float64{}
		names := make([]string, 0, len(hashes))
		for name := range hashes {
			names = append(names, name)
		}
		for range samples {
			rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			for _, name := range names {
				began := time.Now()
				refuse(t, h, hashes[name])
				times[name] = append(times[name], float64(time.Since(began)))
			}
		}
		worst := 0.0
		for name := range hashes {
			d := distance(slices.Clone(times["own"]), times[name])
			if b, ok := best[name]; !ok || d < b {
				best[name] = d
			}
			worst = max(worst, best[name])
		}
		if worst <= limit {
			return
		}
	}
	t.Errorf("the distributions of the times of refusals lie apart: %v", best)
}

func refuse(t *testing.T, h *Hasher, encoded string) {
	t.Helper()
	if encoded == "" {
		if err := h.VerifyDummy(t.Context(), "wrong"); err != nil {
			t.Fatal(err)
		}
		return
	}
	if match, _, err := h.Verify(t.Context(), "wrong", encoded); match || err != nil {
		t.Fatalf("%s: %v, %v", encoded, match, err)
	}
}

// distance is the largest difference of two empirical distributions.
func distance(a, b []float64) (most float64) {
	slices.Sort(a)
	slices.Sort(b)
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if a[i] <= b[j] {
			i++
		} else {
			j++
		}
		d := float64(i)/float64(len(a)) - float64(j)/float64(len(b))
		most = max(most, d, -d)
	}
	return most
}

func TestLevel_HoldsBackAndLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l level
		took := func(work time.Duration, foreign bool) time.Duration {
			began := time.Now()
			time.Sleep(work)
			if err := l.hold(t.Context(), began, foreign); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		if got := took(20*time.Millisecond, false); got != 20*time.Millisecond {
			t.Errorf("with one kind of hash: %s", got)
		}
		if got := took(200*time.Millisecond, true); got != 200*time.Millisecond {
			t.Errorf("the first of a foreign kind: %s", got)
		}
		if got := took(20*time.Millisecond, false); got != 260*time.Millisecond {
			t.Errorf("after it: %s", got)
		}
		if got := took(time.Minute, true) + took(time.Millisecond, false); got != time.Minute+maxFloor {
			t.Errorf("the floor has no cap: %s", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.hold(ctx, time.Now(), false); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that leaves waits on: %v", err)
		}
	})
}

func TestHasher_ExpectNothingForeignHoldsNothingBack(t *testing.T) {
	h := newHasher(t, Options{Params: quick})
	for _, kinds := range [][]string{{"$2b$04"}, nil} {
		if err := h.Expect(t.Context(), kinds); err != nil {
			t.Fatal(err)
		}
		if held := h.level.floor.Load() > 0; held != (len(kinds) > 0) {
			t.Errorf("%v: held back %v", kinds, held)
		}
	}
}

func TestHasher_RenewsForeignHashes(t *testing.T) {
	h := newHasher(t, Options{Params: quick})
	encoded, err := h.Adopt(identity.ForeignHash{Encoded: "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"})
	if err != nil {
		t.Fatal(err)
	}
	if match, outdated, err := h.Verify(t.Context(), "correct horse", encoded); !match || !outdated || err != nil {
		t.Errorf("match %v, outdated %v, %v", match, outdated, err)
	}
	for _, hostile := range []string{"$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8", "$2b$31$x", "x"} {
		if got, err := h.Adopt(identity.ForeignHash{Encoded: hostile}); err == nil {
			t.Errorf("adopted %s", got)
		}
	}
}
