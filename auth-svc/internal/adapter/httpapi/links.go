package httpapi

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// The pages that links in mails open. Scanners, previews and impatient programs follow links, some of them before the
// person does: so a GET looks at nothing in the store and changes nothing. It serves a form, without script, whose POST
// does what the link is for. The token travels in the form's body from there on, and no referrer leaves the page.

// linkPage is one kind of page.
type linkPage struct {
	purpose  identity.Purpose
	Title    string
	Text     string
	Button   string
	Done     string
	Password bool // the form asks for a new one
	act      func(ctx context.Context, token, password secret.String) error
}

func (a *API) verifyPage() linkPage {
	return linkPage{
		purpose: identity.PurposeVerify, Title: "Confirm your address", Text: "Press the button to confirm that this address is yours.",
		Button: "Confirm", Done: "Thank you, your address is confirmed. You can close this page.",
		act: func(ctx context.Context, token, _ secret.String) error { return a.opts.Core.VerifyEmail(ctx, token) },
	}
}

func (a *API) resetPage() linkPage {
	return linkPage{
		purpose: identity.PurposeReset, Title: "Choose a new password", Text: "All sessions will end, on every device.",
		Button: "Set password", Done: "Your password is set. Please sign in with it. You can close this page.", Password: true,
		act: func(ctx context.Context, token, password secret.String) error {
			return a.opts.Core.ResetPassword(ctx, token, password, client(ctx, ""))
		},
	}
}

// linkView is what a page shows at one moment.
type linkView struct {
	linkPage
	Token  string
	Notice string
	Form   bool
}

// The form's action is the page itself without its query. Nothing but this form can run here, and nobody can frame it.
const linkPolicy = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// document is the page without its content. Its title is its heading too.
func document(title string, content ...g.Node) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width")),
			h.Meta(h.Name("robots"), h.Content("noindex")),
			h.TitleEl(g.Text(title)),
		),
		h.Body(h.H1(g.Text(title)), g.Group(content)),
	))
}

// page is what a person sees.
func (v linkView) page() g.Node {
	return document(v.Title,
		g.If(v.Notice != "", h.P(h.Role("status"), g.Text(v.Notice))),
		g.If(v.Form, g.Group{h.P(g.Text(v.Text)), v.form()}),
	)
}

func (v linkView) form() g.Node {
	return h.Form(h.Method("post"), h.Action("?"), h.AutoComplete("off"),
		h.Input(h.Type("hidden"), h.Name("token"), h.Value(v.Token)),
		g.If(v.Password, h.P(h.Label(g.Text("New password "),
			h.Input(h.Type("password"), h.Name("new_password"), h.AutoComplete("new-password"), h.Required())))),
		h.P(h.Button(h.Type("submit"), g.Text(v.Button))),
	)
}

// maxLinkForm is far more than a token and the longest password take when they are escaped.
const maxLinkForm = 16 << 10

// show answers GET and HEAD.
func (p linkPage) show(core *identity.Service) http.Handler {
	return web.Func(func(w http.ResponseWriter, r *http.Request) error {
		token := r.URL.Query().Get("token")
		if err := core.CheckLink(p.purpose, secret.NewString(token)); err != nil {
			return p.write(w, http.StatusBadRequest, linkView{Notice: "This link is damaged. Please open it from the mail again, or copy all of it."})
		}
		return p.write(w, http.StatusOK, linkView{Token: token, Form: true})
	})
}

// submit answers POST.
func (p linkPage) submit() http.Handler {
	return web.Func(func(w http.ResponseWriter, r *http.Request) error {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
			return fault.New(fault.UnsupportedMediaType, "send the form of the page")
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxLinkForm)
		if err := r.ParseForm(); err != nil {
			return fault.Wrap(fault.Invalid, "the form can't be read", err)
		}
		token := r.PostForm.Get("token")
		err := p.act(r.Context(), secret.NewString(token), secret.NewString(r.PostForm.Get("new_password")))
		if err == nil {
			return p.write(w, http.StatusOK, linkView{Notice: p.Done})
		}
		view, told := refusedLink(err)
		if !told {
			return err
		}
		view.Token = token
		status, _ := problem.Of(fault.KindOf(err))
		return p.write(w, status, view)
	})
}

// refusedLink says what went wrong in words for the person who looks at the page; told is false for what is no
// business of theirs.
func refusedLink(err error) (view linkView, told bool) {
	var f *fault.Error
	if !errors.As(err, &f) {
		return view, false
	}
	switch f.Kind {
	case fault.Invalid:
		view.Notice, view.Form = "This can't be done.", true
		for _, field := range f.Fields {
			if field.Field == "token" {
				return linkView{Notice: "This link is damaged. Please open it from the mail again, or copy all of it."}, true
			}
			view.Notice = "The password " + field.Detail + "."
		}
		return view, true
	case fault.Gone:
		return linkView{Notice: "This link has been used, replaced by a newer one, or has expired. Please ask for another."}, true
	case fault.Overloaded, fault.Unavailable, fault.RateLimited:
		return linkView{Notice: "Too much is going on at this moment. Please try again shortly.", Form: true}, true
	}
	return view, false
}

func (p linkPage) write(w http.ResponseWriter, status int, view linkView) error {
	view.linkPage = p
	w.Header().Set("Cache-Control", "no-store")
	return writePage(w, status, view.page())
}

// writePage answers with a page that only its own form can leave.
func writePage(w http.ResponseWriter, status int, page g.Node) error {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", linkPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	if err := page.Render(w); err != nil {
		return fmt.Errorf("write a page: %w", err)
	}
	return nil
}
