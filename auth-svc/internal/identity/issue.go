package identity

import (
	"fmt"
	"time"

	"cloakroom.dev/libs/secret"
)

// accessUntil bounds the access tokens of a session that is made or rotated now: until the next rotation, repeats
// inside the reuse window mint without writing, so their tokens are counted in beforehand.
func accessUntil(p Policy, now time.Time) time.Time { return now.Add(p.AccessTTL + p.ReuseWindow) }

// issue signs an access token for a session and puts it together with the refresh token that holds live. It runs
// after the commit: a signature must not keep the writer waiting.
func (s *Service) issue(p Policy, sess Session, rights Rights, live [secretBytes]byte, now time.Time, extra map[string]string) (Tokens, error) {
	refresh, err := refreshToken{sessionID: sess.ID, generation: sess.Generation, secret: live}.seal(s.opts.MAC)
	if err != nil {
		return Tokens{}, err
	}
	// Never past the session's own end: what expires by itself needs no entry in the log.
	until := earlier(now.Add(p.AccessTTL), earlier(sess.AccessUntil, sess.RefreshUntil))
	access, left, err := s.sign(p, Claims{
		UserID: sess.UserID, SessionID: sess.ID,
		Roles: rights.Roles, Permissions: rights.Permissions, Epoch: rights.Epoch,
		Proof: sess.Proof, ProvedAt: sess.ProvedAt, IssuedAt: now, ExpiresAt: until, Extra: extra,
	})
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{
		AccessToken: access, ExpiresIn: left, SessionID: sess.ID,
		RefreshToken: refresh, RefreshExpiresAt: sess.RefreshUntil,
	}, nil
}

// sign signs the claims, their times cut to seconds, and says how long the token lives.
func (s *Service) sign(p Policy, c Claims) (secret.String, time.Duration, error) {
	key, err := s.keys.signing(p.Algorithm)
	if err != nil {
		return secret.String{}, 0, err
	}
	c.TokenID = s.opts.NewID()
	c.IssuedAt, c.ExpiresAt = c.IssuedAt.Truncate(time.Second), c.ExpiresAt.Truncate(time.Second)
	raw, err := s.signer.Sign(key, c)
	if err != nil {
		return secret.String{}, 0, fmt.Errorf("sign an access token: %w", err)
	}
	return secret.NewString(raw), max(0, c.ExpiresAt.Sub(c.IssuedAt)), nil
}
