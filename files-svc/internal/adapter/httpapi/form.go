package httpapi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"unicode/utf8"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/libs/fault"
)

// Limits of a form. Browsers write boundaries of 40 bytes, part headers of 200, and no form of ours has ten fields.
const (
	maxBoundaryBytes = 70 // RFC 2046
	maxHeaderBytes   = 16 << 10
	maxFieldBytes    = 128 << 10
	maxParts         = 16
	maxEpilogueBytes = 64 << 10
	fileField        = "file"
)

// form reads a multipart body as a stream: fields first, then the file, then nothing. Nothing is kept but the fields.
type form struct {
	parts  *multipart.Reader
	body   *meter
	fields map[string]string
	whole  hash.Hash // of all the body, when a digest of that was announced; else nil
}

// openForm reads the fields and stops at the file. Names in allowed are taken, every other field is refused; what is wrong with
// the fields, or that there is no file, goes into bad. The error is for a form that can't be read on. content is the announced
// digest of the content, or nil.
func openForm(body io.Reader, boundary string, content *field.Digest, bad *fault.Bad, allowed ...string) (*formFile, error) {
	if boundary == "" || len(boundary) > maxBoundaryBytes {
		return nil, badForm("Content-Type", "INVALID", "multipart/form-data needs a boundary of at most 70 characters")
	}
	f := &form{fields: map[string]string{}}
	if content != nil {
		f.whole = sha256.New()
		body = io.TeeReader(body, f.whole)
	}
	f.body = &meter{src: body}
	f.parts = multipart.NewReader(f.body, boundary)
	for range maxParts {
		part, d, err := f.next()
		switch {
		case errors.Is(err, io.EOF):
			bad.Refuse(fileField, "REQUIRED", "the form has no part named file")
			return newFormFile(f, &multipart.Part{}, unnamed, content), nil // so that the fields are judged all the same
		case err != nil:
			return nil, err
		}
		plainPart(part, d.Field, bad)
		if d.Field == fileField {
			return newFormFile(f, part, d.Filename, content), nil
		}
		if err := f.take(part, d.Field, bad, allowed); err != nil {
			return nil, err
		}
	}
	return nil, badForm(fileField, "TOO_MANY", fmt.Sprintf("the form has more than %d parts before the file", maxParts))
}

// next goes to the next part. It returns io.EOF itself behind the last.
func (f *form) next() (*multipart.Part, field.Disposition, error) {
	f.body.allow(maxHeaderBytes)
	part, err := f.parts.NextRawPart()
	f.body.allow(-1)
	switch {
	case err == io.EOF: //nolint:errorlint // wrapped, it means that the form broke off
		return nil, field.Disposition{}, io.EOF
	case err != nil:
		return nil, field.Disposition{}, formError(err)
	}
	d, err := field.ParseFormDisposition(part.Header.Get("Content-Disposition"))
	if err != nil {
		return nil, d, badForm("Content-Disposition", "INVALID", "a part of the form has no valid Content-Disposition")
	}
	return part, d, nil
}

// plainPart refuses a part whose bytes are not the ones it stands for.
func plainPart(part *multipart.Part, name string, bad *fault.Bad) {
	if cte := part.Header.Get("Content-Transfer-Encoding"); cte != "" && !strings.EqualFold(cte, "binary") &&
		!strings.EqualFold(cte, "8bit") && !strings.EqualFold(cte, "7bit") {
		bad.Refuse(name, "INVALID", "send parts without Content-Transfer-Encoding")
	}
}

// take keeps the value of a field that is known. The error is for a form that can't be read on, and for a field that is too
// long: how much more of it comes, nobody knows.
func (f *form) take(part *multipart.Part, name string, bad *fault.Bad, allowed []string) error {
	value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err != nil {
		return formError(err)
	}
	if len(value) > maxFieldBytes {
		return badForm(name, "TOO_LONG", fmt.Sprintf("a field may have at most %d bytes", maxFieldBytes))
	}
	_, twice := f.fields[name]
	switch {
	case !slices.Contains(allowed, name):
		bad.Refuse(name, "UNKNOWN", "this field is not known here")
		return nil
	case twice:
		bad.Refuse(name, "DUPLICATE", "give it once")
		return nil
	case !utf8.Valid(value):
		bad.Refuse(name, "INVALID", "must be UTF-8")
		value = nil
	}
	f.fields[name] = string(value)
	return nil
}

// formFile is the file of a form. Its end is only told when the form has ended well behind it, so that whoever reads it
// to the end may rely on the whole form, and never keeps a file out of a form that is refused.
type formFile struct {
	form *form
	part *multipart.Part
	name string
	sum  hash.Hash     // of the file, only when a digest of the content was announced
	want *field.Digest // of the whole body or, as many clients mean it, of the file
}

func newFormFile(f *form, part *multipart.Part, name string, content *field.Digest) *formFile {
	file := &formFile{form: f, part: part, name: name, want: content}
	if content != nil {
		file.sum = sha256.New()
	}
	return file
}

func (f *formFile) Read(p []byte) (int, error) {
	n, err := f.part.Read(p)
	if f.sum != nil {
		f.sum.Write(p[:n])
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, f.end()
	default:
		return n, formError(err)
	}
}

// end returns io.EOF when nothing but the end of the form follows. Fields that do are all named, up to another file.
func (f *formFile) end() error {
	var bad fault.Bad
	for range maxParts {
		part, d, err := f.form.next()
		switch {
		case errors.Is(err, io.EOF) && len(bad) == 0:
			return f.check()
		case errors.Is(err, io.EOF):
			return bad.Err()
		case err != nil:
			return bad.Or(err)
		case d.Field == fileField:
			bad.Refuse(fileField, "DUPLICATE", "send one file at a time")
			return bad.Err()
		}
		bad.Refuse(d.Field, "ORDER", "fields come before the file")
		if n, err := io.Copy(io.Discard, io.LimitReader(part, maxFieldBytes+1)); err != nil || n > maxFieldBytes {
			return bad.Err()
		}
	}
	return bad.Err()
}

// check reads what comes behind the form, and returns io.EOF when the digest that was announced is right, or none was.
func (f *formFile) check() error {
	if f.want == nil {
		return io.EOF
	}
	f.form.body.allow(maxEpilogueBytes)
	if _, err := io.Copy(io.Discard, f.form.body); err != nil {
		return formError(err)
	}
	if field.Digest(f.form.whole.Sum(nil)) != *f.want && field.Digest(f.sum.Sum(nil)) != *f.want {
		return errDigest
	}
	return io.EOF
}

var errDigest = fault.New(fault.DigestMismatch, "the bytes that came are not the ones the digest announced")

// formError tells faults of the body (too slow, too large, cut) from a form that is no form.
func formError(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	if errors.Is(err, errMeter) {
		return badForm(fileField, "INVALID", "the form has no such boundary, or the head of a part is too large")
	}
	// The cause as text: it may be an io.EOF, and must not pass for the end of the file.
	return fault.Wrap(fault.Invalid, "the form is damaged or ended before it was whole", errors.New(err.Error()))
}

func badForm(name, code, detail string) error {
	return fault.Validation(fault.Field{Field: name, Code: code, Detail: detail})
}

var errMeter = errors.New("more bytes than this part of a form may have")

// meter lets a bounded number of bytes through while the form's reader looks for something, for that one has no
// bounds of its own worth the name.
type meter struct {
	src   io.Reader
	left  int64
	bound bool
}

// allow sets how many bytes may pass from here; a negative number lets all pass.
func (m *meter) allow(n int64) { m.left, m.bound = n, n >= 0 }

func (m *meter) Read(p []byte) (int, error) {
	if !m.bound {
		return m.src.Read(p)
	}
	if m.left <= 0 {
		return 0, errMeter
	}
	if int64(len(p)) > m.left {
		p = p[:m.left]
	}
	n, err := m.src.Read(p)
	m.left -= int64(n)
	return n, err
}
