package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// upload is POST /v1/files.
func (a *api) upload(w http.ResponseWriter, r *http.Request) error {
	var bad fault.Bad
	newName := onlyNewName(r, &bad)
	key := idempotencyKey(r.Header, &bad)
	f, err := a.take(w, r, func(ctx context.Context, body *pacedBody) (files.File, error) {
		in, err := a.receive(r, body, &bad, "name", "metadata", "expires_at")
		if err != nil {
			return files.File{}, bad.Or(err)
		}
		n := in.newFile(&bad)
		if err := bad.Err(); err != nil {
			return files.File{}, fault.Also(err, whereNamesGo(a.files.CheckNew(n)))
		}
		n.NewName, n.Key = newName, key
		f, err := a.files.Create(ctx, owner(ctx), n, in.content)
		return f, whereNamesGo(err)
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/files/"+string(f.ID))
	return writeFile(w, http.StatusCreated, f)
}

// replace is PUT /v1/files/{id}/content.
func (a *api) replace(w http.ResponseWriter, r *http.Request) error {
	var bad fault.Bad
	noQuery(r, &bad)
	match, err := ifMatch(r)
	if err = bad.Catch(err); err != nil {
		return refuseUnread(w, err)
	}
	f, err := a.take(w, r, func(ctx context.Context, body *pacedBody) (files.File, error) {
		in, err := a.receive(r, body, &bad)
		if err != nil {
			return files.File{}, bad.Or(err)
		}
		c := files.NewContent{ContentType: in.contentType, Size: in.size, Digest: in.digest, IfMatch: match}
		if err := bad.Err(); err != nil {
			return files.File{}, fault.Also(err, a.files.CheckContent(c))
		}
		return a.files.Replace(ctx, owner(ctx), files.FileID(web.Var(r, "id")), c, in.content)
	})
	if err != nil {
		return err
	}
	return writeFile(w, http.StatusOK, f)
}

// take runs an upload over the request's body, on a leash and under the rate floor. When the body is not read to its end
// the connection closes with the answer: what still comes is of no use to anyone.
func (a *api) take(w http.ResponseWriter, r *http.Request,
	store func(ctx context.Context, body *pacedBody) (files.File, error),
) (files.File, error) {
	a.metrics.uploading.Inc()
	defer a.metrics.uploading.Dec()
	l, release := hold(r.Context(), http.NewResponseController(w).SetReadDeadline)
	defer release()
	body := &pacedBody{ctx: r.Context(), src: r.Body, leash: l, pace: a.pace, now: a.now}
	f, err := store(r.Context(), body)
	release() // from here on the end of the request can't cut the connection; if it has, nothing more can be read from it
	if !body.whole() && r.ContentLength != 0 || r.Context().Err() != nil {
		w.Header().Set("Connection", "close")
	}
	if err != nil {
		return files.File{}, a.uploadError(r.Context(), body, err)
	}
	return f, nil
}

// uploadError finds the reason that comes before the others: net/http ends the context of a request whose body can't be
// read, so an ended context alone says nothing.
func (a *api) uploadError(ctx context.Context, body *pacedBody, err error) error {
	if failure := body.failure(); failure != nil {
		return failure
	}
	if errors.Is(err, context.Canceled) && fault.KindOf(err) == fault.Internal {
		if cause := context.Cause(ctx); fault.KindOf(cause) != fault.Internal {
			return cause
		}
		return fault.Wrap(fault.Timeout, "the client went away", err)
	}
	return err
}

// refuseUnread refuses a request whose body nobody will read.
func refuseUnread(w http.ResponseWriter, err error) error {
	w.Header().Set("Connection", "close")
	return err
}

// onlyNewName reads If-None-Match, of which an upload takes one value.
func onlyNewName(r *http.Request, bad *fault.Bad) bool {
	noQuery(r, bad)
	untaken(r, bad, "guard a new file with If-None-Match: *", "If-Match", "If-Unmodified-Since", "If-Modified-Since")
	none := field.ParseETags(r.Header.Values("If-None-Match"))
	if none.Given && !none.Any {
		bad.Refuse("If-None-Match", "INVALID", "only * has a meaning here")
	}
	return none.Any
}

// untaken refuses conditions that have no meaning for a request: whoever sends one must not believe that it was asked.
func untaken(r *http.Request, bad *fault.Bad, instead string, names ...string) {
	for _, name := range names {
		if len(r.Header.Values(name)) > 0 {
			bad.Refuse(name, "UNKNOWN", instead)
		}
	}
}

// newUploadName reads what guards a new upload. An upload that has lost its answer is found at its Location, or made again and
// the first one forgotten: no key is taken for that.
func newUploadName(r *http.Request, bad *fault.Bad) bool {
	newName := onlyNewName(r, bad)
	untaken(r, bad, "keys are taken by POST /v1/files; an upload goes on at its Location", "Idempotency-Key")
	return newName
}

// newFile is what the core is told of a new file. Fields of a form come before the headers of its part.
func (in intake) newFile(bad *fault.Bad) files.NewFile {
	n := files.NewFile{Name: in.name, ContentType: in.contentType, Size: in.size, Digest: in.digest}
	if name, ok := in.fields["name"]; ok {
		n.Name = name
	}
	if text, ok := in.fields["expires_at"]; ok {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			bad.Refuse("expires_at", "INVALID", moment{}.Form())
		}
		n.ExpiresAt = at.UTC().Truncate(time.Microsecond)
	}
	if text, ok := in.fields["metadata"]; ok {
		err := web.Decode([]byte(text), (*map[string]string)(&n.Metadata))
		bad.Add(inMetadata(err)...)
	}
	return n
}

// whereNamesGo tells whoever left the name out how a body is named: the core knows of no headers.
func whereNamesGo(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	i := slices.IndexFunc(f.Fields, func(b fault.Field) bool { return b.Field == "name" && b.Code == "REQUIRED" })
	if i < 0 {
		return err
	}
	fields := slices.Clone(f.Fields)
	fields[i].Detail = `must not be empty: Content-Disposition: attachment; filename="…" names a body, its filename or a field name a form's file`
	return fault.Validation(fields...)
}

// inMetadata says of what is wrong with a JSON text that it is in the field metadata.
func inMetadata(err error) (bad []fault.Field) {
	var f *fault.Error
	if !errors.As(err, &f) {
		return nil
	}
	if len(f.Fields) == 0 {
		return []fault.Field{{Field: "metadata", Code: "INVALID", Detail: f.Detail}}
	}
	for _, b := range f.Fields {
		b.Field = "metadata." + b.Field
		bad = append(bad, b)
	}
	return bad
}

func writeFile(w http.ResponseWriter, status int, f files.File) error {
	b := bodyOf(f)
	b.Headers(w.Header())
	return writeJSON(w, status, b)
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that has gone is no failure of ours
	return nil
}

// noQuery refuses query parameters on calls that have none, as the typed calls do.
func noQuery(r *http.Request, bad *fault.Bad) {
	for _, name := range web.QueryNames(r) {
		unknownParameter(name, bad)
	}
}

func unknownParameter(name string, bad *fault.Bad) {
	bad.Refuse(name, "UNKNOWN", "this query parameter is not known here")
}
