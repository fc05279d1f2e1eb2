package httpapi

import (
	"context"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// profileBody is a person as they see themselves.
type profileBody struct {
	userBody
	Factors []identity.FactorKind `json:"factors"`
}

func newProfile(p identity.Profile) profileBody {
	return profileBody{newUser(p.User), orEmpty(p.Factors)}
}

func (a *API) me(ctx context.Context, caller principal.Principal, _ empty) (profileBody, error) {
	p, err := a.opts.Core.Me(ctx, caller)
	return newProfile(p), err
}

type updateMeRequest struct {
	Name            *string   `json:"name"`
	Email           removable `json:"email"`
	Phone           removable `json:"phone"`
	Username        removable `json:"username"`
	CurrentPassword hidden    `json:"current_password"`
}

func (a *API) updateMe(ctx context.Context, caller principal.Principal, in updateMeRequest) (profileBody, error) {
	p, err := a.opts.Core.UpdateMe(ctx, caller, identity.UserChange{
		Name: in.Name, Email: in.Email.value, Phone: in.Phone.value, Username: in.Username.value,
		CurrentPassword: in.CurrentPassword.String, Client: client(ctx, ""),
	})
	return newProfile(p), err
}

type deleteMeRequest struct {
	CurrentPassword hidden `json:"current_password"`
}

// Validate asks for what is missing.
func (in deleteMeRequest) Validate() []fault.Field {
	if !in.CurrentPassword.given {
		return []fault.Field{required("current_password")}
	}
	return nil
}

func (a *API) deleteMe(ctx context.Context, caller principal.Principal, in deleteMeRequest) (web.NoContent, error) {
	err := a.opts.Core.DeleteMe(ctx, caller, client(ctx, ""), in.CurrentPassword.String)
	if err == nil {
		forget(ctx)
	}
	return web.NoContent{}, err
}

type changePasswordRequest struct {
	CurrentPassword hidden `json:"current_password"`
	NewPassword     hidden `json:"new_password"`
}

// Validate asks for what is missing.
func (in changePasswordRequest) Validate() (bad []fault.Field) {
	if !in.CurrentPassword.given {
		bad = append(bad, required("current_password"))
	}
	if !in.NewPassword.given {
		bad = append(bad, required("new_password"))
	}
	return bad
}

func (a *API) changePassword(ctx context.Context, caller principal.Principal, in changePasswordRequest) (web.NoContent, error) {
	return web.NoContent{}, a.opts.Core.ChangePassword(ctx, caller, client(ctx, ""), in.CurrentPassword.String, in.NewPassword.String)
}
