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
	var bad fault.Bad
	n, parts := tusCreation(r, &bad)
	chunk, err := files.Chunk{}, error(nil)
	if parts == nil {
		chunk, err = tusChunk(r, &bad)
	}
	if err = bad.Or(err); err != nil {
		return refuseUnread(w, fault.Also(err, a.files.CheckUpload(n)))
	}
	ctx := r.Context()
	var up files.Upload
	if parts != nil {
		up, err = a.files.JoinUploads(ctx, owner(ctx), n, parts)
	} else {
		up, err = a.tusCreateSingle(w, r, n, chunk)
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
func (a *api) tusCreateSingle(w http.ResponseWriter, r *http.Request, n files.NewUpload, chunk files.Chunk) (files.Upload, error) {
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
func tusCreation(r *http.Request, bad *fault.Bad) (n files.NewUpload, parts []files.UploadID) {
	h := r.Header
	n.File, n.Note = tusMetadata(h.Values("Upload-Metadata"), bad)
	concat := h.Get("Upload-Concat")
	final, isFinal := strings.CutPrefix(concat, "final;")
	switch {
	case isFinal:
		parts = tusParts(final, bad)
		_ = bad.Catch(files.CheckParts(parts)) // names a field, or nothing
		if h.Get("Upload-Length") != "" || h.Get("Upload-Defer-Length") != "" || r.ContentLength != 0 {
			bad.Refuse("Upload-Concat", "INVALID", "a final upload has the length and the bytes of its parts")
		}
	case concat == "partial":
		n.Part = true
	case concat != "":
		bad.Refuse("Upload-Concat", "INVALID", "must be partial, or final with the parts")
	}
	if !isFinal {
		n.File.Size = tusLength(h, bad)
	}
	n.File.NewName = newUploadName(r, bad)
	return n, parts
}

// tusLength reads the length, or that it comes later.
func tusLength(h http.Header, bad *fault.Bad) int64 {
	length, deferred := h.Values("Upload-Length"), h.Values("Upload-Defer-Length")
	switch {
	case len(length)+len(deferred) != 1:
		bad.Refuse("Upload-Length", "REQUIRED", "send Upload-Length, or Upload-Defer-Length: 1, once")
		return 0
	case len(deferred) == 1 && deferred[0] != "1":
		bad.Refuse("Upload-Defer-Length", "INVALID", "must be 1")
		return 0
	case len(deferred) == 1:
		return files.UnknownSize
	}
	n, ok := count(length)
	if !ok {
		bad.Refuse("Upload-Length", "INVALID", "must be a number of bytes")
	}
	return n
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
func tusMetadata(lines []string, bad *fault.Bad) (n files.NewFile, note string) {
	n.Name = unnamed
	note = strings.Join(lines, ",")
	if len(note) > maxMetadataField {
		bad.Refuse("Upload-Metadata", "TOO_LONG", "at most 8 KiB")
		return n, ""
	}
	pairs, err := field.ParseUploadMetadata(lines)
	if err != nil {
		bad.Refuse("Upload-Metadata", "INVALID", err.Error())
		return n, ""
	}
	n.Name = ""
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
	return n, note
}

// tusParts reads the addresses of a final upload. Whose they are and on which host does not matter: the ids do.
func tusParts(list string, bad *fault.Bad) []files.UploadID {
	parts := []files.UploadID{}
	for _, text := range strings.Fields(list) {
		path := ""
		if u, err := url.Parse(text); err == nil {
			path = u.Path
		}
		dir, id := path[:strings.LastIndexByte(path, '/')+1], path[strings.LastIndexByte(path, '/')+1:]
		if !strings.HasSuffix(dir, uploadsPath+"/") || id == "" {
			bad.Refuse("Upload-Concat", "INVALID", "the parts must be addresses of uploads")
		}
		parts = append(parts, files.UploadID(id))
	}
	return parts
}

// tusChunk reads what is said about the bytes of a request. Offset is the caller's to set.
func tusChunk(r *http.Request, bad *fault.Bad) (files.Chunk, error) {
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
		bad.Refuse("Upload-Checksum", "INVALID", "must be an algorithm and a checksum in base64, once")
		return c, nil
	}
	c.Check, c.Sum = tusHash(sum.Algorithm), sum.Sum
	if c.Check == nil {
		bad.Refuse("Upload-Checksum", "UNSUPPORTED", "sha1 and sha256 are checked here")
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
	var bad fault.Bad
	chunk, err := tusChunk(r, &bad)
	if err != nil {
		return refuseUnread(w, err)
	}
	var ok bool
	if chunk.Offset, ok = count(r.Header.Values("Upload-Offset")); !ok {
		bad.Refuse("Upload-Offset", "INVALID", "must be a number of bytes, once")
	}
	if lines := r.Header.Values("Upload-Length"); len(lines) > 0 {
		length, ok := count(lines)
		if !ok {
			bad.Refuse("Upload-Length", "INVALID", "must be a number of bytes, once")
		}
		chunk.Length = &length
	}
	if err := bad.Err(); err != nil {
		return refuseUnread(w, err)
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
