package httpapi

import (
	"crypto/sha1" //nolint:gosec // tus asks for it: against broken lines, not against attackers
	"crypto/sha256"
	"hash"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

const offsetStreamType = "application/offset+octet-stream"

// tusCreate is tus's creation, with its extensions.
func (a *api) tusCreate(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.policy(); err != nil {
		return refuseUnread(w, err)
	}
	n, parts, err := tusCreation(r)
	if err != nil {
		return refuseUnread(w, err)
	}
	ctx := r.Context()
	var up files.Upload
	if parts != nil {
		up, err = a.files.JoinUploads(ctx, owner(ctx), n, parts)
	} else {
		up, err = a.tusCreateSingle(w, r, n)
	}
	if err != nil {
		return err
	}
	tellFile(w, r, up)
	w.Header().Set("Location", uploadLocation(r, up.ID))
	tusDescribe(w.Header(), up)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// tusCreateSingle makes the upload, and takes in what comes with its creation.
func (a *api) tusCreateSingle(w http.ResponseWriter, r *http.Request, n files.NewUpload) (files.Upload, error) {
	chunk, err := tusChunk(r)
	if err != nil {
		return files.Upload{}, err
	}
	if n.File.Size >= 0 && r.ContentLength > n.File.Size {
		return files.Upload{}, files.ErrUploadOverrun
	}
	up, err := a.files.CreateUpload(r.Context(), owner(r.Context()), n)
	if err != nil {
		return files.Upload{}, err
	}
	w.Header().Set("Location", uploadLocation(r, up.ID)) // also when the rest fails: the upload is there to be resumed
	if r.ContentLength == 0 && n.File.Size != 0 {
		return up, nil
	}
	return a.pour(w, r, up.ID, chunk)
}

// tusCreation reads what is said about a new upload. Parts are those of a final one; nil: it is none.
func tusCreation(r *http.Request) (n files.NewUpload, parts []files.UploadID, err error) {
	h := r.Header
	var bad []fault.Field
	n.File, n.Note, bad = tusMetadata(h.Values("Upload-Metadata"))
	concat := h.Get("Upload-Concat")
	final, isFinal := strings.CutPrefix(concat, "final;")
	switch {
	case isFinal:
		if parts, err = tusParts(final); err != nil {
			return n, nil, err
		}
		if h.Get("Upload-Length") != "" || h.Get("Upload-Defer-Length") != "" || r.ContentLength != 0 {
			bad = append(bad, fault.Field{Field: "Upload-Concat", Code: "INVALID", Detail: "a final upload has the length and the bytes of its parts"})
		}
	case concat == "partial":
		n.Part = true
	case concat != "":
		bad = append(bad, fault.Field{Field: "Upload-Concat", Code: "INVALID", Detail: "must be partial, or final with the parts"})
	}
	if !isFinal {
		var more []fault.Field
		n.File.Size, more = tusLength(h)
		bad = append(bad, more...)
	}
	if n.File.NewName, err = newUploadName(r); err != nil {
		return n, nil, err
	}
	if len(bad) > 0 {
		return n, nil, fault.Validation(bad...)
	}
	return n, parts, nil
}

// tusLength reads the length, or that it comes later.
func tusLength(h http.Header) (int64, []fault.Field) {
	length, deferred := h.Values("Upload-Length"), h.Values("Upload-Defer-Length")
	switch {
	case len(length)+len(deferred) != 1:
		return 0, []fault.Field{{Field: "Upload-Length", Code: "REQUIRED", Detail: "send Upload-Length, or Upload-Defer-Length: 1, once"}}
	case len(deferred) == 1 && deferred[0] != "1":
		return 0, []fault.Field{{Field: "Upload-Defer-Length", Code: "INVALID", Detail: "must be 1"}}
	case len(deferred) == 1:
		return files.UnknownSize, nil
	}
	n, ok := count(length)
	if !ok {
		return 0, []fault.Field{{Field: "Upload-Length", Code: "INVALID", Detail: "must be a number of bytes"}}
	}
	return n, nil
}

// count reads a header that must be one number of bytes, in digits.
func count(values []string) (int64, bool) {
	if len(values) != 1 || values[0] == "" || strings.Trim(values[0], "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	return n, err == nil
}

// maxMetadataField bounds Upload-Metadata before any work on it.
const maxMetadataField = 8 << 10

// tusMetadata reads Upload-Metadata: name and type under the words that clients use for them, and the rest as the file's
// metadata.
func tusMetadata(lines []string) (n files.NewFile, note string, bad []fault.Field) {
	invalid := func(code, detail string) []fault.Field {
		return []fault.Field{{Field: "Upload-Metadata", Code: code, Detail: detail}}
	}
	note = strings.Join(lines, ",")
	if len(note) > maxMetadataField {
		return n, "", invalid("TOO_LONG", "at most 8 KiB")
	}
	pairs, err := field.ParseUploadMetadata(lines)
	if err != nil {
		return n, "", invalid("INVALID", err.Error())
	}
	n.Metadata = files.Metadata{}
	for _, p := range pairs {
		switch p.Key {
		case "filename":
			n.Name = p.Value
		case "filetype":
			n.ContentType = p.Value
		default:
			n.Metadata[p.Key] = p.Value
		}
	}
	take := func(word string, into *string) { // Uppy says everything twice
		if value, ok := n.Metadata[word]; ok && (*into == "" || *into == value) {
			*into = value
			delete(n.Metadata, word)
		}
	}
	take("name", &n.Name)
	take("type", &n.ContentType)
	if n.Name == "" {
		n.Name = unnamed
	}
	return n, note, nil
}

// tusParts reads the addresses of a final upload. Whose they are and on which host does not matter: the ids do.
func tusParts(list string) ([]files.UploadID, error) {
	parts := []files.UploadID{}
	for _, text := range strings.Fields(list) {
		u, err := url.Parse(text)
		if err != nil {
			return nil, badForm("Upload-Concat", "INVALID", "the parts must be addresses of uploads")
		}
		dir, id := u.Path[:strings.LastIndexByte(u.Path, '/')+1], u.Path[strings.LastIndexByte(u.Path, '/')+1:]
		if !strings.HasSuffix(dir, uploadsPath+"/") || id == "" {
			return nil, badForm("Upload-Concat", "INVALID", "the parts must be addresses of uploads")
		}
		parts = append(parts, files.UploadID(id))
	}
	return parts, nil
}

// tusChunk reads what is said about the bytes of a request. Offset is the caller's to set.
func tusChunk(r *http.Request) (files.Chunk, error) {
	c := files.Chunk{AtLength: true}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if (r.ContentLength != 0 || r.Method == http.MethodPatch) && (err != nil || mediaType != offsetStreamType) {
		return c, fault.New(fault.UnsupportedMediaType, "the bytes of an upload are sent as "+offsetStreamType)
	}
	lines := r.Header.Values("Upload-Checksum")
	if len(lines) == 0 {
		return c, nil
	}
	sum, err := field.ParseChecksum(lines[0])
	if err != nil || len(lines) > 1 {
		return c, badForm("Upload-Checksum", "INVALID", "must be an algorithm and a checksum in base64, once")
	}
	c.Check, c.Sum = tusHash(sum.Algorithm), sum.Sum
	if c.Check == nil {
		return c, badForm("Upload-Checksum", "UNSUPPORTED", "sha1 and sha256 are checked here")
	}
	return c, nil
}

func tusHash(algorithm string) hash.Hash {
	switch algorithm {
	case "sha1":
		return sha1.New() //nolint:gosec // see the import
	case "sha256":
		return sha256.New()
	default:
		return nil
	}
}

// tusDescribe sets where an upload stands.
func tusDescribe(h http.Header, up files.Upload) {
	h.Set("Upload-Offset", strconv.FormatInt(up.Offset, 10))
	if up.File == "" {
		h.Set("Upload-Expires", up.ExpiresAt.UTC().Format(http.TimeFormat))
	}
}

// tusHead is HEAD: where the upload stands, and what was said about it.
func (a *api) tusHead(w http.ResponseWriter, r *http.Request) error {
	up, err := a.files.StatUpload(r.Context(), owner(r.Context()), uploadID(r))
	if err != nil {
		return err
	}
	h := w.Header()
	tusDescribe(h, up)
	tellFile(w, r, up)
	if up.Length >= 0 {
		h.Set("Upload-Length", strconv.FormatInt(up.Length, 10))
	} else {
		h.Set("Upload-Defer-Length", "1")
	}
	if up.Note != "" {
		h.Set("Upload-Metadata", up.Note)
	}
	switch {
	case up.Part:
		h.Set("Upload-Concat", "partial")
	case len(up.Joins) > 0:
		list := make([]string, len(up.Joins))
		for i, id := range up.Joins {
			list[i] = uploadLocation(r, id)
		}
		h.Set("Upload-Concat", "final;"+strings.Join(list, " "))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// tusAppend is PATCH.
func (a *api) tusAppend(w http.ResponseWriter, r *http.Request) error {
	chunk, err := tusChunk(r)
	if err != nil {
		return refuseUnread(w, err)
	}
	var ok bool
	if chunk.Offset, ok = count(r.Header.Values("Upload-Offset")); !ok {
		return refuseUnread(w, badForm("Upload-Offset", "INVALID", "must be a number of bytes, once"))
	}
	if lines := r.Header.Values("Upload-Length"); len(lines) > 0 {
		length, ok := count(lines)
		if !ok {
			return refuseUnread(w, badForm("Upload-Length", "INVALID", "must be a number of bytes, once"))
		}
		chunk.Length = &length
	}
	up, err := a.pour(w, r, uploadID(r), chunk)
	if err != nil {
		return err
	}
	tusDescribe(w.Header(), up)
	tellFile(w, r, up)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
