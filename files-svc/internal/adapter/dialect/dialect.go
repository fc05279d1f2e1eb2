// Package dialect holds what the adapters below it share: those that speak the file part of an existing contract over the files
// core. Each adds paths and shapes of its own; none moves bytes by itself.
package dialect

import (
	"context"
	"io"
	"net/http"

	"cloakroom.dev/files-svc/internal/files"
)

// Transfers moves the bytes of files for a dialect: with the same floor, leash, verification and metrics as the public contract.
type Transfers interface {
	// Receive reads a form with one file and nothing else, and hands what it says of the file, with its bytes, to store. The size is
	// files.UnknownSize. Without such a part it fails with fault.Invalid; faults of the content are those of the request.
	Receive(w http.ResponseWriter, r *http.Request, store Store) (files.File, error)
	// Send answers with the content that open opens, as an attachment.
	Send(w http.ResponseWriter, r *http.Request, open func(context.Context) (*files.Content, error)) error
}

// Store keeps a file of a form.
type Store = func(ctx context.Context, n files.NewFile, content io.Reader) (files.File, error)
