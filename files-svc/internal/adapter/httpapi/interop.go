package httpapi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/dunglas/httpsfv"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

const (
	// partialUploadType is the media type of a PATCH in the IETF's draft.
	partialUploadType = "application/partial-upload"

	// statusResumable tells, ahead of the answer, where the upload is and how far it has come.
	statusResumable = 104

	// progressEvery is how seldom the progress of a long request is told.
	progressEvery = 5 * time.Second
)

// uploadLimit tells what the policy allows, in the draft's words.
func uploadLimit(p files.Policy) string {
	limit := "min-size=0"
	if p.MaxObjectBytes > 0 {
		limit = fmt.Sprintf("max-size=%d", p.MaxObjectBytes)
	}
	if p.UploadExpiry > 0 {
		limit += fmt.Sprintf(", max-age=%d", int64(p.UploadExpiry.Seconds()))
	}
	return limit
}

// interopCreate is the draft's upload creation.
func (a *api) interopCreate(w http.ResponseWriter, r *http.Request) error {
	policy, err := a.policy()
	if err != nil {
		return refuseUnread(w, err)
	}
	n, chunk, err := interopCreation(r)
	if err != nil {
		return refuseUnread(w, fault.Also(err, a.files.CheckUpload(n)))
	}
	up, err := a.files.CreateUpload(r.Context(), owner(r.Context()), n)
	if err != nil {
		return err
	}
	h := w.Header()
	limit := uploadLimit(policy)
	if r.Header.Get("Upload-Draft-Interop-Version") != "" {
		ahead(w, "Location", uploadLocation(r, up.ID), "Upload-Limit", limit)
		chunk.Saved = a.progress(w)
	}
	id := up.ID
	if r.ContentLength != 0 || chunk.Last {
		if up, err = a.pour(w, r, up.ID, chunk); err != nil {
			h.Set("Location", uploadLocation(r, id))
			return asDigest(err)
		}
	}
	if up.State == files.UploadDone {
		return a.interopDone(w, r, up)
	}
	h.Set("Location", uploadLocation(r, up.ID))
	h.Set("Upload-Limit", limit)
	interopDescribe(h, up)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// ahead sends an informational answer. Its headers are not the answer's.
func ahead(w http.ResponseWriter, pairs ...string) {
	h := w.Header()
	kept := h.Clone()
	clear(h)
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	h.Set("Upload-Draft-Interop-Version", interopVersion)
	w.WriteHeader(statusResumable)
	clear(h)
	for name, values := range kept {
		h[name] = values
	}
}

// progress tells now and then how much of a request is durable.
func (a *api) progress(w http.ResponseWriter) func(int64) {
	told := a.now()
	return func(offset int64) {
		if now := a.now(); now.Sub(told) >= progressEvery {
			told = now
			ahead(w, "Upload-Offset", strconv.FormatInt(offset, 10))
		}
	}
}

// interopCreation reads what is said about a new upload and about the bytes that come with it.
func interopCreation(r *http.Request) (n files.NewUpload, c files.Chunk, err error) {
	var bad fault.Bad
	newName := newUploadName(r, &bad)
	c = interopChunk(r, &bad)
	in, err := rawIntake(r, nil, nil, reprDigest(r, &bad), &bad)
	if err != nil {
		return n, c, bad.Or(err)
	}
	n.File = files.NewFile{Name: in.name, ContentType: in.contentType, Size: files.UnknownSize, Digest: in.digest, NewName: newName}
	if n.File.Name == "" {
		n.File.Name = unnamed
	}
	if err := bad.Err(); err != nil {
		return n, c, err
	}
	switch {
	case c.Length != nil:
		n.File.Size = *c.Length
		c.Length = nil
		if c.Last && r.ContentLength >= 0 && r.ContentLength != n.File.Size {
			return n, c, files.ErrUploadLength
		}
	case c.Last && r.ContentLength >= 0:
		n.File.Size = r.ContentLength
	}
	if n.File.Size >= 0 && r.ContentLength > n.File.Size {
		return n, c, files.ErrUploadOverrun
	}
	return n, c, nil
}

func reprDigest(r *http.Request, bad *fault.Bad) *field.Digest {
	d, err := field.ParseDigest(r.Header.Values("Repr-Digest"))
	if err != nil {
		bad.Refuse("Repr-Digest", "INVALID", err.Error())
	}
	return d
}

// interopChunk reads the fields that both creation and append have.
func interopChunk(r *http.Request, bad *fault.Bad) (c files.Chunk) {
	invalid := func(name, detail string) { bad.Refuse(name, "INVALID", detail) }
	last, err := item[bool](r.Header, "Upload-Complete")
	if err != nil || last == nil {
		invalid("Upload-Complete", "must be ?0 or ?1, once")
	} else {
		c.Last = *last
	}
	length, err := item[int64](r.Header, "Upload-Length")
	if err != nil || length != nil && *length < 0 {
		invalid("Upload-Length", "must be a number of bytes, once")
	}
	c.Length = length
	digest, err := field.ParseDigest(r.Header.Values("Content-Digest"))
	if err != nil {
		invalid("Content-Digest", err.Error())
	}
	if digest != nil {
		c.Check, c.Sum = sha256.New(), digest[:]
	}
	return c
}

// item reads a structured field with one value; nil when it is absent.
func item[T bool | int64](h http.Header, name string) (*T, error) {
	lines := h.Values(name)
	if len(lines) == 0 {
		return nil, nil
	}
	it, err := httpsfv.UnmarshalItem(lines)
	if err != nil {
		return nil, err
	}
	v, ok := it.Value.(T)
	if !ok {
		return nil, errors.New("wrong type")
	}
	return &v, nil
}

func interopDescribe(h http.Header, up files.Upload) {
	h.Set("Upload-Offset", strconv.FormatInt(up.Offset, 10))
	h.Set("Upload-Complete", map[bool]string{true: "?1", false: "?0"}[up.State != files.UploadOpen])
	if up.Length >= 0 {
		h.Set("Upload-Length", strconv.FormatInt(up.Length, 10))
	}
}

// interopHead is the draft's offset retrieval.
func (a *api) interopHead(w http.ResponseWriter, r *http.Request) error {
	var bad fault.Bad
	for _, name := range []string{"Upload-Offset", "Upload-Complete", "Upload-Length"} {
		if len(r.Header.Values(name)) > 0 {
			bad.Refuse(name, "NOT_ALLOWED", "this is what the answer tells")
		}
	}
	if err := bad.Err(); err != nil {
		return err
	}
	policy, err := a.policy()
	if err != nil {
		return err
	}
	up, err := a.files.StatUpload(r.Context(), owner(r.Context()), uploadID(r))
	if err != nil {
		return err
	}
	interopDescribe(w.Header(), up)
	w.Header().Set("Upload-Limit", uploadLimit(policy))
	tellFile(w, r, up)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// interopAppend is the draft's append.
func (a *api) interopAppend(w http.ResponseWriter, r *http.Request) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != partialUploadType {
		return refuseUnread(w, fault.New(fault.UnsupportedMediaType, "the bytes of an upload are sent as "+partialUploadType))
	}
	var bad fault.Bad
	chunk := interopChunk(r, &bad)
	offset, err := item[int64](r.Header, "Upload-Offset")
	if err != nil || offset == nil || *offset < 0 {
		bad.Refuse("Upload-Offset", "INVALID", "must be a number of bytes, once")
	}
	if err := bad.Err(); err != nil {
		return refuseUnread(w, err)
	}
	chunk.Offset = *offset
	if r.Header.Get("Upload-Draft-Interop-Version") != "" {
		chunk.Saved = a.progress(w)
	}
	up, err := a.pour(w, r, uploadID(r), chunk)
	switch {
	case err != nil:
		return asDigest(err)
	case up.State == files.UploadDone:
		return a.interopDone(w, r, up)
	}
	interopDescribe(w.Header(), up)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// asDigest calls a wrong checksum what the draft's Content-Digest calls it.
func asDigest(err error) error {
	if errors.Is(err, files.ErrChecksum) {
		return fault.New(fault.DigestMismatch, "the content does not have the digest that was announced")
	}
	return err
}

// interopDone gives the last answer: the file. It can be asked for again, and then the file may be gone, or not for this
// token to read; that the upload is complete holds all the same.
func (a *api) interopDone(w http.ResponseWriter, r *http.Request, up files.Upload) error {
	interopDescribe(w.Header(), up)
	tellFile(w, r, up)
	f, err := a.files.Get(r.Context(), owner(r.Context()), up.File)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)), errors.Is(err, fault.Of(fault.Forbidden)):
		w.WriteHeader(http.StatusNoContent)
		return nil
	case err != nil:
		return err
	}
	return writeFile(w, http.StatusOK, f)
}
