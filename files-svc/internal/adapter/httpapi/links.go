package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

func (a *api) mountLinks(m *web.Mux, require func(http.Handler) http.Handler) {
	m.Post("/v1/files/{id}/links", "links.create", require(web.JSON(a.createLink, a.badLink)))
	m.Get("/v1/files/{id}/links", "links.list", require(web.JSON(a.links)))
	m.Delete("/v1/files/{id}/links/{link_id}", "links.revoke", require(web.JSON(a.revokeLink)))
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		m.Handle(method, "/l/{token}", "links.follow."+strings.ToLower(method), web.Func(a.follow))
	}
}

// linkBody is a link as its owner sees it.
type linkBody struct {
	ID           files.LinkID `json:"id"`
	CreatedAt    web.Time     `json:"created_at"`
	ExpiresAt    web.Time     `json:"expires_at"`
	MaxDownloads *int64       `json:"max_downloads"`
	Downloads    int64        `json:"downloads"`
	Password     bool         `json:"password"`
}

func linkBodyOf(l files.Link) linkBody {
	b := linkBody{
		ID: l.ID, CreatedAt: web.Time(l.CreatedAt), ExpiresAt: web.Time(l.ExpiresAt), Downloads: l.Downloads, Password: l.Password != "",
	}
	if l.MaxDownloads > 0 {
		b.MaxDownloads = &l.MaxDownloads
	}
	return b
}

// newLinkBody is the one answer that has the token in it.
type newLinkBody struct {
	linkBody
	URL string `json:"url"`
}

// StatusCode is that of something made.
func (newLinkBody) StatusCode() int { return http.StatusCreated }

// Headers keeps the token out of caches.
func (newLinkBody) Headers(h http.Header) { h.Set("Cache-Control", "no-store") }

type createLinkInput struct {
	ID           string           `path:"id"`
	ExpiresIn    required[int64]  `json:"expires_in"`
	MaxDownloads required[int64]  `json:"max_downloads"`
	Password     required[string] `json:"password"`
}

// Validate refuses what would read as something else in the core's words, and times that overflow there.
func (in createLinkInput) Validate() []fault.Field {
	var bad fault.Bad
	const longest = int64(10 * 365 * 24 * time.Hour / time.Second)
	switch {
	case in.ExpiresIn.value == nil:
		bad.Refuse("expires_in", "REQUIRED", "say for how many seconds the link is good")
	case *in.ExpiresIn.value < 1 || *in.ExpiresIn.value > longest:
		bad.Refuse("expires_in", "RANGE", "must be a number of seconds from 1 up to what is allowed here")
	}
	if n := in.MaxDownloads.value; n != nil && *n < 1 {
		bad.Refuse("max_downloads", "RANGE", "must be 1 or more")
	}
	if p := in.Password.value; p != nil && *p == "" {
		bad.Refuse("password", "REQUIRED", "must not be empty: leave it out for a link without one")
	}
	return bad
}

func (a *api) createLink(ctx context.Context, in createLinkInput) (newLinkBody, error) {
	l, token, err := a.files.CreateLink(ctx, owner(ctx), files.FileID(in.ID), in.link())
	// No header of a request says what our name is: it is configured.
	return newLinkBody{linkBodyOf(l), a.publicBase + "/l/" + token}, err
}

// badLink names all the fields of a link that is refused already.
func (a *api) badLink(_ context.Context, in createLinkInput) error {
	return a.files.CheckLink(in.link())
}

// link is what the core is told. What was left out, or can't be read, is a zero.
func (in createLinkInput) link() files.NewLink {
	return files.NewLink{
		ExpiresIn: time.Duration(in.ExpiresIn.orZero()) * time.Second, MaxDownloads: in.MaxDownloads.orZero(), Password: in.Password.orZero(),
	}
}

func (a *api) links(ctx context.Context, in fileInput) (pageOf[linkBody], error) {
	all, err := a.files.Links(ctx, owner(ctx), files.FileID(in.ID))
	body := pageOf[linkBody]{Items: make([]linkBody, 0, len(all))}
	for _, l := range all {
		body.Items = append(body.Items, linkBodyOf(l))
	}
	return body, err
}

type revokeLinkInput struct {
	ID   string `path:"id"`
	Link string `path:"link_id"`
}

func (a *api) revokeLink(ctx context.Context, in revokeLinkInput) (web.NoContent, error) {
	return web.NoContent{}, a.files.RevokeLink(ctx, owner(ctx), files.FileID(in.ID), files.LinkID(in.Link))
}
