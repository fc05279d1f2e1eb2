// Package trackit speaks the contract of the TrackIt back end: an API key on every call, people by username, sessions by
// device, failures as {success: false, error}.
//
// How long its tokens live and how many sessions a person has are configuration (SessionPolicy); here are only its words. The
// calls that name a person and a password in place of a token sign that person in, act, and sign out again, so that every rule
// and every line of the audit trail is the core's own.
package trackit

import (
	"context"
	"net/http"

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
	m.Post("/auth/login", "trackit.login", a.keyed(a.login))
	m.Post("/auth/refresh", "trackit.refresh", a.keyed(a.refresh))
	m.Get("/auth/check", "trackit.check", a.keyed(a.check))
	m.Post("/auth/logout", "trackit.logout", a.keyed(a.logout))
	m.Post("/auth/logout-all", "trackit.logout_all", a.keyed(a.logoutAll))
	m.Post("/auth/sessions", "trackit.sessions", a.keyed(a.sessions))
	m.Post("/user/register", "trackit.register", a.keyed(a.register))
	m.Post("/user/change/password", "trackit.change.password", a.keyed(a.changePassword))
	m.Post("/user/change/username", "trackit.change.username", a.keyed(a.changeUsername))
	m.Post("/user/change/email", "trackit.change.email", a.keyed(a.changeEmail))
	m.Post("/user/delete", "trackit.delete", a.keyed(a.deleteAccount))
	m.Post("/admin/user", "trackit.admin.user", a.keyed(a.adminUser))
	m.Get("/admin/emails", "trackit.admin.emails", a.keyed(a.adminEmails))
	return dialect.Surface{Routes: m, Shape: dialect.Shaped(shape)}
}

// key is the API key of a call: as it was shown, and whose it is and what it may.
type key struct {
	shown string
	owner principal.Principal
}

var errKey = fault.New(fault.Unauthenticated, "Invalid API key")

// keyed is a handler behind an API key of ours, in the header or, as TrackIt also has it, in the query.
func (a api) keyed(fn func(w http.ResponseWriter, r *http.Request, k key) error) http.Handler {
	return web.Func(func(w http.ResponseWriter, r *http.Request) error {
		k := key{shown: r.Header.Get("X-Api-Key")}
		if k.shown == "" {
			k.shown = r.URL.Query().Get("apiKey")
		}
		if k.shown == "" {
			return errKey
		}
		var err error
		k.owner, err = a.APIKey(r, secret.NewString(k.shown))
		switch fault.KindOf(err) {
		case fault.InvalidCredentials, fault.InvalidToken, fault.TokenExpired, fault.TokenStale:
			return errKey
		}
		if err != nil {
			return err
		}
		return fn(w, r, k)
	})
}

// client is the other end. A device has no other name than its id, so it is called by that.
func (a api) client(r *http.Request) identity.Client {
	c := a.Client(r)
	c.DeviceName = a.deviceOf(c.UserAgent, c.Address.Unmap().String())
	c.Claims = func(u identity.User, s identity.Session) map[string]string {
		return map[string]string{"userId": u.ID, "username": u.Username, "deviceId": a.deviceID(s)}
	}
	return c
}

// as does something as the person whose name and password are given, in a session of a moment. That session is none of
// TrackIt's five: nobody is put out for it.
func (a api) as(r *http.Request, username, password string, do func(ctx context.Context, caller principal.Principal) error) error {
	client := a.client(r)
	client.Policy, client.Claims = "", nil
	entry, err := a.Login(r, identity.LoginInput{Identifier: username, Password: secret.NewString(password), Client: client})
	if err != nil {
		return err
	}
	caller, err := a.Verifier.Verify(r.Context(), entry.Tokens.AccessToken.Reveal())
	if err != nil {
		return err
	}
	defer func() {
		// It may have ended with what was done. Otherwise it must not outlive the call, whoever hangs up meanwhile.
		_ = a.Core.Logout(context.WithoutCancel(r.Context()), caller)
	}()
	return do(r.Context(), caller)
}

// shape is how TrackIt fails: a line for a person, and few statuses.
func shape(doc problem.Document, _ error) (int, any) {
	out := failure{Error: doc.Detail}
	switch {
	case len(doc.Errors) > 0:
		out.Error = doc.Errors[0].Field + ": " + doc.Errors[0].Detail
	case out.Error == "":
		out.Error = doc.Title
	}
	switch doc.Status {
	case http.StatusForbidden:
		return http.StatusUnauthorized, out
	case http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return http.StatusBadRequest, out
	}
	return doc.Status, out
}
