package httpapi

import (
	"context"
	"net/http"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

type providerBody struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	StartPath   string `json:"start_path"`
}

type providersResponse struct {
	Items []providerBody `json:"items"`
}

func (a *API) listProviders(context.Context, empty) (providersResponse, error) {
	list := a.opts.Core.Providers()
	body := providersResponse{Items: make([]providerBody, 0, len(list))}
	for _, p := range list {
		body.Items = append(body.Items, providerBody{p.Name, p.DisplayName, "/v1/auth/providers/" + p.Name + "/start"})
	}
	return body, nil
}

type signInExchangeRequest struct {
	Code         hidden `json:"code"`
	CodeVerifier hidden `json:"code_verifier"`
	DeviceName   string `json:"device_name"`
}

// Validate asks for what is missing.
func (in signInExchangeRequest) Validate() (bad []fault.Field) {
	if utf8.RuneCountInString(in.DeviceName) > maxDeviceName {
		bad = append(bad, tooLong("device_name"))
	}
	return append(bad, codeAndVerifier(in.Code, in.CodeVerifier)...)
}

func codeAndVerifier(code, verifier hidden) (bad []fault.Field) {
	if code.IsZero() {
		bad = append(bad, required("code"))
	}
	if verifier.IsZero() {
		bad = append(bad, required("code_verifier"))
	}
	return bad
}

func (a *API) exchangeSignIn(ctx context.Context, in signInExchangeRequest) (loginResponse, error) {
	entry, err := a.opts.Core.ExchangeSignIn(ctx, identity.ExchangeInput{
		Code: in.Code.String, Verifier: in.CodeVerifier.String, Client: client(ctx, in.DeviceName),
	})
	if err != nil {
		return loginResponse{}, err
	}
	return newLogin(ctx, entry)
}

type identitiesResponse struct {
	Items []wire.ExternalIdentity `json:"items"`
}

func (a *API) listIdentities(ctx context.Context, caller principal.Principal, _ empty) (identitiesResponse, error) {
	list, err := a.opts.Core.ListIdentities(ctx, caller)
	return identitiesResponse{wire.NewExternalIdentities(list)}, err
}

type linkIdentityRequest struct {
	Code         hidden `json:"code"`
	CodeVerifier hidden `json:"code_verifier"`
}

// Validate asks for what is missing.
func (in linkIdentityRequest) Validate() []fault.Field {
	return codeAndVerifier(in.Code, in.CodeVerifier)
}

type linkedIdentityResponse struct{ wire.ExternalIdentity }

// StatusCode is 201: there is a new way in.
func (linkedIdentityResponse) StatusCode() int { return http.StatusCreated }

func (a *API) linkIdentity(ctx context.Context, caller principal.Principal, in linkIdentityRequest) (linkedIdentityResponse, error) {
	e, err := a.opts.Core.LinkIdentity(ctx, caller, identity.ExchangeInput{
		Code: in.Code.String, Verifier: in.CodeVerifier.String, Client: client(ctx, ""),
	})
	return linkedIdentityResponse{wire.NewExternalIdentity(e)}, err
}

type unlinkIdentityRequest struct {
	ID string `path:"id"`
}

func (a *API) unlinkIdentity(ctx context.Context, caller principal.Principal, in unlinkIdentityRequest) (web.NoContent, error) {
	return web.NoContent{}, a.opts.Core.UnlinkIdentity(ctx, caller, in.ID, client(ctx, ""))
}
