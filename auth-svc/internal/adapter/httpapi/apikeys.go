package httpapi

import (
	"context"
	"net/http"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

type apiKeyBody = wire.APIKey

func newAPIKey(k identity.APIKey) apiKeyBody { return wire.NewAPIKey(k) }

func (a *API) listAPIKeys(ctx context.Context, caller principal.Principal, in pageQuery) (pageBody[apiKeyBody], error) {
	after, err := a.place("api_keys", in.Cursor)
	if err != nil {
		return pageBody[apiKeyBody]{}, err
	}
	page, err := a.opts.Core.ListAPIKeys(ctx, caller, after, in.limit())
	if err != nil {
		return pageBody[apiKeyBody]{}, err
	}
	return newPage(a, "api_keys", page, newAPIKey), nil
}

type createAPIKeyRequest struct {
	Name        string                 `json:"name"`
	Permissions []principal.Permission `json:"permissions"`
	ExpiresAt   *web.Time              `json:"expires_at"`
}

// Validate asks for what is missing.
func (in createAPIKeyRequest) Validate() (bad []fault.Field) {
	if in.Name == "" {
		bad = append(bad, required("name"))
	}
	if len(in.Permissions) == 0 {
		bad = append(bad, required("permissions"))
	}
	return bad
}

type createAPIKeyResponse struct {
	Key    string     `json:"key"`
	APIKey apiKeyBody `json:"api_key"`
}

// StatusCode is 201: there is a new key.
func (createAPIKeyResponse) StatusCode() int { return http.StatusCreated }

func (a *API) createAPIKey(ctx context.Context, caller principal.Principal, in createAPIKeyRequest) (createAPIKeyResponse, error) {
	want := identity.NewAPIKey{Name: in.Name, Permissions: in.Permissions}
	if in.ExpiresAt != nil {
		want.ExpiresAt = time.Time(*in.ExpiresAt)
	}
	made, err := a.opts.Core.CreateAPIKey(ctx, caller, want)
	if err != nil {
		return createAPIKeyResponse{}, err
	}
	return createAPIKeyResponse{made.Secret.Reveal(), newAPIKey(made.APIKey)}, nil
}

type deleteAPIKeyRequest struct {
	ID string `path:"id"`
}

func (a *API) deleteAPIKey(ctx context.Context, caller principal.Principal, in deleteAPIKeyRequest) (web.NoContent, error) {
	_, err := a.opts.Core.RevokeAPIKey(ctx, caller, in.ID)
	return web.NoContent{}, err
}

type exchangeRequest struct {
	APIKey hidden `json:"api_key"`
}

// Validate asks for what is missing.
func (in exchangeRequest) Validate() []fault.Field {
	if in.APIKey.IsZero() {
		return []fault.Field{required("api_key")}
	}
	return nil
}

type exchangeResponse struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
}

// exchangeAPIKey is for the gateway: services only ever see access tokens.
func (a *API) exchangeAPIKey(ctx context.Context, in exchangeRequest) (exchangeResponse, error) {
	t, err := a.opts.Core.ExchangeAPIKey(ctx, in.APIKey.String)
	if err != nil {
		return exchangeResponse{}, err
	}
	return exchangeResponse{t.AccessToken.Reveal(), seconds(t.ExpiresIn)}, nil
}
