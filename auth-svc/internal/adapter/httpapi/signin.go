package httpapi

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// The two stops a browser makes here on its way through an identity provider. A cookie ties them together: whoever talks a
// person into opening the answer to somebody else's sign-in finds a browser that never asked. The browser keeps one secret for
// all of its sign-ins under way, so that a second tab does not end what the first has begun.

const (
	browserCookie     = "__Host-sign-in"
	browserCookieLife = 10 * time.Minute
	maxSignInQuery    = 8 << 10 // of a provider's answer; codes of some are long
)

// startSignIn sends the browser to the provider.
func (a *API) startSignIn(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r, "return_url", "code_challenge")
	if err != nil {
		return signInPage(w, r, err)
	}
	for name := range r.URL.Query() {
		if name != "return_url" && name != "code_challenge" {
			return signInPage(w, r, fault.Validation(fault.Field{Field: name, Code: "UNKNOWN", Detail: "this query parameter is not known here"}))
		}
	}
	browser := browserSecret(r)
	if browser == "" {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // never fails
		browser = base64.RawURLEncoding.EncodeToString(b)
	}
	to, err := a.opts.Core.StartSignIn(r.Context(), identity.SignInStart{
		Provider: web.Var(r, "name"), ReturnURL: q["return_url"], Challenge: q["code_challenge"],
		Browser: secret.NewString(browser), Client: client(r.Context(), ""),
	})
	if err != nil {
		return signInPage(w, r, err)
	}
	http.SetCookie(w, &http.Cookie{
		Name: browserCookie, Value: browser, Path: "/", MaxAge: int(browserCookieLife / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, // Lax: the provider's redirect is a navigation from another site
	})
	return redirect(w, http.StatusFound, to)
}

// finishSignIn takes the provider's answer and sends the browser to the client.
func (a *API) finishSignIn(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r, "state", "code", "iss", "error")
	if err == nil && (q["code"] == "") == (q["error"] == "") {
		err = fault.Validation(fault.Field{Field: "code", Code: "INVALID", Detail: "an answer has either code or error"})
	}
	if err != nil {
		return signInPage(w, r, err)
	}
	to, err := a.opts.Core.FinishSignIn(r.Context(), identity.SignInReturn{
		Provider: web.Var(r, "name"), State: secret.NewString(q["state"]), Browser: secret.NewString(browserSecret(r)),
		Answer: identity.Answer{Code: q["code"], Issuer: q["iss"]}, Refused: q["error"] != "",
	})
	if err != nil {
		return signInPage(w, r, err)
	}
	return redirect(w, http.StatusSeeOther, to)
}

// readQuery takes the named parameters, each at most once. Providers add others to their answers.
func readQuery(r *http.Request, names ...string) (map[string]string, error) {
	if len(r.URL.RawQuery) > maxSignInQuery {
		return nil, fault.Validation(fault.Field{Field: "query", Code: "TOO_LONG", Detail: "the query is too long"})
	}
	all, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Validation(fault.Field{Field: "query", Code: "INVALID", Detail: "the query can't be read"})
	}
	q := map[string]string{}
	for _, name := range names {
		if len(all[name]) > 1 {
			return nil, fault.Validation(fault.Field{Field: name, Code: "DUPLICATE", Detail: "is there more than once"})
		}
		q[name] = all.Get(name)
	}
	return q, nil
}

// browserSecret is the browser's cookie when it is one of ours, empty otherwise. Two of them are none.
func browserSecret(r *http.Request) string {
	cookies := r.CookiesNamed(browserCookie)
	if len(cookies) != 1 {
		return ""
	}
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(cookies[0].Value); err != nil || len(raw) != 32 {
		return ""
	}
	return cookies[0].Value
}

func redirect(w http.ResponseWriter, status int, to string) error {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	return nil
}

// signInPage tells a person what went wrong, and a program by a problem document.
func signInPage(w http.ResponseWriter, r *http.Request, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Internal || f.Kind == fault.StorageFull || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return err
	}
	text := f.Detail
	for _, field := range f.Fields {
		text = field.Field + ": " + field.Detail
	}
	status, _ := problem.Of(f.Kind)
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(f.RetryAfter/time.Second), 10))
	}
	return writePage(w, status, document("Signing in did not work",
		h.P(h.Role("alert"), g.Text(text)),
		h.P(g.Text("Please go back to where you came from and try again.")),
	))
}
