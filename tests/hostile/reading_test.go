package hostile

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// What readers ask for: names in every script, ranges at every edge, conditions of every form.

// A name that goes in by Content-Disposition comes out by it letter for letter, and what came out can go in again.
func TestNames_EveryScriptComesBackThroughTheHeader(t *testing.T) {
	ada := gateway(t).SignUp()
	for _, name := range []string{
		"résumé.txt", "Отчёт за год.docx", "报告（最终）.pdf", "תקציר.pdf", "تقرير.pdf", "रिपोर्ट.odt", "レポート.txt", "한글 문서.hwp", "รายงาน.txt",
		"ქართული.txt", "Ελληνικά.txt", "አማርኛ.txt", "தமிழ்.txt", "ខ្មែរ.txt", "👩‍👩‍👧 🎟.png", "𝔘𝔫𝔦.txt", "a%22b.txt", "100%.txt", "it's \"quoted\"; a,b=c.txt",
		`back\slash.txt`, "a/b.txt", " spaced .txt", "trailing.", ".hidden", "\u202egpj.exe", "\u200b.txt", "\ufeffa.txt", strings.Repeat("é", 127),
	} {
		f := ada.Upload(name, []byte("x")).Is(201).File()
		if f.Name != name {
			t.Errorf("%q became %q", name, f.Name)
			continue
		}
		out := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200).Header.Get("Content-Disposition")
		_, params, err := mime.ParseMediaType(out)
		if err != nil || params["filename"] != name || strings.ContainsFunc(out, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is sent as %q, %v", name, out, err)
		}
		again := ada.Do("POST", "/v1/files", strings.NewReader("y"), harness.Header("Content-Disposition", out)).Is(201).File()
		if again.Name != name {
			t.Errorf("%q went in again as %q", name, again.Name)
		}
		if strings.Contains(name, "%22") { // in a form that is how a quote is written, and nobody can tell the two apart
			continue
		}
		if form := ada.UploadForm(name, []byte("z")).Is(201).File(); form.Name != name {
			t.Errorf("%q went in by a form as %q", name, form.Name)
		}
	}
}

// Names that look the same because one is written in parts are one name, in whatever script.
func TestNames_TwinsAreOneInEveryScript(t *testing.T) {
	ada := gateway(t).SignUp()
	for composed, apart := range map[string]string{
		"é.txt": "e\u0301.txt", "Å.txt": "\u212b.txt", "각.txt": "\u1100\u1161\u11a8.txt", "が.txt": "\u304b\u3099.txt", "й.txt": "\u0438\u0306.txt", "ộ.txt": "o\u0302\u0323.txt",
	} {
		ada.Upload(composed, []byte("x"), harness.Header("If-None-Match", "*")).Is(201)
		ada.Upload(apart, []byte("x"), harness.Header("If-None-Match", "*")).Refused(412, "PRECONDITION_FAILED")
		if f := ada.Upload(apart, []byte("x")).Is(201).File(); f.Name != composed {
			t.Errorf("%q became %q", apart, f.Name)
		}
	}
	// 85 of three bytes in parts are 255 in one piece: the limit is of the name that is kept
	ada.Upload(strings.Repeat("\u1100\u1161\u11a8", 85), []byte("x")).Is(201)
	ada.Upload(strings.Repeat("\u1100\u1161\u11a8", 86), []byte("x")).Refused(400, "VALIDATION_ERROR")
}

// HEAD tells what GET would, headers and status, under every condition.
func TestContent_HeadTellsWhatGetWould(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	f := ada.Upload("naïve.txt", []byte("0123456789")).Is(201).File()
	l := newLink(ada, f, nil)
	png := ada.Upload("p.png", []byte("\x89PNG\r\n\x1a\n"+strings.Repeat("\x00", 64)), harness.Header("Content-Type", "image/png")).Is(201).File()
	empty := ada.Upload("empty", nil).Is(201).File()
	for _, path := range []string{
		"/v1/files/" + f.ID + "/content", "/v1/files/" + f.ID + "/content?inline=1", "/v1/files/" + png.ID + "/content?inline=1", "/v1/files/" + empty.ID + "/content",
		"/v1/files/" + f.ID + "/versions/1/content", "/v1/files/" + f.ID + "/versions/9/content", l.URL, "/v1/files/" + f.ID + "/content?inline=x",
	} {
		for _, opts := range [][]harness.Option{
			nil, {harness.Header("If-None-Match", f.ETag)}, {harness.Header("If-None-Match", "*")}, {harness.Header("If-Match", `"x"`)},
			{harness.Header("If-Modified-Since", "Mon, 01 Jan 2035 00:00:00 GMT")}, {harness.Header("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT")},
			{harness.Header("Accept-Encoding", "gzip")}, {harness.Header("Authorization", "Bearer x")},
		} {
			get, head := ada.Do("GET", path, nil, opts...), ada.Do("HEAD", path, nil, opts...)
			if get.Status != head.Status || len(head.Body) != 0 {
				t.Errorf("%s: GET answers %d, HEAD %d with %d bytes", path, get.Status, head.Status, len(head.Body))
			}
			for name := range get.Header {
				if slices.Contains([]string{"Date", "X-Request-Id", "Ratelimit", "Traceparent"}, name) || get.Status >= 400 && name == "Content-Length" {
					continue
				}
				if got, want := head.Header.Values(name), get.Header.Values(name); !slices.Equal(got, want) {
					t.Errorf("%s %d: GET has %s %q, HEAD %q", path, get.Status, name, want, got)
				}
			}
		}
	}
}

func TestContent_ConditionsOfEveryForm(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("a", []byte("0123456789")).Is(201).File()
	path := "/v1/files/" + f.ID + "/content"
	for _, tc := range []struct {
		header, value string
		status        int
	}{
		{"If-None-Match", f.ETag, 304}, {"If-None-Match", "W/" + f.ETag, 304}, {"If-None-Match", `"a", ` + f.ETag + `, "b"`, 304},
		{"If-None-Match", `"a","b"`, 200}, {"If-None-Match", `W/"a" , W/` + f.ETag, 304}, {"If-None-Match", "*", 304},
		{"If-None-Match", strings.Trim(f.ETag, `"`), 200}, {"If-None-Match", `"a, ` + strings.Trim(f.ETag, `"`) + `"`, 200},
		{"If-None-Match", strings.Repeat(`"x", `, 2000) + f.ETag, 0}, {"If-None-Match", `"unclosed`, 200}, {"If-None-Match", ",,, " + f.ETag, 0},
		{"If-Match", f.ETag, 200}, {"If-Match", "W/" + f.ETag, 412}, {"If-Match", `"a", ` + f.ETag, 200}, {"If-Match", `"a"`, 412}, {"If-Match", "*", 200},
		{"If-Match", strings.Trim(f.ETag, `"`), 412}, {"If-Match", "", 200},
		{"If-Modified-Since", "yesterday", 200}, {"If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 200}, {"If-Unmodified-Since", "2001", 200},
	} {
		a := ada.Do("GET", path, nil, harness.Header(tc.header, tc.value))
		if a.Status != tc.status && (tc.status != 0 || a.Status != 200 && a.Status != 304) {
			t.Errorf("%s: %.60s: answered %d, want %d", tc.header, tc.value, a.Status, tc.status)
		}
		if a.Status == 304 && (len(a.Body) != 0 || a.Header.Get("Etag") != f.ETag || a.Header.Get("Content-Length") != "" && a.Header.Get("Content-Length") != "10") {
			t.Errorf("304 with %d bytes and %v", len(a.Body), a.Header)
		}
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE"} { // what changes must not be reached by a weak tag
		body, kind := raw(`{"name": "b"}`, "application/json")
		target := path
		if method != "PUT" {
			target = "/v1/files/" + f.ID
		}
		ada.Do(method, target, body, kind, harness.Header("If-Match", "W/"+f.ETag)).Refused(412, "PRECONDITION_FAILED")
		body, kind = raw(`{"name": "b"}`, "application/json")
		ada.Do(method, target, body, kind, harness.Header("If-Match", `"other"`)).Refused(412, "PRECONDITION_FAILED")
	}
}

// Every piece of several is the bytes that its own header says, and the length announced is the length sent.
func TestRanges_SeveralAreWhatTheySay(t *testing.T) {
	ada := gateway(t).SignUp()
	content := make([]byte, 100_000)
	for i := range content {
		content[i] = byte(i * 7 / 13)
	}
	f := ada.Upload("r", content).Is(201).File()
	for _, rng := range []string{
		"bytes=0-0,-1", "bytes=0-9,1000-1009,99990-", "bytes=50000-50009,0-9", "bytes=0-9,5-14,1000-", "bytes=0-0, 2-2, 4-4", "bytes=,0-9,,1000-1009,",
		"bytes=0-9,200000-", "bytes=99999-,99999-99999", "bytes=-100000,5-6", "bytes=-99999999999999999999", "BYTES=1-2", "bytes =1-2", "bytes=1-2;x", "bytes=1 - 2",
		"bytes=0-99999", "bytes=0-,0-,0-", "bytes=" + strings.Repeat("0-0,500-500,", 8) + "9-9",
	} {
		a := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil, harness.Header("Range", rng))
		if a.Status >= 500 || a.Header.Get("Content-Length") != strconv.Itoa(len(a.Body)) {
			t.Errorf("%s: %d, %s bytes announced, %d sent", rng, a.Status, a.Header.Get("Content-Length"), len(a.Body))
		}
		if len(a.Body) > 3*len(content) {
			t.Errorf("%s: %d bytes of a file of %d", rng, len(a.Body), len(content))
		}
		switch kind, params, _ := mime.ParseMediaType(a.Header.Get("Content-Type")); {
		case a.Status == 200 && !bytes.Equal(a.Body, content):
			t.Errorf("%s: 200 with other bytes", rng)
		case a.Status == 206 && kind == "multipart/byteranges":
			parts := multipart.NewReader(bytes.NewReader(a.Body), params["boundary"])
			for {
				p, err := parts.NextPart()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", rng, err)
				}
				got, _ := io.ReadAll(p)
				isPiece(t, rng, p.Header.Get("Content-Range"), got, content)
			}
		case a.Status == 206:
			isPiece(t, rng, a.Header.Get("Content-Range"), a.Body, content)
		}
	}
}

func isPiece(t *testing.T, asked, says string, got, content []byte) {
	t.Helper()
	var first, last, size int
	if _, err := fmt.Sscanf(says, "bytes %d-%d/%d", &first, &last, &size); err != nil || size != len(content) || last >= size || first > last {
		t.Errorf("%s: Content-Range %q", asked, says)
		return
	}
	if !bytes.Equal(got, content[first:last+1]) {
		t.Errorf("%s: %s are other bytes", asked, says)
	}
}

// A compressed answer of another length would break every Range after it.
func TestContent_IsNeverCompressedOnTheWay(t *testing.T) {
	ada := gateway(t).SignUp()
	content := bytes.Repeat([]byte("compressible "), 10_000)
	f := ada.Upload("a.txt", content, harness.Header("Content-Type", "text/plain")).Is(201).File()
	a := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil, harness.Header("Accept-Encoding", "gzip, br, zstd")).Is(http.StatusOK)
	if a.Header.Get("Content-Encoding") != "" || !bytes.Equal(a.Body, content) || strings.HasPrefix(a.Header.Get("Etag"), "W/") {
		t.Errorf("came as %v", a.Header)
	}
}
