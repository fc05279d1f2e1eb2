package field

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
)

func TestDigest_RoundTrip(t *testing.T) {
	want := Digest(sha256.Sum256([]byte("hello")))
	got, err := ParseDigest([]string{FormatDigest(want)})
	if err != nil || got == nil || *got != want {
		t.Fatalf("got %x, %v", got, err)
	}
	got, err = ParseDigest([]string{"sha-512=:AAAA:", FormatDigest(want) + ";p=1"})
	if err != nil || got == nil || *got != want {
		t.Fatalf("beside another algorithm: got %x, %v", got, err)
	}
}

func TestParseDigest_Refuses(t *testing.T) {
	if d, err := ParseDigest(nil); d != nil || err != nil {
		t.Errorf("an absent field: %v, %v", d, err)
	}
	sum := FormatDigest(Digest{})
	for value, want := range map[string]error{
		"":                            ErrDigestAlgo,
		"sha-512=:AAAA:":              ErrDigestAlgo,
		"SHA-256=:AAAA:":              ErrDigestSyntax,
		"sha-256=AAAA":                ErrDigestSyntax,
		"sha-256=:AAAA:":              ErrDigestSyntax,
		"sha-256=:!!!!:":              ErrDigestSyntax,
		"sha-256":                     ErrDigestSyntax,
		"sha-256=(:AAAA:)":            ErrDigestSyntax,
		sum + ",":                     ErrDigestSyntax,
		strings.Repeat(sum+", ", 200): ErrDigestSyntax,
	} {
		if d, err := ParseDigest([]string{value}); d != nil || !errors.Is(err, want) {
			t.Errorf("%.60q: got %v, %v; want %v", value, d, err, want)
		}
	}
}
