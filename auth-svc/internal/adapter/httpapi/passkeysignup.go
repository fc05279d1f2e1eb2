package httpapi

import (
	"context"
	"net/http"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
)

// names are what a person is known by who signs up.
type names struct {
	Email    string `json:"email"`
	Phone    string `json:"phone"`
	Username string `json:"username"`
	Name     string `json:"name"`
}

func (n names) input(ctx context.Context) identity.SignupInput {
	return identity.SignupInput{Email: n.Email, Phone: n.Phone, Username: n.Username, Name: n.Name, Client: client(ctx, "")}
}

type passkeySignupOptionsRequest struct{ names }

func (a *API) passkeySignupOptions(ctx context.Context, in passkeySignupOptionsRequest) (passkeyOptions, error) {
	options, err := a.opts.Core.AskPasskeySignup(ctx, in.input(ctx))
	return passkeyOptions{options}, err
}

type passkeySignupRequest struct {
	names
	Credential credential `json:"credential"`
}

// Validate asks for what is missing.
func (in passkeySignupRequest) Validate() (bad []fault.Field) {
	if !in.Credential.given() {
		bad = append(bad, required("credential"))
	}
	return bad
}

type passkeySignupResponse struct {
	entryResponse
	recoveryCodesResponse
}

// StatusCode is 201: there is a new person.
func (passkeySignupResponse) StatusCode() int { return http.StatusCreated }

func (a *API) passkeySignup(ctx context.Context, in passkeySignupRequest) (passkeySignupResponse, error) {
	made, err := a.opts.Core.SignupPasskey(ctx, in.input(ctx), in.Credential.raw)
	if err != nil {
		return passkeySignupResponse{}, err
	}
	session, err := deliver(ctx, made.Tokens)
	return passkeySignupResponse{entryResponse{newUser(made.User), session}, newRecoveryCodes(made.RecoveryCodes)}, err
}
