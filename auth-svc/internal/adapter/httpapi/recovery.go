package httpapi

import (
	"context"
	"net/http"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"
)

// accepted is the answer that tells nothing.
type accepted struct{}

// StatusCode is 202: it will be looked into.
func (accepted) StatusCode() int { return http.StatusAccepted }

type forgotRequest struct {
	Identifier string `json:"identifier"`
}

// Validate asks for what is missing.
func (in forgotRequest) Validate() []fault.Field {
	if in.Identifier == "" {
		return []fault.Field{required("identifier")}
	}
	return nil
}

func (a *API) forgotPassword(ctx context.Context, in forgotRequest) (accepted, error) {
	return accepted{}, a.opts.Core.ForgotPassword(ctx, in.Identifier, client(ctx, ""))
}

type resetRequest struct {
	Token       hidden `json:"token"`
	NewPassword hidden `json:"new_password"`
}

// Validate asks for what is missing.
func (in resetRequest) Validate() (bad []fault.Field) {
	if in.Token.IsZero() {
		bad = append(bad, required("token"))
	}
	if !in.NewPassword.given {
		bad = append(bad, required("new_password"))
	}
	return bad
}

func (a *API) resetPassword(ctx context.Context, in resetRequest) (web.NoContent, error) {
	err := a.opts.Core.ResetPassword(ctx, in.Token.String, in.NewPassword.String, client(ctx, ""))
	if err == nil {
		forget(ctx)
	}
	return web.NoContent{}, err
}

type verifyRequest struct {
	Token hidden `json:"token"`
}

// Validate asks for what is missing.
func (in verifyRequest) Validate() []fault.Field {
	if in.Token.IsZero() {
		return []fault.Field{required("token")}
	}
	return nil
}

func (a *API) verifyEmail(ctx context.Context, in verifyRequest) (web.NoContent, error) {
	return web.NoContent{}, a.opts.Core.VerifyEmail(ctx, in.Token.String)
}

func (a *API) resendVerification(ctx context.Context, caller principal.Principal, _ empty) (accepted, error) {
	return accepted{}, a.opts.Core.ResendVerification(ctx, caller, client(ctx, ""))
}
