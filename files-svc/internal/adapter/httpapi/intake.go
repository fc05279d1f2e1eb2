package httpapi

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// intake is the content of a request on its way in, with what the request says about it.
type intake struct {
	name        string
	contentType string
	size        int64 // as declared, or files.UnknownSize
	digest      *files.Digest
	fields      map[string]string // of a form, as they came
	content     io.Reader
}

// formOverhead is what a form of ours can have besides the file, so that a length that is too large even then is refused
// before a byte is read.
const formOverhead = maxParts*(maxFieldBytes+maxHeaderBytes) + maxEpilogueBytes

// receive reads a request up to its content: nothing of a raw body, the fields of a form. What is wrong with them goes into bad;
// the error is for what ends the reading.
func (a *api) receive(r *http.Request, body *pacedBody, bad *fault.Bad, formFields ...string) (intake, error) {
	policy, err := a.policy()
	if err != nil {
		return intake{}, err
	}
	contentType := r.Header.Get("Content-Type")
	mediaType, params, _ := mime.ParseMediaType(contentType) // one that can't be read is refused by the core, as a content type
	isForm := mediaType == "multipart/form-data" || strings.HasPrefix(strings.ToLower(contentType), "multipart/form-data")
	if isForm && policy.MaxObjectBytes > 0 && r.ContentLength-formOverhead > policy.MaxObjectBytes {
		return intake{}, fault.New(fault.TooLarge, "the file is larger than one file may be")
	}
	content, repr := digests(r.Header, bad)
	if len(r.Header.Values("Content-Type")) > 1 {
		bad.Refuse("Content-Type", "DUPLICATE", "give it once")
	}
	if r.Header.Get("Content-Range") != "" { // RFC 9110, 14.5: a part must not pass for the whole
		bad.Refuse("Content-Range", "UNKNOWN", "send the whole content")
	}
	if !isForm {
		return rawIntake(r, body, content, repr, bad)
	}
	file, err := openForm(body, params["boundary"], content, bad, formFields...)
	if err != nil {
		return intake{}, err
	}
	return formIntake(file, repr, bad)
}

// rawIntake is a body that is the content itself.
func rawIntake(r *http.Request, body *pacedBody, content, repr *field.Digest, bad *fault.Bad) (in intake, err error) {
	in = intake{contentType: r.Header.Get("Content-Type"), size: r.ContentLength, content: body}
	if lines := r.Header.Values("Content-Disposition"); len(lines) > 0 {
		d, err := field.ParseDisposition(lines[0])
		if err != nil || len(lines) > 1 || d.Kind != "attachment" {
			bad.Refuse("Content-Disposition", "INVALID", "must be one attachment with a filename in RFC 6266's form")
			d.Filename = unnamed // has been told of
		}
		in.name = d.Filename
	}
	if in.size < 0 {
		in.size = files.UnknownSize
	}
	in.digest, err = oneDigest(content, repr)
	return in, err
}

// formIntake is the file of a form, whose part may bring digests of its own.
func formIntake(file *formFile, repr *field.Digest, bad *fault.Bad) (intake, error) {
	partContent, partRepr := digests(http.Header(file.part.Header), bad)
	digest, err := oneDigest(repr, partContent, partRepr)
	return intake{
		name: file.name, contentType: file.part.Header.Get("Content-Type"), size: files.UnknownSize,
		digest: digest, fields: file.form.fields, content: file,
	}, err
}

// digests reads both digest fields.
func digests(h http.Header, bad *fault.Bad) (content, repr *field.Digest) {
	read := func(name string) *field.Digest {
		d, err := field.ParseDigest(h.Values(name))
		if err != nil {
			bad.Refuse(name, "INVALID", err.Error())
		}
		return d
	}
	return read("Content-Digest"), read("Repr-Digest")
}

// oneDigest is what all the given digests agree on. Bytes can't have two.
func oneDigest(given ...*field.Digest) (*files.Digest, error) {
	given = slices.DeleteFunc(given, func(d *field.Digest) bool { return d == nil })
	if len(given) == 0 {
		return nil, nil
	}
	for _, d := range given[1:] {
		if *d != *given[0] {
			return nil, fault.New(fault.DigestMismatch, "the request announces two digests that differ")
		}
	}
	return (*files.Digest)(given[0]), nil
}
