// Package httpapi speaks HTTP for the files core: the public contract in openapi.yaml, and nothing besides.
//
//	POST, PUT ──> intake: raw body or form as a stream, under a rate floor ──> core.Create / core.Replace
//	GET       ──> core.Open ──> conditions, ranges, safe headers ──> the kernel sends the file, or it is verified on the way
//	the rest  ──> typed JSON calls
//
// No rule of files lives here; what does live here is what HTTP makes dangerous. Bodies are never collected: a form is
// read part by part, and its file counts only when the whole form was well. A client slower than a floor is cut. When a
// session is revoked, its transfers end at once, blocked or not. Whatever is sent back can't run in the browser of
// whoever looks at it, and an answer that turns out to be damaged is cut off, never completed.
package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/picture"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"
)

// Options is what Mount can be told; the zero value works.
type Options struct {
	Registerer prometheus.Registerer
	Pace       Pace
	Now        func() time.Time // nil: time.Now
	Thumbnails *picture.Maker   // nil: none are made
	Account    Account          // needed

	PublicBaseURL string // where people reach the gateway: what the addresses of links begin with
}

type api struct {
	files    *files.Service
	policy   func() (files.Policy, error)
	cursors  *web.CursorCodec
	pace     Pace
	now      func() time.Time
	metrics  *metrics
	verified *verified
	archives *seats
	exports  *seats // those that are packed
	account  Account

	thumbnails *picture.Maker
	publicBase string // without a slash at its end
}

// Mount routes the contract to the core. Calls pass require first, which lets only known callers through; document is the
// contract itself, for everyone. policy is what the operator allows now; its error refuses uploads. It returns the way in and
// out for adapters of other contracts.
func Mount(m *web.Mux, core *files.Service, require func(http.Handler) http.Handler, cursors *web.CursorCodec,
	policy func() (files.Policy, error), document []byte, opts Options,
) Transfers {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a := &api{
		files: core, policy: policy, cursors: cursors, pace: opts.Pace.withDefaults(), now: opts.Now,
		metrics: newMetrics(opts.Registerer), verified: newVerified(opts.Now).meter(opts.Registerer),
		account: opts.Account, thumbnails: opts.Thumbnails, publicBase: strings.TrimSuffix(opts.PublicBaseURL, "/"),
	}
	a.archives = &seats{what: "archives", all: archivesAtATime, each: archivesOfOne, again: 5 * time.Second, inUse: a.metrics.archives}
	a.exports = &seats{what: "exports", all: exportsAtATime, each: exportsOfOne, again: 30 * time.Second, inUse: a.metrics.exports}
	m.Post("/v1/files", "files.upload", require(web.Func(a.upload)))
	m.Get("/v1/files", "files.list", require(web.JSON(a.list, a.badList)))
	m.Get("/v1/files/usage", "files.usage", require(web.JSON(a.usage)))
	m.Get("/v1/files/archive", "files.archive", require(web.Func(a.archive)))
	m.Get("/v1/files/changes", "files.changes", require(web.JSON(a.changes, a.badChanges)))
	m.Get("/v1/files/{id}", "files.get", require(web.JSON(a.get)))
	m.Patch("/v1/files/{id}", "files.update", require(web.JSON(a.update, a.badUpdate)))
	m.Delete("/v1/files/{id}", "files.delete", require(web.JSON(a.delete, badDelete)))
	m.Handle(http.MethodGet, "/v1/files/{id}/content", "files.content.get", require(web.Func(a.content)))
	m.Head("/v1/files/{id}/content", "files.content.head", require(web.Func(a.content)))
	m.Put("/v1/files/{id}/content", "files.content.replace", require(web.Func(a.replace)))
	m.Handle(http.MethodGet, "/v1/files/{id}/thumbnail", "files.thumbnail", require(web.Func(a.thumbnail)))
	a.mountUploads(m, require)
	m.Get("/v1/files/{id}/versions", "files.versions.list", require(web.JSON(a.versions, a.badVersions)))
	m.Handle(http.MethodGet, "/v1/files/{id}/versions/{n}/content", "files.versions.get", require(web.Func(a.versionContent)))
	m.Head("/v1/files/{id}/versions/{n}/content", "files.versions.head", require(web.Func(a.versionContent)))
	m.Post("/v1/files/{id}/versions/{n}/restore", "files.versions.restore", require(web.JSON(a.restoreVersion, badRestore)))
	m.Get("/v1/trash", "trash.list", require(web.JSON(a.trash, a.badTrash)))
	m.Delete("/v1/trash/{id}", "trash.delete", require(web.JSON(a.deleteTrashed, unconditional)))
	m.Post("/v1/trash/{id}/restore", "trash.restore", require(web.JSON(a.restoreTrashed, unconditional)))
	a.mountLinks(m, require)
	m.Handle(http.MethodGet, "/v1/users/me/export", "users.me.export", require(web.Func(a.export)))
	m.Get("/openapi.yaml", "openapi", contract(document))
	return Transfers{a}
}

// owner is whose files a request is about: the caller's own. The core asks again whether there is a caller.
func owner(ctx context.Context) files.OwnerID {
	p, _ := principal.From(ctx)
	return files.OwnerID(p.UserID)
}

func contract(document []byte) http.Handler {
	return web.Func(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/yaml")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(document) // a client that has gone is no failure of ours
		return nil
	})
}
