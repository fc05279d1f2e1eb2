package httpapi

import (
	"context"
	_ "embed" // the page
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

//go:embed password.html
var passwordPage []byte

// The bounds of a form with a password.
const (
	maxPasswordForm  = 4 << 10
	passwordFormTime = 10 * time.Second
)

// follow is GET, HEAD and POST /l/{token}. It asks nobody who they are; the token is the right. A password comes in the
// body of a POST: not in the path or the query, which are written down on the way, and not in a cookie, which would open the
// link to other pages of this browser.
func (a *api) follow(w http.ResponseWriter, r *http.Request) error {
	web.HidePath(r.Context())
	h := w.Header()
	h.Set("Cache-Control", "private, no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex")
	var bad fault.Bad
	inline := wantsInline(r, &bad)
	var password *string
	if r.Method == http.MethodPost {
		given, err := a.readPassword(w, r)
		if err := bad.Or(err); err != nil {
			return refuseUnread(w, err)
		}
		password = &given
		for _, name := range conditions {
			r.Header.Del(name) // of a read: this asks for the whole
		}
	}
	if err := bad.Err(); err != nil {
		return err
	}
	var shared *files.Shared
	err := a.answer(w, r, func(ctx context.Context) (*files.Content, error) {
		var err error
		if shared, err = a.files.OpenLink(ctx, web.Var(r, "token"), password); err != nil {
			return nil, err
		}
		return shared.Content, nil
	}, func(*files.Content) delivery {
		// A link that is counted counts downloads, and not addresses that open any number of them.
		return delivery{inline: inline, begin: shared.Begin, direct: !shared.Counted()}
	})
	if !errors.Is(err, files.ErrLinkPassword) {
		return err
	}
	if wantsPage(r) {
		return askPassword(w)
	}
	return errPasswordForm
}

// errPasswordForm tells a program what the page tells a person, and as little about why.
var errPasswordForm = fault.New(fault.Forbidden, "this link needs its password: POST it as the form field password")

// readPassword reads the one field of the form.
func (a *api) readPassword(w http.ResponseWriter, r *http.Request) (string, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return "", fault.New(fault.UnsupportedMediaType, "send the password as a form")
	}
	stop := http.NewResponseController(w)
	_ = stop.SetReadDeadline(a.now().Add(passwordFormTime)) // fails only where there is no connection, in tests
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxPasswordForm+1))
	_ = stop.SetReadDeadline(time.Time{})
	switch {
	case err != nil:
		return "", fault.Wrap(fault.Timeout, "the form did not arrive", err)
	case len(raw) > maxPasswordForm:
		return "", fault.New(fault.TooLarge, "the form is too large")
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil || len(form) != 1 || len(form["password"]) != 1 {
		return "", badForm("password", "REQUIRED", "the form has one field, password")
	}
	return form.Get("password"), nil
}

// wantsPage reports whether a person at a browser waits for the answer.
func wantsPage(r *http.Request) bool {
	return slices.ContainsFunc(strings.Split(r.Header.Get("Accept"), ","), func(part string) bool {
		kind, _, _ := strings.Cut(part, ";")
		return strings.EqualFold(strings.TrimSpace(kind), "text/html")
	})
}

// askPassword answers with a page that asks for the password. The page is always the same: it says nothing of the file, and
// runs nothing.
func askPassword(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write(passwordPage) // a client that has gone is no failure of ours
	return nil
}

// begin lets the bytes of an answer go out: it counts, and says what ends them before their time.
type begin func(context.Context) (context.Context, func(), error)

// freely is the begin of an owner's own downloads: the request's context is all that ends them.
func freely(ctx context.Context) (context.Context, func(), error) { return ctx, func() {}, nil }
