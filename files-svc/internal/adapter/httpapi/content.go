package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// content is GET and HEAD /v1/files/{id}/content.
func (a *api) content(w http.ResponseWriter, r *http.Request) error {
	return a.download(w, r, func(ctx context.Context) (*files.Content, error) {
		return a.files.Open(ctx, owner(ctx), files.FileID(web.Var(r, "id")))
	})
}

// download answers with the content that open opens.
func (a *api) download(w http.ResponseWriter, r *http.Request, open opening) error {
	var bad fault.Bad
	inline := wantsInline(r, &bad)
	if err := bad.Err(); err != nil {
		return err
	}
	return a.answer(w, r, open, func(*files.Content) delivery {
		keepPrivate(w.Header())
		return delivery{inline: inline, begin: freely, direct: true}
	})
}

// opening opens a content.
type opening func(context.Context) (*files.Content, error)

// delivery is how a content is to be sent.
type delivery struct {
	inline bool // in place, if what it is allows that
	begin  begin
	direct bool // by the store itself, if policy and content allow that
}

// answer opens a content and serves it as how says; again when it was replaced, and its bytes gone, in between.
func (a *api) answer(w http.ResponseWriter, r *http.Request, open opening, how func(*files.Content) delivery) (err error) {
	const tries = 3
	for range tries {
		if err = a.tryAnswer(w, r, open, how); !errors.Is(err, files.ErrMoved) {
			return err
		}
	}
	return err
}

func (a *api) tryAnswer(w http.ResponseWriter, r *http.Request, open opening, how func(*files.Content) delivery) error {
	c, err := open(r.Context())
	if err != nil {
		return err
	}
	defer c.Close()
	d := how(c)
	if d.inline {
		if err := c.Reach(r.Context(), 0); err != nil {
			return err
		}
		if d.inline, err = mayInline(c); err != nil {
			return fmt.Errorf("sniff content: %w", err)
		}
	}
	return a.serve(w, r, c, d)
}

// serve answers with the content, as far as the request's conditions and ranges want it. Before bytes go out it asks begin. What
// needs no bytes asks the store nothing.
func (a *api) serve(w http.ResponseWriter, r *http.Request, c *files.Content, d delivery) error {
	f := c.File
	version := field.Version{ETag: f.ETag(), Modified: f.ContentAt}
	h := w.Header()
	h.Set("ETag", version.ETag)
	h.Set("Last-Modified", f.ContentAt.UTC().Format(http.TimeFormat))
	switch field.Evaluate(r.Header, version) {
	case field.NotModified:
		w.WriteHeader(http.StatusNotModified)
		return nil
	case field.Failed:
		return fault.New(fault.PreconditionFailed, "the content is not the one the condition names")
	}
	var ranges []field.Range
	if r.Method == http.MethodGet && field.RangeHolds(r.Header, version, a.now()) {
		var err error
		if ranges, err = field.ParseRange(r.Header.Values("Range"), f.Size); err != nil {
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(f.Size, 10))
			return fault.New(fault.RangeNotSatisfiable, "no byte of this range exists")
		}
	}
	if r.Method == http.MethodHead {
		describe(h, f, d.inline)
		h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if d.direct && mayDirect(r, c, d) {
		return a.redirect(w, r, c, d.begin)
	}
	if err := c.Reach(r.Context(), firstByte(ranges)); err != nil {
		return err
	}
	under, done, err := d.begin(r.Context())
	if err != nil {
		return err
	}
	defer done()
	describe(h, f, d.inline)
	return a.send(w, r.WithContext(under), c, ranges)
}

func firstByte(ranges []field.Range) int64 {
	if len(ranges) == 0 {
		return 0
	}
	return ranges[0].Start
}

// describe sets what goes with every answer that has bytes in it. Whatever the bytes are, they can't act as a page of
// this site: not sniffed into something else, no script, no frame, no use by other sites.
func describe(h http.Header, f files.File, inline bool) {
	kind := "attachment"
	if inline {
		kind = "inline"
	}
	h.Set("Content-Type", f.ContentType)
	h.Set("Content-Disposition", field.FormatDisposition(kind, f.Name))
	h.Set("Repr-Digest", field.FormatDigest(field.Digest(f.SHA256)))
	h.Set("Accept-Ranges", "bytes")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// wantsInline reads the one query parameter of the call.
func wantsInline(r *http.Request, bad *fault.Bad) (inline bool) {
	query := r.URL.Query()
	for _, name := range web.QueryNames(r) {
		if name != "inline" {
			unknownParameter(name, bad)
			continue
		}
		var err error
		inline, err = strconv.ParseBool(query.Get(name))
		if err != nil || len(query[name]) > 1 {
			bad.Refuse(name, "INVALID", "must be 1, 0, true or false, once")
		}
	}
	return inline
}

// writing is how a transfer moves the deadline for the next n bytes.
func (a *api) writing(l *leash) func(n int64) {
	return func(n int64) { l.until(a.now().Add(a.pace.allowance(n))) }
}
