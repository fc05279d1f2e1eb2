package totp_test

import (
	"encoding/base32"
	"net/url"
	"testing"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/totp"
)

// The vectors of RFC 6238, appendix B, for SHA-1; their last six digits.
func TestCode_FollowsTheStandard(t *testing.T) {
	shared := secret.NewString(base32.StdEncoding.EncodeToString([]byte("12345678901234567890")))
	for unix, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got, err := totp.New("x").Code(shared, unix/30); err != nil || got != want {
			t.Errorf("at %d: %q, %v; want %q", unix, got, err, want)
		}
	}
}

func TestGenerate_MakesWhatAppsRead(t *testing.T) {
	maker := totp.New("Cloakroom: test")
	shared, uri, err := maker.Generate("ada+tag@example.org")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(uri.Reveal())
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Query().Get("secret") != shared.Reveal() || u.Query().Get("issuer") != "Cloakroom: test" {
		t.Errorf("uri %v, %v", u, err)
	}
	if raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(shared.Reveal()); err != nil || len(raw) != 20 {
		t.Errorf("a secret of %d bytes, %v", len(raw), err)
	}
	if again, _, _ := maker.Generate("ada+tag@example.org"); again.Reveal() == shared.Reveal() {
		t.Error("two secrets are the same")
	}
	if _, err := maker.Code(secret.NewString("not base32!"), 1); err == nil {
		t.Error("a damaged secret made a code")
	}
}
