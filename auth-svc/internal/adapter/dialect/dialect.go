// Package dialect is what the adapters for contracts of other systems share.
//
// A dialect is a thin HTTP adapter over the identity core: its own paths, bodies and refusals, and no rule of its own. What
// differs in substance is configuration: the SessionPolicy its sessions follow, the Routes and RateLimitPolicies that lead to
// it. Each lives in a package of its own below this one and gives a Surface; Beside mounts those that are spoken at
// /compat/<name>/, next to the service's own contract.
//
//	gateway (Route, refusals in the dialect's words) -> /compat/<name>/… -> Surface (shape, no-store) -> handler -> core
//
// Whatever a handler returns as an error is written by package problem in the Surface's Shape, also 404, 405 and a panic.
// Tokens are verified here, so that a missing, bad, expired or revoked one is refused in the dialect's words too.
package dialect

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Prefix is where dialects live on the public listener.
const Prefix = "/compat/"

// Deps are what a dialect is made from.
type Deps struct {
	Name     string // of the dialect, as in its prefix
	Core     *identity.Service
	Verifier *token.Verifier
	MAC      identity.MAC // for names that nobody can make up
	Envelope Envelope     // for contracts with JWTs besides access tokens
	Policy   string       // name of the SessionPolicy of this dialect's sessions; empty for the one of everybody
}

// Envelope signs and opens JWTs that are no access tokens, with the keys that sign those.
type Envelope interface {
	// SignLike signs claims as a token of this type, with the key that has signed like.
	SignLike(ctx context.Context, like, tokenType string, claims map[string]any) (string, error)
	// Open returns the claims of a token of this type that a published key of ours has signed, and when it expires, even when
	// that is past.
	Open(ctx context.Context, raw, tokenType string) (claims map[string]any, until time.Time, err error)
}

// Surface is a dialect as it is mounted. Routes have paths as the dialect's own clients know them.
type Surface struct {
	Routes *web.Mux
	Shape  problem.Shape
}

// Handler serves the surface. Nothing it answers may be kept by anyone.
func (s Surface) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.SetShape(r.Context(), s.Shape)
		w.Header().Set("Cache-Control", "no-store")
		s.Routes.ServeHTTP(w, r)
	})
}

// Beside serves each dialect below its own prefix, and everything else by own.
func Beside(own http.Handler, spoken map[string]http.Handler) http.Handler {
	if len(spoken) == 0 {
		return own
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, below := strings.CutPrefix(r.URL.Path, Prefix)
		name, _, deeper := strings.Cut(rest, "/")
		speak := spoken[name]
		if !below || !deeper || speak == nil {
			own.ServeHTTP(w, r)
			return
		}
		http.StripPrefix(Prefix+name, speak).ServeHTTP(w, r)
	})
}

// Shaped makes a Shape of a function that gives a status and a value to be written as JSON.
func Shaped(fn func(doc problem.Document, err error) (status int, body any)) problem.Shape {
	return func(_ *http.Request, doc problem.Document, err error) problem.Refusal {
		status, body := fn(doc, err)
		raw, _ := json.Marshal(body) // refusals are made of strings and numbers: it cannot fail
		return problem.Refusal{Status: status, ContentType: "application/json; charset=utf-8", Body: append(raw, '\n')}
	}
}

// Client is the other end of the request, as the core keeps it: its sessions follow the dialect's policy.
func (d Deps) Client(r *http.Request) identity.Client {
	return identity.Client{Address: web.ClientAddr(r.Context()), UserAgent: r.UserAgent(), Policy: d.Policy}
}

// Caller is who shows a good access token. Faults: Unauthenticated, InvalidToken, TokenExpired, TokenStale, Unavailable.
func (d Deps) Caller(r *http.Request) (principal.Principal, error) {
	raw, err := token.Bearer(r)
	if err != nil {
		return principal.Principal{}, err
	}
	return d.Verifier.Verify(r.Context(), raw)
}

// APIKey is whoever a key of ours stands for, with what the key may. Faults: InvalidCredentials, Unavailable.
func (d Deps) APIKey(r *http.Request, key secret.String) (principal.Principal, error) {
	made, err := d.Core.ExchangeAPIKey(r.Context(), key)
	if err != nil {
		return principal.Principal{}, err
	}
	return d.Verifier.Verify(r.Context(), made.AccessToken.Reveal())
}

// Guarded is a handler for callers with a good access token of a session.
func (d Deps) Guarded(fn func(w http.ResponseWriter, r *http.Request, caller principal.Principal) error) http.Handler {
	return web.Func(func(w http.ResponseWriter, r *http.Request) error {
		caller, err := d.Caller(r)
		if err != nil {
			return err
		}
		return fn(w, r, caller)
	})
}

// errSecondFactor: these contracts have no words for a second factor, so who has one can't come in by them.
var errSecondFactor = fault.New(fault.Forbidden, "this account asks for a second factor, which can't be shown here")

// Login is the core's, for contracts that have no words for a second factor. Faults: as the core's, and Forbidden for somebody
// who has one, told only to who has proved the password.
func (d Deps) Login(r *http.Request, in identity.LoginInput) (identity.Entry, error) {
	entry, err := d.Core.Login(r.Context(), in)
	if err == nil && entry.Pending != nil {
		return identity.Entry{}, errSecondFactor
	}
	return entry, err
}

// OutsidePrefix is the path below which the client sees the dialect, "" for the root of its host. Only the gateway can say so;
// where it has rewritten nothing, clients see what is here.
func (d Deps) OutsidePrefix(r *http.Request) string {
	switch prefix := r.Header.Get("X-Forwarded-Prefix"); prefix {
	case "":
		return Prefix + d.Name
	case "/":
		return ""
	default:
		return prefix
	}
}
