package httpapi

import (
	"context"
	"net/http"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

type signupRequest struct {
	Email    string `json:"email"`
	Phone    string `json:"phone"`
	Username string `json:"username"`
	Password hidden `json:"password"`
	Name     string `json:"name"`
}

type entryResponse struct {
	User    userBody    `json:"user"`
	Session sessionBody `json:"session"`
}

type signupResponse struct{ entryResponse }

// StatusCode is 201: there is a new person.
func (signupResponse) StatusCode() int { return http.StatusCreated }

func (a *API) signup(ctx context.Context, in signupRequest) (signupResponse, error) {
	entry, err := a.opts.Core.Signup(ctx, identity.SignupInput{
		Email: in.Email, Phone: in.Phone, Username: in.Username,
		Password: in.Password.String, Name: in.Name, Client: client(ctx, ""),
	})
	if err != nil {
		return signupResponse{}, err
	}
	return signupResponse{entryResponse{newUser(entry.User), newSession(entry.Tokens)}}, nil
}

type loginRequest struct {
	Identifier string `json:"identifier"`
	Password   hidden `json:"password"`
	DeviceName string `json:"device_name"`
}

const maxDeviceName = 100

// Validate asks for what is missing. An empty or endless password is not its business: such a one is wrong, at the
// cost of any other.
func (in loginRequest) Validate() (bad []fault.Field) {
	if in.Identifier == "" {
		bad = append(bad, required("identifier"))
	}
	if !in.Password.given {
		bad = append(bad, required("password"))
	}
	if utf8.RuneCountInString(in.DeviceName) > maxDeviceName {
		bad = append(bad, tooLong("device_name"))
	}
	return bad
}

func (a *API) login(ctx context.Context, in loginRequest) (loginResponse, error) {
	entry, err := a.opts.Core.Login(ctx, identity.LoginInput{
		Identifier: in.Identifier, Password: in.Password.String, Client: client(ctx, in.DeviceName),
	})
	if err != nil {
		return loginResponse{}, err
	}
	return newLogin(entry), nil
}

type refreshRequest struct {
	RefreshToken hidden `json:"refresh_token"`
}

// Validate asks for what is missing.
func (in refreshRequest) Validate() []fault.Field {
	if in.RefreshToken.IsZero() {
		return []fault.Field{required("refresh_token")}
	}
	return nil
}

type refreshResponse struct {
	Session sessionBody `json:"session"`
}

func (a *API) refresh(ctx context.Context, in refreshRequest) (refreshResponse, error) {
	tokens, err := a.opts.Core.Refresh(ctx, in.RefreshToken.String, client(ctx, ""))
	if err != nil {
		return refreshResponse{}, err
	}
	return refreshResponse{newSession(tokens)}, nil
}

func (a *API) logout(ctx context.Context, caller principal.Principal, _ empty) (web.NoContent, error) {
	return web.NoContent{}, a.opts.Core.Logout(ctx, caller)
}

type logoutAllRequest struct {
	KeepCurrent bool `json:"keep_current"`
}

type logoutAllResponse struct {
	Revoked int `json:"revoked"`
}

func (a *API) logoutAll(ctx context.Context, caller principal.Principal, in logoutAllRequest) (logoutAllResponse, error) {
	n, err := a.opts.Core.LogoutAll(ctx, caller, in.KeepCurrent)
	return logoutAllResponse{n}, err
}
