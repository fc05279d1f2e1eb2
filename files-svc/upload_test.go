package filessvc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
)

// names are what people really call their files.
var names = []string{
	"report.pdf", "résumé.txt", "Отчёт за год.docx", "报告.pdf", "تقرير.pdf", "דוח.txt", "रिपोर्ट.txt", "レポート.pdf",
	"보고서.hwp", "รายงาน.txt", "Ω≈ç√∫.bin", "🎉 party 🎈.png", `quo"te.txt`, "100%.txt", "semi;colon.txt", "com,ma.txt",
	"eq=ual.txt", "it's.txt", "trailing.", "CON", "aux.txt", ".hidden", "e\u0301.txt", "<script>alert(1)</script>.html",
	strings.Repeat("é", 120) + ".txt",
}

func TestUpload_EveryNameComesBack(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for _, name := range names {
		raw := p.upload(name, "text/plain", strings.NewReader("raw"))
		body, formType := formOf(t, name, "text/plain", []byte("form"))
		form := p.do(http.MethodPost, "/v1/files", body, "Content-Type", formType).file(t, http.StatusCreated)
		for _, f := range []file{raw, form} {
			if f.Name != norm.NFC.String(name) {
				t.Errorf("%q was stored as %q", name, f.Name)
			}
			value := p.get(f.content()).header.Get("Content-Disposition")
			_, params, err := mime.ParseMediaType(value)
			if err != nil || params["filename"] != f.Name {
				t.Errorf("%q goes out as %s", f.Name, value)
			}
		}
	}
}

func TestUpload_BadNamesAreRefused(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for says, disposition := range map[string]string{
		"none":             "",
		"no name in it":    "attachment",
		"empty":            `attachment; filename=""`,
		"dot":              `attachment; filename="."`,
		"dot dot":          `attachment; filename=".."`,
		"NUL":              "attachment; filename*=UTF-8''a%00b",
		"line break":       "attachment; filename*=UTF-8''a%0D%0ASet-Cookie:%20x",
		"C1 control":       "attachment; filename*=UTF-8''a%C2%85b",
		"not UTF-8":        "attachment; filename*=UTF-8''%FF%FE",
		"too long":         `attachment; filename="` + strings.Repeat("x", 256) + `"`,
		"broken syntax":    `attachment; filename="x`,
		"not a file":       `form-data; filename="x"`,
		"two names of one": `attachment; filename="x"; filename="y"`,
	} {
		headers := []string{"Content-Type", "text/plain"}
		if disposition != "" {
			headers = append(headers, "Content-Disposition", disposition)
		}
		p.do(http.MethodPost, "/v1/files", strings.NewReader("x"), headers...).refused(t, says, 400, "VALIDATION_ERROR")
	}
	a := p.do(http.MethodPost, "/v1/files", strings.NewReader("x"), "Content-Type", "text/plain")
	if !strings.Contains(string(a.body), "Content-Disposition: attachment; filename=") {
		t.Errorf("without a name: nobody learns how to give one: %s", a.body)
	}
	p.nothingKept("bad names")
}

// A name is never a path, whatever it looks like.
func TestUpload_PathsInNamesAreHarmless(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for _, name := range []string{"../../etc/passwd", "/etc/passwd", `..\..\x`, `C:\Users\x.txt`} {
		a := p.do(http.MethodPost, "/v1/files", strings.NewReader("x"),
			"Content-Type", "text/plain", "Content-Disposition", field.FormatDisposition("attachment", name))
		if a.status != http.StatusCreated && a.status != http.StatusBadRequest {
			t.Errorf("%q: got %d %s", name, a.status, a.body)
		}
		if a.status == http.StatusCreated {
			if got := p.get(a.file(t, 201).content()).header.Get("Content-Disposition"); strings.ContainsAny(strings.SplitN(got, ";", 3)[1], `/\`) {
				t.Errorf("%q goes out as %s", name, got)
			}
		}
	}
}

func TestUpload_FormFields(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	body, formType := formOf(t, "a.txt", "text/plain", []byte("x"),
		"name", "Отчёт.pdf", "metadata", `{"project":"annual"}`, "expires_at", "2099-01-02T03:04:05+02:00")
	f := p.do(http.MethodPost, "/v1/files", body, "Content-Type", formType).file(t, http.StatusCreated)
	if f.Name != "Отчёт.pdf" || f.Extension != "pdf" || f.Metadata["project"] != "annual" ||
		f.ExpiresAt == nil || !f.ExpiresAt.Equal(time.Date(2099, 1, 2, 1, 4, 5, 0, time.UTC)) {
		t.Errorf("got %+v", f)
	}
	for says, fields := range map[string][]string{
		"unknown field":           {"owner", "someone"},
		"metadata that is a list": {"metadata", "[]"},
		"metadata of numbers":     {"metadata", `{"a":1}`},
		"metadata twice in one":   {"metadata", `{"a":"1","a":"2"}`},
		"metadata of surrogates":  {"metadata", `{"a":"\ud800"}`},
		"no time":                 {"expires_at", "tomorrow"},
		"a time that has passed":  {"expires_at", "2001-01-01T00:00:00Z"},
		"an empty name":           {"name", ""},
	} {
		body, formType := formOf(t, "a.txt", "text/plain", []byte("x"), fields...)
		p.do(http.MethodPost, "/v1/files", body, "Content-Type", formType).refused(t, says, 400, "VALIDATION_ERROR")
	}
}

func TestUpload_Contents(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for says, content := range map[string][]byte{
		"nothing": {}, "one byte": {0}, "text": []byte("hello"), "a chunk": bytes.Repeat([]byte("x"), 256<<10),
		"a chunk and one": bytes.Repeat([]byte("y"), 256<<10+1), "3 MiB": bytes.Repeat([]byte("0123456789abcdef"), 3<<16),
	} {
		sum := sha256.Sum256(content)
		f := p.upload("a.bin", "application/x-thing", bytes.NewReader(content))
		if f.Size != int64(len(content)) || f.SHA256 != hex.EncodeToString(sum[:]) || f.Version != 1 {
			t.Errorf("%s: got %+v", says, f)
		}
		chunked := p.upload("b.bin", "application/x-thing", io.MultiReader(bytes.NewReader(content)))
		for _, f := range []file{f, chunked} {
			a := p.get(f.content())
			if a.err != nil || !bytes.Equal(a.body, content) || a.header.Get("Content-Type") != "application/x-thing" ||
				a.header.Get("Repr-Digest") != field.FormatDigest(sum) || a.header.Get("Etag") != f.ETag {
				t.Errorf("%s: got %d bytes, %v, %v", says, len(a.body), a.header, a.err)
			}
		}
	}
}

func TestUpload_Digests(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	right, wrong := field.FormatDigest(sha256.Sum256([]byte("hello"))), field.FormatDigest(sha256.Sum256([]byte("other")))
	name := []string{"Content-Type", "text/plain", "Content-Disposition", "attachment; filename=a.txt"}
	for says, c := range map[string]struct {
		headers []string
		status  int
		code    string
	}{
		"both right":           {[]string{"Content-Digest", right, "Repr-Digest", right}, 201, ""},
		"right beside sha-512": {[]string{"Content-Digest", "sha-512=:AAAA:, " + right}, 201, ""},
		"wrong content":        {[]string{"Content-Digest", wrong}, 400, "DIGEST_MISMATCH"},
		"wrong repr":           {[]string{"Repr-Digest", wrong}, 400, "DIGEST_MISMATCH"},
		"two that differ":      {[]string{"Repr-Digest", wrong, "Content-Digest", right}, 400, "DIGEST_MISMATCH"},
		"nonsense":             {[]string{"Repr-Digest", "hello"}, 400, "VALIDATION_ERROR"},
		"cut":                  {[]string{"Repr-Digest", "sha-256=:AAAA:"}, 400, "VALIDATION_ERROR"},
		"only another":         {[]string{"Content-Digest", "sha-512=:AAAA:"}, 400, "VALIDATION_ERROR"},
	} {
		q := w.person()
		a := q.do(http.MethodPost, "/v1/files", strings.NewReader("hello"), append(c.headers, name...)...)
		if c.status == 201 {
			a.file(t, 201)
			p.do(http.MethodDelete, "/v1/files/"+a.file(t, 201).ID+"?permanent=1", nil)
			continue
		}
		a.refused(t, says, c.status, c.code)
		if u := q.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":0,"files":0,`) {
			t.Errorf("%s: usage is %s", says, u.body)
		}
	}
}

func TestUpload_DigestsOfForms(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := []byte("hello")
	body, formType := formOf(t, "a.txt", "text/plain", content)
	ofFile, ofBody := field.FormatDigest(sha256.Sum256(content)), field.FormatDigest(sha256.Sum256(body.Bytes()))
	wrong := field.FormatDigest(field.Digest{})
	for says, c := range map[string]struct {
		header, value string
		ok            bool
	}{
		"repr of the file":    {"Repr-Digest", ofFile, true},
		"content of the file": {"Content-Digest", ofFile, true},
		"content of the body": {"Content-Digest", ofBody, true},
		"repr of the body":    {"Repr-Digest", ofBody, false},
		"wrong repr":          {"Repr-Digest", wrong, false},
		"wrong content":       {"Content-Digest", wrong, false},
	} {
		a := p.do(http.MethodPost, "/v1/files", bytes.NewReader(body.Bytes()), "Content-Type", formType, c.header, c.value)
		if c.ok {
			a.file(t, 201)
		} else {
			a.refused(t, says, 400, "DIGEST_MISMATCH")
		}
	}
	for value, status := range map[string]int{ofFile: 201, wrong: 400} {
		text := strings.Replace(body.String(), "Content-Type: text/plain", "Content-Type: text/plain\r\nRepr-Digest: "+value, 1)
		if a := p.do(http.MethodPost, "/v1/files", strings.NewReader(text), "Content-Type", formType); a.status != status {
			t.Errorf("digest %s in the part's head: got %d %s", value, a.status, a.body)
		}
	}
}

func TestUpload_ContentEncodingIsKeptAsItCame(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	bomb := append([]byte{0x1f, 0x8b, 8, 0}, bytes.Repeat([]byte{0}, 1000)...)
	f := p.upload("a.gz", "text/plain", bytes.NewReader(bomb), "Content-Encoding", "gzip")
	a := p.get(f.content())
	if f.Size != int64(len(bomb)) || !bytes.Equal(a.body, bomb) || a.header.Get("Content-Encoding") != "" {
		t.Errorf("got %+v, %d bytes, %v", f, len(a.body), a.header)
	}
}

func TestUpload_NewNamesOnly(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	put := func(name, condition string) answer {
		return p.do(http.MethodPost, "/v1/files", strings.NewReader("x"), "If-None-Match", condition,
			"Content-Disposition", field.FormatDisposition("attachment", name))
	}
	put("a.txt", "*").file(t, 201)
	put("a.txt", "*").refused(t, "a second of the name", 412, "PRECONDITION_FAILED")
	put("e\u0301", "*").file(t, 201)
	put("\u00e9", "*").refused(t, "the same name in another normal form", 412, "PRECONDITION_FAILED")
	put("b.txt", `"x"`).refused(t, "an entity tag", 400, "VALIDATION_ERROR")
	q := w.person()
	if a := q.do(http.MethodPost, "/v1/files", strings.NewReader("x"), "If-None-Match", "*", "Content-Disposition", "attachment; filename=a.txt"); a.status != 201 {
		t.Errorf("another's name: got %d %s", a.status, a.body)
	}
}

func TestUpload_LimitsOfThePolicy(t *testing.T) {
	w := newWorld(t, strings.Replace(policyYAML, "spec: {quota: 1Gi, maxObjectBytes: 512Mi}",
		`spec: {quota: 3Ki, maxObjectBytes: 2Ki, contentTypes: ["text/*", "image/png"]}`, 1))
	p := w.person()
	send := func(contentType string, n int, chunked bool) answer {
		var body io.Reader = bytes.NewReader(make([]byte, n))
		if chunked {
			body = io.MultiReader(body)
		}
		return p.do(http.MethodPost, "/v1/files", body, "Content-Type", contentType, "Content-Disposition", "attachment; filename=a")
	}
	send("application/pdf", 1, false).refused(t, "another type", 415, "UNSUPPORTED_MEDIA_TYPE")
	send("text/plain", 2049, false).refused(t, "declared too large", 413, "PAYLOAD_TOO_LARGE")
	send("text/plain", 2049, true).refused(t, "too large, chunked", 413, "PAYLOAD_TOO_LARGE")
	body, formType := formOf(t, "a", "text/plain", make([]byte, 2049))
	p.do(http.MethodPost, "/v1/files", body, "Content-Type", formType).refused(t, "too large, in a form", 413, "PAYLOAD_TOO_LARGE")
	p.nothingKept("limits")
	send("text/plain; charset=utf-8", 2048, true).file(t, 201)
	send("image/png", 2048, false).refused(t, "over the quota", 413, "QUOTA_EXCEEDED")
	send("image/png", 2048, true).refused(t, "over the quota, chunked", 413, "QUOTA_EXCEEDED")
	send("image/png", 1024, false).file(t, 201)
	for result, want := range map[string]float64{"ok": 2, "quota": 2, "too_large": 3} {
		if got := w.metric("cloakroom_files_uploads_total", "result", result); got != want {
			t.Errorf("%v uploads counted as %s, want %v", got, result, want)
		}
	}
	var u struct{ Bytes, Files, Quota_bytes int64 }
	if err := json.Unmarshal(p.get("/v1/files/usage").body, &u); err != nil || fmt.Sprint(u) != "{3072 2 3072}" {
		t.Errorf("usage is %+v, %v", u, err)
	}
}

func TestUpload_UnknownQueryAndHeadersTwice(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	body := func() io.Reader { return strings.NewReader("x") }
	p.do(http.MethodPost, "/v1/files?owner=x", body(), "Content-Disposition", "attachment; filename=a").refused(t, "query", 400, "VALIDATION_ERROR")
	p.do(http.MethodPost, "/v1/files", body(), "Content-Disposition", "attachment; filename=a",
		"Content-Disposition", "attachment; filename=b").refused(t, "two names", 400, "VALIDATION_ERROR")
	p.do(http.MethodPost, "/v1/files", body(), "Content-Disposition", "attachment; filename=a",
		"Content-Type", "text/plain", "Content-Type", "text/html").refused(t, "two types", 400, "VALIDATION_ERROR")
	p.do(http.MethodPost, "/v1/files", body(), "Content-Disposition", "attachment; filename=a",
		"Content-Type", "nonsense").refused(t, "no type", 400, "VALIDATION_ERROR")
}
