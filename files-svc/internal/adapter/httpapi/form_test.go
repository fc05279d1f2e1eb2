package httpapi

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/libs/fault"
)

const boundary = "b0undary"

// formText writes a form by hand: each part is its head's lines, a blank line and its bytes.
func formText(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}

func fieldPart(name, value string) string {
	return "Content-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value
}

func filePart(content string) string {
	return "Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n" + content
}

// readForm reads a form to its end, as an upload does, and returns the file's bytes.
func readForm(body string, content *field.Digest) (*formFile, string, error) {
	var bad fault.Bad
	f, err := openForm(strings.NewReader(body), boundary, content, &bad, "name", "metadata")
	if err := bad.Or(err); err != nil {
		return nil, "", err
	}
	got, err := io.ReadAll(f)
	return f, string(got), err
}

func TestForm_FieldsThenFile(t *testing.T) {
	f, got, err := readForm(formText(fieldPart("name", "Отчёт"), fieldPart("metadata", "{}"), filePart("hello")), nil)
	if err != nil || got != "hello" || f.name != "a.txt" || f.form.fields["name"] != "Отчёт" {
		t.Fatalf("got %q, %+v, %v", got, f, err)
	}
}

func TestForm_Refuses(t *testing.T) {
	many := make([]string, maxParts+1)
	for i := range many {
		many[i] = fieldPart("name", "x")
	}
	for says, body := range map[string]string{
		"nothing":                   "",
		"no boundary in it":         "hello",
		"another boundary":          strings.ReplaceAll(formText(filePart("x")), boundary, "other"),
		"a long preamble":           strings.Repeat("x", maxHeaderBytes) + "\r\n" + formText(filePart("x")),
		"no file":                   formText(fieldPart("name", "x")),
		"only the end":              "--" + boundary + "--\r\n",
		"two files":                 formText(filePart("x"), filePart("y")),
		"a field behind the file":   formText(filePart("x"), fieldPart("name", "x")),
		"an unknown field":          formText(fieldPart("owner", "x"), filePart("x")),
		"a field twice":             formText(fieldPart("name", "x"), fieldPart("name", "y"), filePart("x")),
		"too many parts":            formText(append(many, filePart("x"))...),
		"a field that is too long":  formText(fieldPart("name", strings.Repeat("x", maxFieldBytes+1)), filePart("x")),
		"a field that is not UTF-8": formText(fieldPart("name", "\xff"), filePart("x")),
		"a huge part head":          formText("X: "+strings.Repeat("x", maxHeaderBytes)+"\r\n"+filePart("x"), filePart("x")),
		"endless part heads":        "--" + boundary + "\r\n" + strings.Repeat("X: y\r\n", 100_000),
		"a part without a name":     formText("Content-Disposition: form-data\r\n\r\nx"),
		"no disposition":            formText("X: y\r\n\r\nx"),
		"an encoded part":           formText("Content-Transfer-Encoding: base64\r\n" + filePart("eA==")),
		"cut in the file":           formText(filePart("hello"))[:110],
		"cut before the end":        strings.TrimSuffix(formText(filePart("hello")), "--\r\n"),
		"cut in a head":             formText(filePart("hello"))[:30],
	} {
		_, _, err := readForm(body, nil)
		if !errors.Is(err, fault.Of(fault.Invalid)) {
			t.Errorf("%s: got %v", says, err)
		}
	}
	for _, b := range []string{"", strings.Repeat("b", maxBoundaryBytes+1)} {
		if _, err := openForm(strings.NewReader(""), b, nil, new(fault.Bad)); !errors.Is(err, fault.Of(fault.Invalid)) {
			t.Errorf("boundary %q: got %v", b, err)
		}
	}
}

func TestForm_TellsAllBadFieldsAtOnce(t *testing.T) {
	owner, role := fieldPart("owner", "x"), fieldPart("role", "admin")
	encoded := "Content-Transfer-Encoding: base64\r\n"
	long := strings.Repeat("x", maxFieldBytes+1)
	for says, c := range map[string]struct{ body, want string }{
		"before the file":            {formText(owner, role, owner, filePart("x")), "owner UNKNOWN, role UNKNOWN"},
		"without a file":             {formText(owner), "owner UNKNOWN, file REQUIRED"},
		"parts that are encoded":     {formText(encoded+fieldPart("name", "x"), owner, encoded+filePart("x")), "name INVALID, owner UNKNOWN, file INVALID"},
		"behind the file":            {formText(filePart("x"), owner, role, owner), "owner ORDER, role ORDER"},
		"and another file":           {formText(filePart("x"), role, filePart("y"), owner), "role ORDER, file DUPLICATE"},
		"a long one behind the file": {formText(filePart("x"), fieldPart("name", long), role), "name ORDER"},
		"up to one that is too long": {formText(owner, fieldPart("name", long), role, filePart("x")), "owner UNKNOWN, name TOO_LONG"},
		"up to one without a name":   {formText(owner, "X: y\r\n\r\nx", role), "owner UNKNOWN, Content-Disposition INVALID"},
		"up to where it breaks off":  {strings.TrimSuffix(formText(owner, role), "in\r\n--"+boundary+"--\r\n"), "owner UNKNOWN"},
	} {
		_, _, err := readForm(c.body, nil)
		var got []string
		for _, f := range fault.FieldsOf(err) {
			got = append(got, f.Field+" "+f.Code)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %v, want %s", says, got, c.want)
		}
	}
}

func TestForm_ContentDigestIsOfTheBodyOrOfTheFile(t *testing.T) {
	body := formText(filePart("hello")) + "epilogue"
	for says, d := range map[string][32]byte{"body": sha256.Sum256([]byte(body)), "file": sha256.Sum256([]byte("hello"))} {
		if _, got, err := readForm(body, (*field.Digest)(&d)); err != nil || got != "hello" {
			t.Errorf("digest of the %s: got %q, %v", says, got, err)
		}
	}
	other := field.Digest(sha256.Sum256([]byte("other")))
	if _, _, err := readForm(body, &other); !errors.Is(err, fault.Of(fault.DigestMismatch)) {
		t.Errorf("digest of neither: got %v", err)
	}
}

func TestForm_PassesOnWhyTheBodyFailed(t *testing.T) {
	body := formText(fieldPart("name", "x"), filePart(strings.Repeat("x", 100_000)))
	for _, at := range []int{10, 60, 200, 50_000, len(body) - 5} {
		src := io.MultiReader(strings.NewReader(body[:at]), iotest.ErrReader(errTooSlow))
		f, err := openForm(src, boundary, nil, new(fault.Bad), "name")
		if err == nil {
			_, err = io.Copy(io.Discard, f)
		}
		if !errors.Is(err, fault.Of(fault.Timeout)) {
			t.Errorf("failing after %d bytes: got %v", at, err)
		}
	}
}

// Whatever the bytes, also ones that look like boundaries, and however they arrive, they come out as they went in.
func TestForm_BytesComeThroughUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.SampledFrom([]byte("\r\n-b0x")), 0, 20_000).Draw(t, "content")
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		_ = w.SetBoundary(boundary)
		part, _ := w.CreateFormFile("file", "a.bin")
		_, _ = part.Write(content)
		_ = w.Close()
		if bytes.Contains(content, []byte("\r\n--"+boundary)) {
			t.Skip("a boundary in the content is the sender's fault")
		}
		src := io.Reader(&buf)
		if rapid.Bool().Draw(t, "one byte at a time") {
			src = iotest.OneByteReader(src)
		}
		f, err := openForm(src, boundary, nil, new(fault.Bad))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes came out as %d, %v", len(content), len(got), err)
		}
	})
}
