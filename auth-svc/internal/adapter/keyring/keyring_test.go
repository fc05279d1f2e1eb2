package keyring

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cloakroom.dev/libs/secret"
)

var (
	oldSecret = secret.NewString(strings.Repeat("old-secret.", 4))
	newSecret = secret.NewString(strings.Repeat("new-secret!", 4))
)

func ring(t *testing.T, current secret.String, previous ...secret.String) *Ring {
	t.Helper()
	r, err := New(current, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sealer(t *testing.T, r *Ring, purpose string) *Sealer {
	t.Helper()
	s, err := r.Sealer(purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealer_OpensOnlyUnderItsLabelPurposeAndSecret(t *testing.T) {
	s := sealer(t, ring(t, newSecret), "keys")
	sealed := s.Seal("kid-1", []byte("private"))
	if got, err := s.Open("kid-1", sealed); err != nil || string(got) != "private" {
		t.Fatalf("Open = %q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte("private")) {
		t.Error("the sealed bytes show the plain ones")
	}
	for name, open := range map[string]func() ([]byte, error){
		"other label":   func() ([]byte, error) { return s.Open("kid-2", sealed) },
		"other purpose": func() ([]byte, error) { return sealer(t, ring(t, newSecret), "else").Open("kid-1", sealed) },
		"other secret":  func() ([]byte, error) { return sealer(t, ring(t, oldSecret), "keys").Open("kid-1", sealed) },
		"empty":         func() ([]byte, error) { return s.Open("kid-1", nil) },
		"head only":     func() ([]byte, error) { return s.Open("kid-1", sealed[:2]) },
		"cut":           func() ([]byte, error) { return s.Open("kid-1", sealed[:len(sealed)-1]) },
		"other version": func() ([]byte, error) { return s.Open("kid-1", append([]byte{9}, sealed[1:]...)) },
	} {
		if got, err := open(); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestSealer_AnyFlippedBitIsNoticed(t *testing.T) {
	s := sealer(t, ring(t, newSecret), "keys")
	rapid.Check(t, func(t *rapid.T) {
		sealed := s.Seal("label", rapid.SliceOf(rapid.Byte()).Draw(t, "plain"))
		bit := rapid.IntRange(0, len(sealed)*8-1).Draw(t, "bit")
		sealed[bit/8] ^= 1 << (bit % 8)
		if _, err := s.Open("label", sealed); !errors.Is(err, ErrOpen) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	})
}

func TestRing_RotatedSecretStillOpensOldWork(t *testing.T) {
	before, after := ring(t, oldSecret), ring(t, newSecret, oldSecret)
	sealed := sealer(t, before, "keys").Seal("l", []byte("x"))
	s := sealer(t, after, "keys")
	if got, err := s.Open("l", sealed); err != nil || string(got) != "x" {
		t.Errorf("Open = %q, %v", got, err)
	}
	if _, err := sealer(t, before, "keys").Open("l", s.Seal("l", nil)); !errors.Is(err, ErrOpen) {
		t.Errorf("new work is still sealed with the old secret: %v", err)
	}

	oldMAC, _ := before.MAC("refresh")
	newMAC, _ := after.MAC("refresh")
	want, _ := oldMAC.Sum(oldMAC.Current(), []byte("m"))
	got, ok := newMAC.Sum(oldMAC.Current(), []byte("m"))
	if !ok || !bytes.Equal(want, got) {
		t.Error("a rotated ring can't check what the old one signed")
	}
	if newMAC.Current() == oldMAC.Current() {
		t.Error("new work is signed with the old key")
	}
	if _, ok := oldMAC.Sum(newMAC.Current(), []byte("m")); ok {
		t.Error("a ring knows a key it was never given")
	}
}

func TestRing_PurposesDoNotShareKeys(t *testing.T) {
	r := ring(t, newSecret)
	a, _ := r.MAC("refresh")
	b, _ := r.MAC("api-key")
	x, _ := a.Sum(a.Current(), []byte("m"))
	y, _ := b.Sum(b.Current(), []byte("m"))
	if bytes.Equal(x, y) {
		t.Error("two purposes give one checksum")
	}
	k1, _ := r.Key("cursor")
	k2, _ := r.Key("cursor")
	k3, _ := r.Key("other")
	if k1 != k2 || k1 == k3 {
		t.Error("Key is not a function of its purpose")
	}
}

func TestNew_RefusesBadSecrets(t *testing.T) {
	if _, err := New(secret.NewString("short")); err == nil {
		t.Error("a short secret is accepted")
	}
	if _, err := New(newSecret, newSecret); err == nil {
		t.Error("one secret twice is accepted")
	}
	if _, err := New(newSecret, secret.String{}); err == nil {
		t.Error("an empty older secret is accepted")
	}
	if _, err := New(newSecret, make([]secret.String, maxSecrets)...); err == nil {
		t.Error("an endless list is accepted")
	}
	if _, err := ring(t, newSecret).Sealer(""); err == nil {
		t.Error("a key without purpose is derived")
	}
}
