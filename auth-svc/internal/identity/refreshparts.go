package identity

import "cloakroom.dev/libs/secret"

// RefreshParts is what is inside a refresh token, for contracts whose refresh tokens have a form of their own and are signed
// by other means. The parts alone open nothing: only SealRefresh makes a token of them that Refresh takes, so whoever lifts
// them out of such a form can't use them past the rules of its contract.
type RefreshParts struct {
	SessionID  string
	Generation int64
	Secret     [secretBytes]byte
}

// OpenRefresh takes a token of ours apart.
func (s *Service) OpenRefresh(token secret.String) (RefreshParts, bool) {
	t, ok := openRefreshToken(s.opts.MAC, token.Reveal())
	return RefreshParts{SessionID: t.sessionID, Generation: t.generation, Secret: t.secret}, ok
}

// SealRefresh puts a token together. The caller has made sure that the parts come from us.
func (s *Service) SealRefresh(p RefreshParts) (secret.String, error) {
	return refreshToken{sessionID: p.SessionID, generation: p.Generation, secret: p.Secret}.seal(s.opts.MAC)
}
