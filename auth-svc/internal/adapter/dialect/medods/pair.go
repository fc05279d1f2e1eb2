package medods

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
)

// The types in the headers of a pair. Neither token passes for the other.
const (
	accessType  = "at+jwt"
	refreshType = "medods-refresh+jwt"
)

var (
	errPair = fault.New(fault.InvalidRefreshToken, "the two tokens are not a pair of ours; sign in again")
	text64  = base64.RawURLEncoding.Strict()
)

// dress makes the refresh token of this contract.
func (a api) dress(ctx context.Context, t identity.Tokens) (string, error) {
	parts, ok := a.Core.OpenRefresh(t.RefreshToken)
	if !ok {
		return "", fmt.Errorf("the refresh token of session %s does not open", t.SessionID)
	}
	return a.Envelope.SignLike(ctx, t.AccessToken.Reveal(), refreshType, map[string]any{
		"jti":         strconv.FormatInt(parts.Generation, 10) + "." + text64.EncodeToString(parts.Secret[:]),
		"tokenFamily": parts.SessionID,
		"linkerId":    linker(parts.SessionID, parts.Generation),
		"iat":         time.Now().Unix(),
		"exp":         t.RefreshExpiresAt.Unix(),
	})
}

// openPair returns the core's refresh token out of a pair that belongs together. The access token may have expired: that is what
// a refresh is for. Whether the session lives, and the token is the live one, is for the core to say.
func (a api) openPair(ctx context.Context, access, refresh string) (secret.String, error) {
	r, until, err := a.Envelope.Open(ctx, refresh, refreshType)
	if err != nil {
		return secret.String{}, noPair(err)
	}
	t, _, err := a.Envelope.Open(ctx, access, accessType)
	if err != nil {
		return secret.String{}, noPair(err)
	}
	parts, ok := partsOf(r)
	link := linker(parts.SessionID, parts.Generation)
	if !ok || !time.Now().Before(until) || r["linkerId"] != link || t["linkerId"] != link || t["sid"] != parts.SessionID {
		return secret.String{}, errPair
	}
	credential, err := a.Core.SealRefresh(parts)
	if err != nil {
		return secret.String{}, errPair
	}
	return credential, nil
}

// noPair keeps a service that can't look at keys right now from telling a client that its tokens are bad.
func noPair(err error) error {
	if fault.KindOf(err) == fault.Unavailable {
		return err
	}
	return errPair
}

// partsOf reads the claims of a refresh token that we have signed.
func partsOf(claims map[string]any) (p identity.RefreshParts, ok bool) {
	jti, _ := claims["jti"].(string)
	p.SessionID, _ = claims["tokenFamily"].(string)
	number, text, _ := strings.Cut(jti, ".")
	generation, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return p, false
	}
	raw, err := text64.DecodeString(text)
	if err != nil || len(raw) != len(p.Secret) {
		return p, false
	}
	p.Generation, p.Secret = generation, [len(p.Secret)]byte(raw)
	return p, true
}

// linker names one pair: the tokens of one generation of a session have it, also those that a repeat inside the reuse window
// brings. It is no secret, the signatures around it are what counts. Its form is a UUID (version 8).
func linker(sessionID string, generation int64) string {
	sum := sha256.Sum256([]byte("medods pair\x00" + sessionID + "\x00" + strconv.FormatInt(generation, 10)))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	text := hex.EncodeToString(b)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
