package httpapi

import (
	"context"
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
func (a *api) download(w http.ResponseWriter, r *http.Request, open func(context.Context) (*files.Content, error)) error {
	inline, err := wantsInline(r)
	if err != nil {
		return err
	}
	c, err := open(r.Context())
	if err != nil {
		return err
	}
	defer c.Close()
	if inline {
		if inline, err = mayInline(c); err != nil {
			return fmt.Errorf("sniff content: %w", err)
		}
	}
	keepPrivate(w.Header())
	return a.serve(w, r, c, inline, freely)
}

// serve answers with the content, as far as the request's conditions and ranges want it. Before bytes go out it asks begin.
func (a *api) serve(w http.ResponseWriter, r *http.Request, c *files.Content, inline bool, begin begin) error {
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
		describe(h, f, inline)
		h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	under, done, err := begin(r.Context())
	if err != nil {
		return err
	}
	defer done()
	describe(h, f, inline)
	return a.send(w, r.WithContext(under), c, ranges)
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
func wantsInline(r *http.Request) (bool, error) {
	var bad []fault.Field
	var inline bool
	for name, values := range r.URL.Query() {
		if name != "inline" {
			bad = append(bad, fault.Field{Field: name, Code: "UNKNOWN", Detail: "this query parameter is not known here"})
			continue
		}
		v, err := strconv.ParseBool(values[0])
		if err != nil || len(values) > 1 {
			bad = append(bad, fault.Field{Field: name, Code: "INVALID", Detail: "must be 1, 0, true or false, once"})
		}
		inline = v
	}
	if len(bad) > 0 {
		return false, fault.Validation(bad...)
	}
	return inline, nil
}

// writing is how a transfer moves the deadline for the next n bytes.
func (a *api) writing(l *leash) func(n int64) {
	return func(n int64) { l.until(a.now().Add(a.pace.allowance(n))) }
}
