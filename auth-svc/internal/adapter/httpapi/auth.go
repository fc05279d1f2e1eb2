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
	session, err := deliver(ctx, entry.Tokens)
	return signupResponse{entryResponse{newUser(entry.User), session}}, err
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
	return newLogin(ctx, entry)
}

type refreshRequest struct {
	RefreshToken hidden `json:"refresh_token"`
	Mode         string `header:"X-Session-Mode"`
}

// Validate asks for the one token there must be: in the body, or in a browser session in the cookie.
func (in refreshRequest) Validate() []fault.Field {
	switch {
	case in.Mode == "" && in.RefreshToken.IsZero():
		return []fault.Field{required("refresh_token")}
	case in.Mode != "" && in.RefreshToken.given:
		return []fault.Field{{Field: "refresh_token", Code: "AMBIGUOUS", Detail: "is in the cookie already; leave it out"}}
	}
	return nil
}

type refreshResponse struct {
	Session sessionBody `json:"session"`
}

func (a *API) refresh(ctx context.Context, in refreshRequest) (refreshResponse, error) {
	presented, err := presentedRefresh(ctx, in.RefreshToken)
	if err != nil {
		return refreshResponse{}, err
	}
	tokens, err := a.opts.Core.Refresh(ctx, presented, client(ctx, ""))
	if err != nil {
		if fault.KindOf(err) == fault.InvalidRefreshToken {
			forget(ctx)
		}
		return refreshResponse{}, err
	}
	session, err := deliver(ctx, tokens)
	return refreshResponse{session}, err
}

func (a *API) logout(ctx context.Context, caller principal.Principal, _ empty) (web.NoContent, error) {
	err := a.opts.Core.Logout(ctx, caller)
	if err == nil {
		forget(ctx)
	}
	return web.NoContent{}, err
}

type logoutAllRequest struct {
	KeepCurrent bool `json:"keep_current"`
}

type logoutAllResponse struct {
	Revoked int `json:"revoked"`
}

func (a *API) logoutAll(ctx context.Context, caller principal.Principal, in logoutAllRequest) (logoutAllResponse, error) {
	n, err := a.opts.Core.LogoutAll(ctx, caller, in.KeepCurrent)
	if err == nil && !in.KeepCurrent {
		forget(ctx)
	}
	return logoutAllResponse{n}, err
}
