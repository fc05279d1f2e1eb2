// Package restauthfiles speaks the sign-in part of the rest-auth-files contract: people known by phone or mail address, an
// access token in the body, the refresh token in a cookie for one path. The files service speaks the other part.
//
// Every refusal is {"error": "…"}. How long tokens live is the SessionPolicy's business.
package restauthfiles

import (
	"net/http"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

const (
	refreshPath   = "/signin/new_token"
	refreshCookie = "refreshToken"
)

type api struct{ dialect.Deps }

// New makes the dialect.
func New(deps dialect.Deps) dialect.Surface {
	a, m := api{deps}, web.NewMux()
	m.Post("/signup", "rest-auth-files.signup", web.Func(a.signup))
	m.Post("/signin", "rest-auth-files.signin", web.Func(a.signin))
	m.Post(refreshPath, "rest-auth-files.new_token", web.Func(a.newToken))
	m.Post("/logout", "rest-auth-files.logout", a.Guarded(a.logout))
	m.Get("/info", "rest-auth-files.info", a.Guarded(a.info))
	return dialect.Surface{Routes: m, Shape: dialect.Shaped(shape)}
}

type credentials struct {
	ID       string `json:"id"`
	Password string `json:"password"`
}

var errMissing = fault.New(fault.Invalid, "Missing id or password")

func (c *credentials) read(w http.ResponseWriter, r *http.Request) error {
	if err := dialect.Decode(w, r, c); err != nil {
		return err
	}
	if c.ID == "" || c.Password == "" {
		return errMissing
	}
	return nil
}

func (a api) signup(w http.ResponseWriter, r *http.Request) error {
	var in credentials
	if err := in.read(w, r); err != nil {
		return err
	}
	entry, err := a.Core.Signup(r.Context(), dialect.Names(identity.SignupInput{
		Password: secret.NewString(in.Password), Client: a.client(r),
	}, in.ID))
	if err != nil {
		return err
	}
	return a.hand(w, r, http.StatusCreated, "User registered successfully", entry.Tokens)
}

func (a api) signin(w http.ResponseWriter, r *http.Request) error {
	var in credentials
	if err := in.read(w, r); err != nil {
		return err
	}
	entry, err := a.Login(r, identity.LoginInput{
		Identifier: in.ID, Password: secret.NewString(in.Password), Client: a.client(r),
	})
	if err != nil {
		return err
	}
	return a.hand(w, r, http.StatusOK, "Login successful", entry.Tokens)
}

var errNoCookie = fault.New(fault.Invalid, "Missing refresh token")

func (a api) newToken(w http.ResponseWriter, r *http.Request) error {
	cookies := r.CookiesNamed(refreshCookie)
	if len(cookies) != 1 || cookies[0].Value == "" { // of two, one was planted
		return errNoCookie
	}
	tokens, err := a.Core.Refresh(r.Context(), secret.NewString(cookies[0].Value), a.client(r))
	if err != nil {
		return err
	}
	return a.hand(w, r, http.StatusOK, "Access token refreshed", tokens)
}

func (a api) logout(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	if err := a.Core.Logout(r.Context(), caller); err != nil {
		return ended(err)
	}
	return dialect.Write(w, http.StatusOK, message{"Logged out successfully"})
}

func (a api) info(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	u, err := a.Core.Me(r.Context(), caller)
	if err != nil {
		return ended(err)
	}
	return dialect.Write(w, http.StatusOK, struct {
		ID string `json:"id"`
	}{dialect.NameOf(u.Email, u.Phone, u.Username)})
}

// client adds the one claim that the seed's clients know the session by.
func (a api) client(r *http.Request) identity.Client {
	c := a.Client(r)
	c.Claims = func(_ identity.User, s identity.Session) map[string]string {
		return map[string]string{"sessionId": s.ID}
	}
	return c
}

type message struct {
	Message string `json:"message"`
}

// hand gives a client its tokens: one in the body, one in the cookie that only the next refresh brings back.
func (a api) hand(w http.ResponseWriter, r *http.Request, status int, text string, t identity.Tokens) error {
	http.SetCookie(w, &http.Cookie{
		Name: refreshCookie, Value: t.RefreshToken.Reveal(), Path: a.OutsidePrefix(r) + refreshPath,
		MaxAge: int(max(1, time.Until(t.RefreshExpiresAt).Round(time.Second)/time.Second)), HttpOnly: true, Secure: true,
		SameSite: http.SameSiteStrictMode,
	})
	return dialect.Write(w, status, struct {
		message
		AccessToken string `json:"accessToken"`
	}{message{text}, t.AccessToken.Reveal()})
}

// errRevoked is for a session that ended between the look at its token and the call.
var errRevoked = fault.New(fault.InvalidToken, "Session revoked")

func ended(err error) error {
	if err != nil && fault.KindOf(err) == fault.InvalidToken {
		return errRevoked
	}
	return err
}

// shape is a refusal in this contract's words, and in ours where it has none.
func shape(doc problem.Document, err error) (status int, body any) {
	return doc.Status, struct {
		Error string `json:"error"`
	}{words(doc, err)}
}

func words(doc problem.Document, err error) string {
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		return "Missing or Invalid Authorization header"
	case fault.InvalidToken:
		if token.Revoked(err) || doc.Detail == errRevoked.Detail {
			return "Session revoked"
		}
		return "invalid token"
	case fault.TokenExpired, fault.TokenStale: // either way a refresh brings a better one
		return "jwt expired"
	case fault.InvalidRefreshToken:
		return "Invalid or revoked refresh token"
	case fault.InvalidCredentials:
		return "Invalid id or password"
	case fault.UserExists:
		return "User already exists"
	}
	return dialect.Told(doc)
}
