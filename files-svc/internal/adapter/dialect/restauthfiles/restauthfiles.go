// Package restauthfiles speaks the file part of the rest-auth-files contract over the files core, so that its clients stay as
// they are. The auth service speaks the other part.
//
//	/file/upload, /file/update/{id}  ──> a form with the part "file" ──> core.Create / core.Replace
//	/file/list, /file/{id}           ──> core.List / core.Get
//	/file/download/{id}              ──> core.Open
//	/file/delete/{id}                ──> core.Delete, past the trash
//
// It has no rule of its own. Bytes move by the same ways as everywhere (dialect.Transfers), tokens are verified as everywhere,
// and every refusal, also of routing, is {"error": "…"}. People see their own files only, which the seed did not hold to.
package restauthfiles

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"

	"cloakroom.dev/files-svc/internal/adapter/dialect"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"
)

// Name is what the contract is called in resources and paths.
const Name = "rest-auth-files"

// Prefix is where the contract is spoken on the listener.
const Prefix = "/compat/" + Name

type adapter struct {
	files     *files.Service
	transfers dialect.Transfers
}

// New returns the handler of everything below Prefix. Calls pass require first, which lets only known callers through.
func New(core *files.Service, transfers dialect.Transfers, require func(http.Handler) http.Handler) http.Handler {
	a := &adapter{files: core, transfers: transfers}
	m := web.NewMux()
	mount := func(method, path, name string, h http.Handler) {
		m.Handle(method, Prefix+"/file"+path, "compat."+Name+"."+name, require(h))
	}
	mount(http.MethodPost, "/upload", "upload", web.Func(a.upload))
	mount(http.MethodGet, "/list", "list", web.Func(a.list))
	mount(http.MethodGet, "/download/{id}", "download", web.Func(a.download))
	mount(http.MethodPut, "/update/{id}", "update", web.Func(a.update))
	mount(http.MethodDelete, "/delete/{id}", "delete", web.Func(a.delete))
	mount(http.MethodGet, "/{id}", "get", web.Func(a.get))
	return shaped(m)
}

func owner(ctx context.Context) files.OwnerID {
	p, _ := principal.From(ctx)
	return files.OwnerID(p.UserID)
}

func id(r *http.Request) files.FileID { return files.FileID(web.Var(r, "id")) }

// stored is the answer to what brings bytes.
type stored struct {
	Message string       `json:"message"`
	ID      files.FileID `json:"id"`
}

func (a *adapter) upload(w http.ResponseWriter, r *http.Request) error {
	f, err := a.transfers.Receive(w, r, func(ctx context.Context, n files.NewFile, content io.Reader) (files.File, error) {
		return a.files.Create(ctx, owner(ctx), n, content)
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, stored{"File uploaded successfully", f.ID})
}

// update replaces content, type and name. The old content stays until the new one is whole.
func (a *adapter) update(w http.ResponseWriter, r *http.Request) error {
	f, err := a.transfers.Receive(w, r, func(ctx context.Context, n files.NewFile, content io.Reader) (files.File, error) {
		return a.files.Replace(ctx, owner(ctx), id(r), files.NewContent{
			Name: &n.Name, ContentType: n.ContentType, Size: n.Size,
		}, content)
	})
	if err != nil {
		return missing(err)
	}
	return answer(w, http.StatusCreated, stored{"File updated successfully", f.ID})
}

func (a *adapter) delete(w http.ResponseWriter, r *http.Request) error {
	const permanent = true // there is no trash in this contract
	if err := a.files.Delete(r.Context(), owner(r.Context()), id(r), permanent); err != nil {
		return missing(err)
	}
	return answer(w, http.StatusOK, struct {
		Message string `json:"message"`
	}{"File deleted successfully"})
}

func (a *adapter) download(w http.ResponseWriter, r *http.Request) error {
	return missing(a.transfers.Send(w, r, func(ctx context.Context) (*files.Content, error) {
		return a.files.Open(ctx, owner(ctx), id(r))
	}))
}

func (a *adapter) get(w http.ResponseWriter, r *http.Request) error {
	f, err := a.files.Get(r.Context(), owner(r.Context()), id(r))
	if err != nil {
		return missing(err)
	}
	return answer(w, http.StatusOK, struct {
		File record `json:"file"`
	}{recordOf(f)})
}

const defaultListSize = 10

func (a *adapter) list(w http.ResponseWriter, r *http.Request) error {
	l, err := a.files.List(r.Context(), owner(r.Context()), files.ListQuery{
		Page:  number(r, "page", 1, files.MaxPage),
		Limit: number(r, "list_size", defaultListSize, files.MaxLimit),
	})
	if err != nil {
		return err
	}
	page := struct {
		Files []record `json:"files"`
	}{make([]record, 0, len(l.Files))}
	for _, f := range l.Files {
		page.Files = append(page.Files, recordOf(f))
	}
	return answer(w, http.StatusOK, page)
}

// number reads a query parameter as the seed does: what is no number above zero counts as not given. Too much is cut.
func number(r *http.Request, name string, otherwise, most int) int {
	n, err := strconv.ParseFloat(r.URL.Query().Get(name), 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return otherwise
	}
	return int(min(max(math.Floor(n), 1), float64(most)))
}

// record is a file as this contract shows it.
type record struct {
	ID         files.FileID `json:"id"`
	Name       string       `json:"name"`
	Extension  string       `json:"extension"`
	MIMEType   string       `json:"mime_type"`
	Size       int64        `json:"size"`
	UploadedAt string       `json:"uploaded_at"`
}

func recordOf(f files.File) record {
	ext := f.Extension()
	if ext != "" {
		ext = f.Name[len(f.Name)-len(ext)-1:] // with its dot and its case
	}
	return record{
		ID: f.ID, Name: f.Name, Extension: ext, MIMEType: f.ContentType, Size: f.Size,
		UploadedAt: f.ContentAt.UTC().Format(timeForm),
	}
}

// timeForm is how a JavaScript Date is written as JSON.
const timeForm = "2006-01-02T15:04:05.000Z"

func answer(w http.ResponseWriter, status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that has gone is no failure of ours
	return nil
}
