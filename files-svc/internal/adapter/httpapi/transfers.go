package httpapi

import (
	"context"
	"io"
	"mime"
	"net/http"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// Transfers moves the bytes of files for adapters that speak another contract: with the same floor, leash, verification and
// metrics as our own.
type Transfers struct{ api *api }

// Receive reads a form with one file and nothing else, and hands what it says of the file, with its bytes, to store. Without such
// a part it fails with fault.Invalid.
func (t Transfers) Receive(w http.ResponseWriter, r *http.Request,
	store func(ctx context.Context, n files.NewFile, content io.Reader) (files.File, error),
) (files.File, error) {
	return t.api.take(w, r, func(ctx context.Context, body *pacedBody) (files.File, error) {
		if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "multipart/form-data" {
			return files.File{}, badForm(fileField, "REQUIRED", "send a form with a part named file")
		}
		var bad fault.Bad
		in, err := t.api.receive(r, body, &bad)
		if err := bad.Or(err); err != nil {
			return files.File{}, err
		}
		if in.name == "" { // a field of text that happens to be called so
			return files.File{}, badForm(fileField, "REQUIRED", "the part named file has no file name")
		}
		return store(ctx, files.NewFile{Name: in.name, ContentType: in.contentType, Size: files.UnknownSize}, in.content)
	})
}

// Send answers with the content that open opens, as an attachment.
func (t Transfers) Send(w http.ResponseWriter, r *http.Request, open func(context.Context) (*files.Content, error)) error {
	return t.api.answer(w, r, open, func(*files.Content) delivery {
		keepPrivate(w.Header())
		return delivery{begin: freely}
	})
}

// keepPrivate lets nobody but the client keep the answer, and the client ask each time: the right to read can end at any time.
func keepPrivate(h http.Header) {
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Authorization")
}
