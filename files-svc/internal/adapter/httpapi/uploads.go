package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/web"
)

const (
	uploadsPath    = "/v1/uploads"
	tusVersion     = "1.0.0"
	interopVersion = "8"

	// unnamed is what a file is called whose client did not say: neither protocol makes them.
	unnamed = "unnamed"
)

// mountUploads routes resumable uploads. Two protocols speak of the same resources; each request says which it is in.
func (a *api) mountUploads(m *web.Mux, require func(http.Handler) http.Handler) {
	spoken := func(tus, interop func(http.ResponseWriter, *http.Request) error) http.Handler {
		return inDialect(require(web.Func(func(w http.ResponseWriter, r *http.Request) error {
			d, err := dialectOf(r)
			switch {
			case err != nil:
				return refuseUpload(w, r, err)
			case d == dialectTus:
				return refuseUpload(w, r, tus(w, r))
			default:
				return refuseUpload(w, r, interop(w, r))
			}
		})))
	}
	m.Handle(http.MethodOptions, uploadsPath, "uploads.options", web.Func(a.uploadOptions))
	m.Post(uploadsPath, "uploads.create", spoken(a.tusCreate, a.interopCreate))
	m.Head(uploadsPath+"/{id}", "uploads.head", spoken(a.tusHead, a.interopHead))
	m.Patch(uploadsPath+"/{id}", "uploads.append", spoken(a.tusAppend, a.interopAppend))
	m.Delete(uploadsPath+"/{id}", "uploads.end", spoken(a.uploadEnd, a.uploadEnd))
}

type dialect int

const (
	dialectTus dialect = iota
	dialectInterop
)

// errTusVersion refuses a version of tus that is not spoken, and requests that name no protocol at all.
var errTusVersion = fault.New(fault.PreconditionFailed, "send Tus-Resumable: 1.0.0, or Upload-Complete as in the IETF's draft")

// dialectOf says which protocol a request is in.
func dialectOf(r *http.Request) (dialect, error) {
	tus, interop := r.Header.Values("Tus-Resumable"), r.Header.Values("Upload-Draft-Interop-Version")
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case len(tus) == 1 && tus[0] == tusVersion:
		return dialectTus, nil
	case len(tus) > 0:
		return 0, errTusVersion
	case len(interop) > 0 && (len(interop) > 1 || interop[0] != interopVersion):
		return 0, badForm("Upload-Draft-Interop-Version", "UNSUPPORTED", "version 8 is spoken here")
	case len(interop) > 0, r.Method == http.MethodHead, r.Method == http.MethodDelete,
		r.Method == http.MethodPost && r.Header.Get("Upload-Complete") != "",
		r.Method == http.MethodPatch && strings.EqualFold(strings.TrimSpace(mediaType), partialUploadType):
		return dialectInterop, nil
	default:
		return 0, errTusVersion
	}
}

// inDialect sets what every answer has, refusals of the access token too.
func inDialect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("Tus-Resumable")) > 0 {
			w.Header().Set("Tus-Resumable", tusVersion)
		}
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// uploadOptions is OPTIONS: what is spoken here, for everyone.
func (a *api) uploadOptions(w http.ResponseWriter, _ *http.Request) error {
	policy, err := a.policy()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Tus-Resumable", tusVersion)
	h.Set("Tus-Version", tusVersion)
	h.Set("Tus-Extension", "creation,creation-with-upload,creation-defer-length,checksum,expiration,termination,concatenation")
	h.Set("Tus-Checksum-Algorithm", "sha1,sha256")
	if policy.MaxObjectBytes > 0 {
		h.Set("Tus-Max-Size", strconv.FormatInt(policy.MaxObjectBytes, 10))
	}
	h.Set("Upload-Limit", uploadLimit(policy))
	h.Set("Accept-Patch", partialUploadType+", "+offsetStreamType)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// uploadEnd is DELETE, the same in both.
func (a *api) uploadEnd(w http.ResponseWriter, r *http.Request) error {
	if err := a.files.EndUpload(r.Context(), owner(r.Context()), uploadID(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func uploadID(r *http.Request) files.UploadID { return files.UploadID(web.Var(r, "id")) }

// pour runs an append over the request's body: on a leash, under the rate floor, and ended by a later request for the same
// upload or by this process going down. What was received until then is kept.
func (a *api) pour(w http.ResponseWriter, r *http.Request, id files.UploadID, c files.Chunk) (files.Upload, error) {
	a.metrics.uploading.Inc()
	defer a.metrics.uploading.Dec()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	l, release := hold(ctx, http.NewResponseController(w).SetReadDeadline)
	defer release()
	go endWithProcess(ctx, cancel)
	body := &pacedBody{ctx: ctx, src: r.Body, leash: l, pace: a.pace, now: a.now}
	c.Size, c.Content, c.Interrupt = max(r.ContentLength, files.UnknownSize), body, func(cause error) { cancel(cause) }
	up, err := a.files.AppendUpload(ctx, owner(ctx), id, c)
	release() // from here on a later request can't cut the connection; if one has, nothing more can be read from it
	if !body.whole() && r.ContentLength != 0 || ctx.Err() != nil {
		w.Header().Set("Connection", "close")
	}
	if err != nil {
		return up, a.uploadError(ctx, body, err)
	}
	return up, nil
}

// endWithProcess ends an upload when the process begins to shut down: it can go on elsewhere, and would hold up the end.
func endWithProcess(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-run.Ending(ctx):
		cancel(fault.Retry(fault.Unavailable, "the server is restarting; the upload can be resumed", time.Second))
	case <-ctx.Done():
	}
}

// outside is a path as the client can ask for it: behind a gateway that rewrites paths, with the prefix that it took off.
func outside(r *http.Request, path string) string {
	prefix := r.Header.Get("X-Forwarded-Prefix")
	u, err := url.Parse(prefix)
	if err != nil || prefix == "" || u.Path != prefix || prefix[0] != '/' || strings.HasPrefix(prefix, "//") {
		return path
	}
	return strings.TrimSuffix(prefix, "/") + path
}

func uploadLocation(r *http.Request, id files.UploadID) string {
	return outside(r, uploadsPath+"/"+string(id))
}

// tellFile says what an upload has become.
func tellFile(w http.ResponseWriter, r *http.Request, up files.Upload) {
	if up.File != "" {
		path := outside(r, "/v1/files/"+string(up.File))
		w.Header().Set("Location", path)
		w.Header().Set("Content-Location", path)
	}
}

// problemTypes are the draft's own names for refusals.
const problemTypes = "https://iana.org/assignments/http-problem-types#"

// uploadProblem is a problem document with the members the draft adds.
type uploadProblem struct {
	problem.Document
	Expected *int64 `json:"expected-offset,omitempty"`
	Provided *int64 `json:"provided-offset,omitempty"`
}

// refuseUpload answers refusals that have more to say than a status; the rest it returns.
func refuseUpload(w http.ResponseWriter, r *http.Request, err error) error {
	var at *files.OffsetError
	doc := uploadProblem{}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTusVersion):
		w.Header().Set("Tus-Version", tusVersion)
		return refuseUnread(w, err)
	case errors.As(err, &at):
		doc.Type, doc.Expected, doc.Provided = problemTypes+"mismatching-upload-offset", &at.Offset, &at.Asked
		w.Header().Set("Upload-Offset", strconv.FormatInt(at.Offset, 10))
	case errors.Is(err, files.ErrUploadComplete):
		doc.Type = problemTypes + "completed-upload"
		w.Header().Set("Upload-Complete", "?1")
	case errors.Is(err, files.ErrUploadLength):
		doc.Type = problemTypes + "inconsistent-upload-length"
	default:
		return err
	}
	kind := doc.Type
	doc.Document = problem.From(r, err)
	doc.Type = kind
	return writeUploadProblem(w, r, doc)
}

func writeUploadProblem(w http.ResponseWriter, r *http.Request, doc uploadProblem) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write problem: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", problem.ContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 {
		h.Set("Connection", "close")
	}
	w.WriteHeader(doc.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(raw) // a client that has gone is no failure of ours
	}
	return nil
}
