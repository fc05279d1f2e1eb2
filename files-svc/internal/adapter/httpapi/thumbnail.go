package httpapi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/picture"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// thumbnailSizes are the sizes there are, by name: a closed set, so that nobody has a picture made in a thousand of them.
var thumbnailSizes = map[string]int{"": 256, "128": 128, "256": 256, "512": 512, "1024": 1024}

var thumbnailFits = map[string]picture.Fit{"": picture.Contain, "contain": picture.Contain, "cover": picture.Cover}

// thumbnail is GET /v1/files/{id}/thumbnail. Nothing that is made is kept here: what the caller has already is told from what it
// must be made of, before anything is read.
func (a *api) thumbnail(w http.ResponseWriter, r *http.Request) error {
	if a.thumbnails == nil {
		return fault.New(fault.Forbidden, "no thumbnails are made here")
	}
	want, err := wantedThumbnail(r)
	if err != nil {
		return err
	}
	c, err := a.files.Open(r.Context(), owner(r.Context()), files.FileID(web.Var(r, "id")))
	if err != nil {
		return err
	}
	defer c.Close()
	h := w.Header()
	version := field.Version{ETag: thumbnailETag(c.File, want), Modified: c.File.ContentAt}
	h.Set("Cache-Control", "private, no-cache") // the right to see it can end at any time: ask again, it costs nothing
	h.Set("Vary", "Authorization")
	switch field.Evaluate(r.Header, version) {
	case field.NotModified:
		h.Set("ETag", version.ETag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	case field.Failed:
		return fault.New(fault.PreconditionFailed, "the thumbnail is not the one the condition names")
	}
	if err := c.Reach(r.Context(), 0); err != nil {
		return err
	}
	kind, err := pictureType(c)
	if err != nil {
		return err
	}
	t, err := a.thumbnails.Make(r.Context(), c, kind, want)
	if err != nil {
		return err
	}
	h.Set("ETag", version.ETag)
	h.Set("Last-Modified", version.Modified.UTC().Format(http.TimeFormat))
	return a.sendThumbnail(w, r, t)
}

// wantedThumbnail reads the query.
func wantedThumbnail(r *http.Request) (want picture.Want, err error) {
	var bad fault.Bad
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // URL.Query leaves out what it can't read
		return want, badForm("query", "INVALID", "the query can't be read")
	}
	for _, name := range web.QueryNames(r) {
		value := query.Get(name)
		switch {
		case name != "size" && name != "fit":
			unknownParameter(name, &bad)
		case len(query[name]) > 1 || value == "":
			bad.Refuse(name, "INVALID", "must be given once, with a value")
		case name == "size" && thumbnailSizes[value] == 0:
			bad.Refuse(name, "INVALID", "must be 128, 256, 512 or 1024")
		case name == "fit" && thumbnailFits[value] == "":
			bad.Refuse(name, "INVALID", "must be contain or cover")
		}
	}
	return picture.Want{Edge: thumbnailSizes[query.Get("size")], Fit: thumbnailFits[query.Get("fit")]}, bad.Err()
}

// thumbnailETag names a thumbnail by what it is made of and how. It is weak: another build may write the same picture in other
// bytes.
func thumbnailETag(f files.File, want picture.Want) string {
	return fmt.Sprintf(`W/"t%s-%d-%s-%s"`, picture.Version, want.Edge, want.Fit, hex.EncodeToString(f.SHA256[:16]))
}

// pictureType is the type a content says it has, when its bytes look like it. Anything else is no picture.
func pictureType(c *files.Content) (string, error) {
	declared, _, err := mime.ParseMediaType(c.File.ContentType)
	if err != nil || !picture.Reads(declared) {
		return "", nil
	}
	head := make([]byte, sniffBytes)
	n, err := c.Body.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("sniff content: %w", err)
	}
	if !agrees(declared, sniff(head[:n])) {
		return "", nil
	}
	return declared, nil
}

// sendThumbnail sends it on a leash and under the rate floor, like any content.
func (a *api) sendThumbnail(w http.ResponseWriter, r *http.Request, t picture.Thumbnail) error {
	if r.Context().Err() != nil { // the right to see it has ended while it was made
		return context.Cause(r.Context())
	}
	h := w.Header()
	h.Set("Content-Type", t.ContentType)
	h.Set("Content-Length", strconv.Itoa(len(t.Bytes)))
	h.Set("Content-Disposition", "inline")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	l, release := hold(r.Context(), http.NewResponseController(w).SetWriteDeadline)
	defer release()
	a.writing(l)(int64(len(t.Bytes)))
	if _, err := w.Write(t.Bytes); err != nil {
		return sendError(err)
	}
	return nil
}
