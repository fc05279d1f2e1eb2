package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Browser sessions. With X-Session-Mode: cookie the tokens travel in two cookies that no script can read, and a call that
// changes something must come from a page of ours. This file is the one place that knows which mode a call is in, and
// the one that sets, reads and clears the cookies.

// CookiePolicy is what an operator may say about the cookies.
type CookiePolicy struct {
	Strict         bool     // SameSite=Strict instead of Lax
	TrustedOrigins []string // whose pages may use the cookies, besides those of the gateway's own origin
}

// maxCookieBytes is what browsers keep of one cookie, name and value: of a larger one they keep nothing, and say nothing.
const maxCookieBytes = 4096

var (
	errSessionMode = fault.Validation(fault.Field{Field: web.SessionModeHeader, Code: "INVALID", Detail: "must be cookie, or left out"})
	errTwoCookies  = fault.Validation(fault.Field{Field: web.RefreshCookie, Code: "REPEATED", Detail: "the cookie is there more than once"})
	errNoCookie    = fault.New(fault.InvalidRefreshToken, "the refresh token is not valid; sign in again")
	errCookieSize  = fault.New(fault.Conflict, "this account's permissions make a token that no cookie can hold; use bearer tokens")
)

// jar is where the cookies of one answer go. Only a call of a browser session has one.
type jar struct {
	request *http.Request
	answer  http.Header
	policy  CookiePolicy
}

type jarKey struct{}

// jarOf returns nil for a call in bearer mode.
func jarOf(ctx context.Context) *jar {
	j, _ := ctx.Value(jarKey{}).(*jar)
	return j
}

// inMode finds out which mode a call is in, and holds those of browser sessions to the cross-origin check. The gateway
// has checked as well; but the cookies are made and taken here, and a gateway may be set up to trust more than we do.
func (a *API) inMode(next http.Handler) http.Handler {
	return web.Func(func(w http.ResponseWriter, r *http.Request) error {
		switch values := r.Header[web.SessionModeHeader]; {
		case len(values) == 0:
			next.ServeHTTP(w, r)
			return nil
		case len(values) > 1 || values[0] != web.SessionModeCookie:
			return errSessionMode
		}
		policy := a.opts.Cookies()
		if !web.ChangesNothing(r) {
			if err := web.CheckOrigin(r.Header, outsideHost(r), a.trusts(policy)); err != nil {
				return err
			}
		}
		j := &jar{request: r, answer: w.Header(), policy: policy}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), jarKey{}, j)))
		return nil
	})
}

// outsideHost is the name the client used, as the gateway in front tells it.
func outsideHost(r *http.Request) string {
	if host := r.Header.Get("X-Forwarded-Host"); host != "" {
		return host
	}
	return r.Host
}

func (a *API) trusts(p CookiePolicy) func(origin string) bool {
	return func(origin string) bool {
		origin = strings.ToLower(origin)
		return (a.opts.PublicOrigin != "" && origin == a.opts.PublicOrigin) || slices.Contains(p.TrustedOrigins, origin)
	}
}

// deliver hands a session to its client: the tokens in the body, or in the cookies and then nowhere else.
func deliver(ctx context.Context, t identity.Tokens) (sessionBody, error) {
	body := sessionBody{
		ExpiresIn: seconds(t.ExpiresIn), RefreshExpiresIn: seconds(time.Until(t.RefreshExpiresAt)), SessionID: t.SessionID,
	}
	j := jarOf(ctx)
	if j == nil {
		body.AccessToken, body.TokenType, body.RefreshToken = t.AccessToken.Reveal(), "Bearer", t.RefreshToken.Reveal()
		return body, nil
	}
	access, refresh := t.AccessToken.Reveal(), t.RefreshToken.Reveal()
	if len(web.AccessCookie)+len(access) > maxCookieBytes || len(web.RefreshCookie)+len(refresh) > maxCookieBytes {
		return sessionBody{}, errCookieSize
	}
	j.set(web.AccessCookie, access, int(body.ExpiresIn))
	j.set(web.RefreshCookie, refresh, int(body.RefreshExpiresIn))
	return body, nil
}

// forget takes the cookies away, when the session they belong to is over.
func forget(ctx context.Context) {
	if j := jarOf(ctx); j != nil {
		j.set(web.AccessCookie, "", -1)
		j.set(web.RefreshCookie, "", -1)
	}
}

// set adds a cookie to the answer; a maxAge below 1 removes it from the browser.
func (j *jar) set(name, value string, maxAge int) {
	if maxAge < 1 {
		value, maxAge = "", -1
	}
	sameSite := http.SameSiteLaxMode
	if j.policy.Strict {
		sameSite = http.SameSiteStrictMode
	}
	//nolint:gosec // G124 wants to see a constant: it is Lax or Strict, two lines up
	c := http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: sameSite}
	j.answer.Add("Set-Cookie", c.String())
}

// presentedRefresh is the refresh token of a call: its body's, or in a browser session its cookie's.
func presentedRefresh(ctx context.Context, body hidden) (secret.String, error) {
	j := jarOf(ctx)
	if j == nil {
		return body.String, nil
	}
	switch cookies := j.request.CookiesNamed(web.RefreshCookie); {
	case len(cookies) > 1:
		return secret.String{}, errTwoCookies
	case len(cookies) == 0 || cookies[0].Value == "":
		forget(ctx)
		return secret.String{}, errNoCookie
	default:
		return secret.NewString(cookies[0].Value), nil
	}
}
