package jwt

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

func TestEnvelope_OpensWhatItHasSignedAsThatKindAlone(t *testing.T) {
	s := newSigner(&boxes{})
	key, other := generate(t, s, "k1", "RS512"), generate(t, s, "k2", "EdDSA")
	published := []identity.SigningKey{key, other}
	e := NewEnvelope(s, func(context.Context) ([]identity.SigningKey, error) { return published, nil })
	ends := time.Now().Add(-time.Hour).Truncate(time.Second) // opens all the same, and says so
	access, err := s.Sign(key, identity.Claims{UserID: "u", SessionID: "s", IssuedAt: ends.Add(-time.Hour), ExpiresAt: ends})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := e.SignLike(t.Context(), access, "x+jwt", map[string]any{"jti": "1", "exp": ends.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	claims, until, err := e.Open(t.Context(), raw, "x+jwt")
	if err != nil || claims["jti"] != "1" || !until.Equal(ends) {
		t.Fatalf("opened %v until %v, %v", claims, until, err)
	}
	if claims, _, err := e.Open(t.Context(), access, "at+jwt"); err != nil || claims["sid"] != "s" {
		t.Errorf("an access token opened as %v, %v", claims, err)
	}
	parts := strings.Split(raw, ".")
	head := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for what, bad := range map[string]string{
		"an access token":   access,
		"alg none":          head(`{"alg":"none","typ":"x+jwt","kid":"k1"}`) + "." + parts[1] + ".",
		"another algorithm": head(`{"alg":"RS256","typ":"x+jwt","kid":"k1"}`) + "." + parts[1] + "." + parts[2],
		"a key of another":  head(`{"alg":"RS512","typ":"x+jwt","kid":"k2"}`) + "." + parts[1] + "." + parts[2],
		"an unknown key":    head(`{"alg":"RS512","typ":"x+jwt","kid":"k3"}`) + "." + parts[1] + "." + parts[2],
		"other claims":      parts[0] + "." + head(`{"jti":"2","exp":9999999999}`) + "." + parts[2],
		"too long":          raw + strings.Repeat("A", maxEnvelopeBytes),
		"nothing":           "",
	} {
		if claims, _, err := e.Open(t.Context(), bad, "x+jwt"); err == nil {
			t.Errorf("%s opened as %v", what, claims)
		}
	}
	published = published[1:] // the key is gone
	if _, _, err := e.Open(t.Context(), raw, "x+jwt"); err == nil {
		t.Error("a token of a key that is not published any more has opened")
	}
}
