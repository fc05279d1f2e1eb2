// Package httpapi speaks HTTP for the identity core: the public contract of openapi.yaml, and what the other services
// ask on the internal listener.
//
// A handler decodes, calls the core once, and encodes. Every rule is the core's, every refusal is written by package
// problem, every strictness of a body is web.JSON's. Public mounts what clients reach through the gateway; Internal
// mounts the revocation stream, the API key exchange and introspection, which only the other services may reach. Every answer
// says no-store, but for the key set: there is nothing else here that anyone else should keep.
package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Options are the parts an API is made of; all but the last three are needed.
type Options struct {
	Core     *identity.Service
	Verifier *token.Verifier
	Cursors  *web.CursorCodec
	// KeySet renders keys as RFC 7517 has it.
	KeySet func(keys []identity.SigningKey) ([]byte, error)
	// Contract is openapi.yaml.
	Contract []byte
	// Cookies is the live policy of browser sessions; nil is the zero policy.
	Cookies func() CookiePolicy
	// PublicOrigin is the origin of the page people reach the gateway at; empty for none.
	PublicOrigin string
	// AckApplied is told what a follower has applied, for metrics.
	AckApplied func(seq int64)
}

// API holds the handlers.
type API struct{ opts Options }

// New makes an API.
func New(opts Options) *API {
	if opts.AckApplied == nil {
		opts.AckApplied = func(int64) {}
	}
	if opts.Cookies == nil {
		opts.Cookies = func() CookiePolicy { return CookiePolicy{} }
	}
	return &API{opts: opts}
}

// Public returns the routes for clients.
func (a *API) Public() *web.Mux {
	m := web.NewMux()
	a.mountAuth(m)
	a.mountWaysIn(m)
	a.mountPeople(m)
	a.mountAdministration(m)
	m.Get("/.well-known/jwks.json", "jwks", web.Func(a.jwks))
	m.Get("/openapi.yaml", "openapi", web.Func(a.contract))
	return m
}

// mountAuth routes logins, sessions and passwords.
func (a *API) mountAuth(m *web.Mux) {
	m.Post("/v1/auth/signup", "auth.signup", open(a, a.signup))
	m.Post("/v1/auth/signup/passkey/options", "auth.signup.passkey.options", open(a, a.passkeySignupOptions))
	m.Post("/v1/auth/signup/passkey", "auth.signup.passkey", open(a, a.passkeySignup))
	m.Post("/v1/auth/login", "auth.login", open(a, a.login))
	m.Post("/v1/auth/login/factor", "auth.login.factor", open(a, a.loginFactor))
	m.Post("/v1/auth/login/passkey", "auth.login.passkey", open(a, a.passkeyLogin))
	m.Post("/v1/auth/login/passkey/options", "auth.login.passkey.options", open(a, a.passkeyLoginOptions))
	m.Post("/v1/auth/step-up/options", "auth.step_up.options", guarded(a, a.stepUpOptions))
	m.Post("/v1/auth/step-up", "auth.step_up", guarded(a, a.stepUp))
	m.Post("/v1/auth/refresh", "auth.refresh", open(a, a.refresh))
	m.Post("/v1/auth/logout", "auth.logout", guarded(a, a.logout))
	m.Post("/v1/auth/logout-all", "auth.logout_all", guarded(a, a.logoutAll))

	m.Get("/v1/auth/session", "auth.session", guarded(a, a.checkSession))
	m.Get("/v1/auth/sessions", "sessions.list", guarded(a, a.listSessions))
	m.Delete("/v1/auth/sessions/{id}", "sessions.delete", guarded(a, a.deleteSession))
	m.Post("/v1/auth/password/forgot", "password.forgot", open(a, a.forgotPassword))
	m.Post("/v1/auth/password/reset", "password.reset", open(a, a.resetPassword))
	m.Post("/v1/auth/email/verify", "email.verify", open(a, a.verifyEmail))
	m.Post("/v1/auth/email/verify/resend", "email.verify.resend", guarded(a, a.resendVerification))
	m.Get("/auth/links/verify-email", "links.verify_email.show", a.verifyPage().show(a.opts.Core))
	m.Post("/auth/links/verify-email", "links.verify_email.submit", a.verifyPage().submit())
	m.Get("/auth/links/reset-password", "links.reset_password.show", a.resetPage().show(a.opts.Core))
	m.Post("/auth/links/reset-password", "links.reset_password.submit", a.resetPage().submit())
	m.Post("/v1/auth/password/change", "password.change", guarded(a, a.changePassword))
}

// mountWaysIn routes second factors and identity providers.
func (a *API) mountWaysIn(m *web.Mux) {
	m.Get("/v1/auth/factors", "factors.list", guarded(a, a.listFactors))
	m.Post("/v1/auth/factors", "factors.enrol", guarded(a, a.enrolFactor))
	m.Post("/v1/auth/factors/recovery-codes", "factors.recovery_codes", guarded(a, a.makeRecoveryCodes))
	m.Post("/v1/auth/factors/{id}/confirm", "factors.confirm", guarded(a, a.confirmFactor))
	m.Patch("/v1/auth/factors/{id}", "factors.name", guarded(a, a.nameFactor))
	m.Delete("/v1/auth/factors/{id}", "factors.delete", guarded(a, a.removeFactor))

	m.Get("/v1/auth/providers", "providers.list", open(a, a.listProviders))
	m.Post("/v1/auth/providers/exchange", "providers.exchange", open(a, a.exchangeSignIn))
	m.Handle(http.MethodGet, "/v1/auth/providers/{name}/start", "providers.start", noStore(web.Func(a.startSignIn)))
	m.Handle(http.MethodGet, "/v1/auth/providers/{name}/callback", "providers.callback", noStore(web.Func(a.finishSignIn)))
	m.Get("/v1/auth/identities", "identities.list", guarded(a, a.listIdentities))
	m.Post("/v1/auth/identities", "identities.link", guarded(a, a.linkIdentity))
	m.Delete("/v1/auth/identities/{id}", "identities.unlink", guarded(a, a.unlinkIdentity))
}

// mountPeople routes one's own profile and everybody's.
func (a *API) mountPeople(m *web.Mux) {
	m.Get("/v1/users/me", "users.me.get", guarded(a, a.me))
	m.Patch("/v1/users/me", "users.me.update", guarded(a, a.updateMe))
	m.Delete("/v1/users/me", "users.me.delete", guarded(a, a.deleteMe))
	m.Get("/v1/users", "users.list", guarded(a, a.listUsers))
	m.Post("/v1/users", "users.create", guarded(a, a.createUser))
	m.Get("/v1/users/{id}", "users.get", guarded(a, a.getUser))
	m.Patch("/v1/users/{id}", "users.update", guarded(a, a.updateUser))
	m.Delete("/v1/users/{id}", "users.delete", guarded(a, a.deleteUser))
	m.Get("/v1/users/{id}/sessions", "users.sessions.list", guarded(a, a.listUserSessions))
	m.Delete("/v1/users/{id}/sessions", "users.sessions.delete_all", guarded(a, a.deleteUserSessions))
	m.Get("/v1/users/{id}/factors", "users.factors.list", guarded(a, a.listUserFactors))
	m.Delete("/v1/users/{id}/factors", "users.factors.delete_all", guarded(a, a.deleteUserFactors))
	m.Delete("/v1/users/{id}/factors/{fid}", "users.factors.delete", guarded(a, a.deleteUserFactor))
	m.Put("/v1/users/{id}/sessions/{sid}", "users.sessions.name", guarded(a, a.putUserSession))
	m.Delete("/v1/users/{id}/sessions/{sid}", "users.sessions.delete", guarded(a, a.deleteUserSession))
}

// mountAdministration routes roles, keys and the audit trail.
func (a *API) mountAdministration(m *web.Mux) {
	m.Get("/v1/roles", "roles.list", guarded(a, a.listRoles))
	m.Put("/v1/roles/{name}", "roles.put", guarded(a, a.putRole))
	m.Delete("/v1/roles/{name}", "roles.delete", guarded(a, a.deleteRole))

	m.Get("/v1/api-keys", "api_keys.list", guarded(a, a.listAPIKeys))
	m.Post("/v1/api-keys", "api_keys.create", guarded(a, a.createAPIKey))
	m.Delete("/v1/api-keys/{id}", "api_keys.delete", guarded(a, a.deleteAPIKey))

	m.Get("/v1/audit", "audit.list", guarded(a, a.listAudit))

	m.Get("/v1/signing-keys", "signing_keys.list", guarded(a, a.listSigningKeys))
	m.Post("/v1/signing-keys", "signing_keys.rotate", guarded(a, a.rotateSigningKeys))
	m.Delete("/v1/signing-keys/{kid}", "signing_keys.kill", guarded(a, a.killSigningKey))
}

// Internal returns the routes for the other services.
func (a *API) Internal() *web.Mux {
	m := web.NewMux()
	m.Handle(http.MethodGet, "/internal/v1/revocations", "revocations.follow", web.Func(a.followRevocations))
	m.Post("/internal/v1/revocations/acks", "revocations.ack", web.Quiet(inner(a.ackRevocations)))
	m.Post("/internal/v1/api-keys/exchange", "api_keys.exchange", inner(a.exchangeAPIKey))
	m.Handle(http.MethodGet, "/internal/v1/export", "users.me.export", a.authenticated(web.Func(a.exportMe)))
	m.Post("/internal/v1/introspect", "tokens.introspect", inner(a.introspect))
	m.Get("/.well-known/jwks.json", "jwks", web.Quiet(web.Func(a.jwks)))
	return m
}

// open is a route that needs no access token.
func open[In, Out any](a *API, fn func(ctx context.Context, in In) (Out, error)) http.Handler {
	return noStore(a.inMode(web.JSON(fn)))
}

// inner is a route of the internal listener.
func inner[In, Out any](fn func(ctx context.Context, in In) (Out, error)) http.Handler {
	return noStore(web.JSON(fn))
}

// guarded is a route that needs an access token; fn gets its caller. The context is not bound to the caller's
// session on purpose: the very call that ends a session would be cut by its own success.
func guarded[In, Out any](a *API, fn func(ctx context.Context, caller principal.Principal, in In) (Out, error)) http.Handler {
	handler := web.JSON(func(ctx context.Context, in In) (Out, error) {
		caller, ok := principal.From(ctx)
		if !ok {
			var none Out
			return none, errors.New("guarded route without a caller")
		}
		return fn(ctx, caller, in)
	})
	return a.authenticated(handler)
}

// authenticated lets in who comes with a good access token.
func (a *API) authenticated(next http.Handler) http.Handler {
	return noStore(a.inMode(web.Func(func(w http.ResponseWriter, r *http.Request) error {
		raw, err := token.Bearer(r)
		if err != nil {
			return err
		}
		caller, err := a.opts.Verifier.Verify(r.Context(), raw)
		if err != nil {
			return err
		}
		ctx, caused := identity.WithCaused(principal.With(r.Context(), caller))
		next.ServeHTTP(&marker{ResponseWriter: w, caller: caller, caused: caused}, r.WithContext(ctx))
		return nil
	})))
}

func noStore(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (a *API) contract(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(a.opts.Contract)
	return nil
}

// empty is the input of routes that take nothing.
type empty struct{}

// seconds rounds down, so that nobody believes in a token longer than it lives.
func seconds(d time.Duration) int64 { return int64(max(0, d) / time.Second) }

func required(field string) fault.Field {
	return fault.Field{Field: field, Code: "REQUIRED", Detail: "give " + field}
}

func tooLong(field string) fault.Field {
	return fault.Field{Field: field, Code: "TOO_LONG", Detail: field + " is too long"}
}
