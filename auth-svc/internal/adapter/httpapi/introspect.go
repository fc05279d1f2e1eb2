package httpapi

import (
	"context"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

type introspectRequest struct {
	AccessToken hidden `json:"access_token"`
}

// Validate asks for what is missing.
func (in introspectRequest) Validate() []fault.Field {
	if in.AccessToken.IsZero() {
		return []fault.Field{required("access_token")}
	}
	return nil
}

type principalBody struct {
	UserID      string   `json:"user_id"`
	SessionID   string   `json:"session_id,omitempty"`
	APIKeyID    string   `json:"api_key_id,omitempty"`
	TokenID     string   `json:"token_id"`
	KeyID       string   `json:"key_id"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	Epoch       int64    `json:"epoch"`
	EpochRoles  []string `json:"epoch_roles"`
	IssuedAt    web.Time `json:"issued_at"`
	ExpiresAt   web.Time `json:"expires_at"`
}

// introspect is for gateways that lost the revocation stream: what the token says, checked against the store itself.
func (a *API) introspect(ctx context.Context, in introspectRequest) (principalBody, error) {
	p, err := a.opts.Verifier.Verify(ctx, in.AccessToken.Reveal())
	if err != nil {
		return principalBody{}, err
	}
	if err := a.opts.Core.Introspect(ctx, p); err != nil {
		return principalBody{}, err
	}
	permissions := make([]string, 0, len(p.Permissions))
	for _, perm := range p.Permissions {
		permissions = append(permissions, perm.String())
	}
	return principalBody{
		UserID: p.UserID, SessionID: p.SessionID, APIKeyID: p.APIKeyID, TokenID: p.TokenID, KeyID: p.KeyID,
		Roles: orEmpty(p.Roles), Permissions: permissions, Epoch: p.Epoch, EpochRoles: orEmpty(p.EpochRoles),
		IssuedAt: web.Time(p.IssuedAt), ExpiresAt: web.Time(p.ExpiresAt),
	}, nil
}
