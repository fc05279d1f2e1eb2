// Package usermanagement speaks the contract of the user-management back end: people and their rights under /v1/users, and a
// session in two cookies.
//
//	/v1/login, /v1/refresh/jwt ──> core.Login / core.Refresh ──> cookies access_token and refresh_token
//	/v1/users…                 ──> cookie access_token ──> core ──> {success, data | user | message}
//
// Refusals are {"success": false, "message": "…"}. Permissions are {action, method, resource} here: the action is our scope, the
// method our action. Changing one's own name or password, and deleting oneself, asks for a sign-in of the last minutes, since
// this contract does not send the current password.
package usermanagement

import (
	"net/http"
	"strings"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

type api struct{ dialect.Deps }

// New makes the dialect.
func New(deps dialect.Deps) dialect.Surface {
	a, m := api{deps}, web.NewMux()
	m.Post("/v1/login", "user-management.login", web.Func(a.login))
	m.Get("/v1/refresh/jwt", "user-management.refresh", web.Func(a.refresh))
	m.Post("/v1/users", "user-management.create", web.Func(a.create))
	m.Get("/v1/users", "user-management.list", a.cookied(a.list))
	m.Get("/v1/users/me", "user-management.me", a.cookied(a.me))
	m.Get("/v1/users/{id}", "user-management.get", a.cookied(a.get))
	m.Patch("/v1/users/{id}", "user-management.update", a.cookied(a.update))
	m.Delete("/v1/users/{id}", "user-management.delete", a.cookied(a.delete))
	return dialect.Surface{Routes: m, Shape: dialect.Shaped(shape)}
}

// said is an answer that is a sentence.
type said struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// found is an answer with something in it.
type found struct {
	Success bool `json:"success"`
	Data    any  `json:"data"`
}

var (
	errNoUsername = fault.New(fault.Forbidden, "Username is empty.")
	errNoPassword = fault.New(fault.Forbidden, "Password is empty.")
)

func (a api) login(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	switch {
	case in.Username == "":
		return errNoUsername
	case in.Password == "":
		return errNoPassword
	}
	entry, err := a.Login(r, identity.LoginInput{
		Identifier: in.Username, Password: secret.NewString(in.Password), Client: a.Client(r),
	})
	if err != nil {
		return err
	}
	if err := a.giveCookies(w, r, entry.User.ID, entry.Tokens); err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, said{true, in.Username + " has been authenticated successfully."})
}

func (a api) refresh(w http.ResponseWriter, r *http.Request) error {
	presented, owner, err := a.presentedRefresh(r)
	if err != nil {
		return err
	}
	tokens, err := a.Core.Refresh(r.Context(), presented, a.Client(r))
	if err != nil {
		return a.whyRefused(r, owner, err)
	}
	if err := a.giveCookies(w, r, owner, tokens); err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, said{true, "JWT token has been refreshed successfully."})
}

var errBlocked = fault.New(fault.Forbidden, "User is blacklisted.")

// whyRefused tells those who have been blocked so: their sessions are gone, but they hold a token that was theirs.
func (a api) whyRefused(r *http.Request, owner string, refused error) error {
	if fault.KindOf(refused) != fault.InvalidRefreshToken {
		return refused
	}
	blocked, err := a.Core.Blocked(r.Context(), owner)
	switch {
	case err != nil:
		return err
	case blocked:
		return errBlocked
	}
	return refused
}

// cookied is a handler for callers with a good access token in the cookie.
func (a api) cookied(fn func(w http.ResponseWriter, r *http.Request, caller principal.Principal) error) http.Handler {
	return web.Func(func(w http.ResponseWriter, r *http.Request) error {
		caller, err := a.byCookie(r)
		if err != nil {
			return err
		}
		return fn(w, r, caller)
	})
}

var errNoCookie = fault.New(fault.Unauthenticated, "JWT Token has expired. Please generate a new token.")

// byCookie is who shows a good access token. Of two cookies one was planted.
func (a api) byCookie(r *http.Request) (principal.Principal, error) {
	cookies := r.CookiesNamed(accessCookie)
	if len(cookies) != 1 || cookies[0].Value == "" {
		return principal.Principal{}, errNoCookie
	}
	return a.Verifier.Verify(r.Context(), cookies[0].Value)
}

// statuses are those of this contract where it differs from ours.
var statuses = map[fault.Kind]int{
	fault.Unauthenticated:     http.StatusForbidden,
	fault.InvalidCredentials:  http.StatusForbidden,
	fault.InvalidRefreshToken: http.StatusBadRequest,
}

var sentences = map[fault.Kind]string{
	fault.InvalidCredentials:  "Invalid username or password.",
	fault.AccountDeactivated:  "User is blacklisted.",
	fault.InvalidRefreshToken: "Invalid request.",
	fault.UserExists:          "Username already exists.",
	fault.InvalidToken:        "Invalid token.",
	fault.TokenExpired:        "JWT Token has expired. Please generate a new token.",
	fault.TokenStale:          "JWT Token has expired. Please generate a new token.",
}

// shape is a refusal in this contract's words, and in ours where it has none.
func shape(doc problem.Document, err error) (status int, body any) {
	kind := fault.KindOf(err)
	text, ours := sentences[kind]
	if !ours {
		text = dialect.Told(doc)
	}
	if status = statuses[kind]; status == 0 {
		status = doc.Status
	}
	return status, said{false, strings.TrimSpace(text)}
}
