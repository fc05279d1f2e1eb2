package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

type signingKeysResponse struct {
	Items []wire.SigningKey `json:"items"`
}

func newSigningKeys(keys []identity.SigningKey) signingKeysResponse {
	body := signingKeysResponse{Items: make([]wire.SigningKey, 0, len(keys))}
	for _, k := range keys {
		body.Items = append(body.Items, wire.NewSigningKey(k))
	}
	return body
}

func (a *API) listSigningKeys(ctx context.Context, caller principal.Principal, _ empty) (signingKeysResponse, error) {
	keys, err := a.opts.Core.ListSigningKeys(ctx, caller)
	return newSigningKeys(keys), err
}

func (a *API) rotateSigningKeys(ctx context.Context, caller principal.Principal, _ empty) (signingKeysResponse, error) {
	keys, err := a.opts.Core.RotateSigningKeys(ctx, caller)
	return newSigningKeys(keys), err
}

type killSigningKeyRequest struct {
	KeyID string `path:"kid"`
}

func (a *API) killSigningKey(ctx context.Context, caller principal.Principal, in killSigningKeyRequest) (web.NoContent, error) {
	_, err := a.opts.Core.KillSigningKey(ctx, caller, in.KeyID)
	return web.NoContent{}, err
}

// jwks is the one answer that may be kept: that is what it is for.
func (a *API) jwks(w http.ResponseWriter, r *http.Request) error {
	keys, err := a.opts.Core.PublishedKeys(r.Context())
	if err != nil {
		return err
	}
	body, err := a.opts.KeySet(keys)
	if err != nil {
		return fmt.Errorf("render the key set: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(seconds(identity.JWKSLifetime), 10))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	return nil
}
