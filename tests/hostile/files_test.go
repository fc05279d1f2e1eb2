package hostile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func files(t *testing.T, c *harness.Client) (all []harness.File) {
	t.Helper()
	var page struct{ Items []harness.File }
	c.Do("GET", "/v1/files?limit=100", nil).Is(200).JSON(&page)
	return page.Items
}

func TestFileNames(t *testing.T) {
	ada := gateway(t).SignUp()
	for name, want := range map[string]string{
		"../../etc/passwd":          "kept or refused",
		"/etc/passwd":               "kept or refused",
		`C:\Windows\system.ini`:     "kept or refused",
		"CON":                       "kept",
		"aux.txt":                   "kept",
		"trailing dot.":             "kept",
		"<script>alert(1)</script>": "kept",
		"Ünïcödé 文件 ملف קובץ 🎟.txt": "kept",
		"quote\"semi;comma,.txt":    "kept",
		"per%20cent%2F.txt":         "kept",
		strings.Repeat("x", 255):    "kept",
		strings.Repeat("x", 256):    "refused",
		strings.Repeat("文", 86):     "refused", // 258 bytes
		"nul\x00byte":               "refused",
		"line\nbreak":               "refused",
		"carriage\rreturn":          "refused",
		"bell\x07":                  "refused",
		"c1\u0085control":           "refused",
		".":                         "refused",
		"..":                        "refused",
		"broken\xffutf8":            "refused",
	} {
		t.Run(fmt.Sprintf("%.30q", name), func(t *testing.T) {
			a := ada.Upload(name, []byte("x"))
			switch {
			case a.Status == 201 && want != "refused":
				f := a.File()
				if f.Name != name {
					t.Errorf("became %q", f.Name)
				}
				cd := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200).Header.Get("Content-Disposition")
				star := cd[strings.LastIndex(cd, "''")+2:]
				if back, err := url.PathUnescape(star); err != nil || back != name && !strings.ContainsAny(name, `/\`) {
					t.Errorf("would be saved as %q by %q", back, cd)
				}
				if strings.ContainsAny(cd, "\r\n") || !strings.HasPrefix(cd, "attachment") {
					t.Errorf("Content-Disposition is %q", cd)
				}
			case a.Status == 400 && want != "kept":
				a.Refused(400, "VALIDATION_ERROR")
			default:
				t.Errorf("answered %d %s, want it %s", a.Status, a.Body, want)
			}
		})
	}
	t.Run("two ways to write one name are one", func(t *testing.T) {
		ada.Upload("e\u0301clair.txt", []byte("x")).Is(201)
		ada.Upload("éclair.txt", []byte("y"), harness.Header("If-None-Match", "*")).Refused(412, "PRECONDITION_FAILED")
	})
}

func form(parts ...string) (io.Reader, harness.Option) {
	return strings.NewReader(strings.Join(parts, "\r\n")), harness.Header("Content-Type", "multipart/form-data; boundary=B")
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestUploadBodies(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	file := `Content-Disposition: form-data; name="file"; filename="a.txt"`
	for name, tc := range map[string]struct {
		parts  []string
		status int
	}{
		"no file":               {[]string{"--B", `Content-Disposition: form-data; name="other"`, "", "x", "--B--", ""}, 400},
		"two files":             {[]string{"--B", file, "", "x", "--B", file, "", "y", "--B--", ""}, 400},
		"never closed":          {[]string{"--B", file, "", "x"}, 400},
		"another boundary":      {[]string{"--C", file, "", "x", "--C--", ""}, 400},
		"nothing":               {[]string{""}, 400},
		"a field behind":        {[]string{"--B", file, "", "x", "--B", `Content-Disposition: form-data; name="name"`, "", "late", "--B--", ""}, 400},
		"a file without a name": {[]string{"--B", `Content-Disposition: form-data; name="file"`, "", "x", "--B--", ""}, 400},
	} {
		t.Run("form: "+name, func(t *testing.T) {
			body, ct := form(tc.parts...)
			ada.Do("POST", "/v1/files", body, ct).Refused(tc.status, "VALIDATION_ERROR")
		})
	}
	t.Run("form without a boundary", func(t *testing.T) {
		ada.Do("POST", "/v1/files", strings.NewReader("x"), harness.Header("Content-Type", "multipart/form-data")).Refused(400, "VALIDATION_ERROR")
	})
	for name, header := range map[string]string{"Content-Digest": digest("other"), "Repr-Digest": digest("other")} {
		t.Run(name+" of other bytes", func(t *testing.T) {
			ada.Upload("digest.txt", []byte("these"), harness.Header(name, header)).Refused(400, "DIGEST_MISMATCH")
		})
	}
	t.Run("a digest that is none", func(t *testing.T) {
		ada.Upload("digest.txt", []byte("x"), harness.Header("Content-Digest", "sha-256=:AAAA:")).Refused(400, "VALIDATION_ERROR")
	})
	t.Run("no name", func(t *testing.T) {
		ada.Do("POST", "/v1/files", strings.NewReader("x"), harness.Header("Content-Type", "text/plain")).Refused(400, "VALIDATION_ERROR")
	})
	t.Run("a length that is never sent", func(t *testing.T) {
		answers := exchange(t, ada, "POST /v1/files HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer "+ada.Session.AccessToken+
			"\r\nContent-Disposition: attachment; filename=a\r\nContent-Length: 100\r\n\r\nshort")
		for _, a := range answers {
			if a.StatusCode < 400 {
				t.Errorf("answered %d", a.StatusCode)
			}
		}
	})
	t.Run("a body nobody is let in with is not read", func(t *testing.T) {
		answers := exchange(t, c, "POST /v1/files HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n")
		if len(answers) != 1 || answers[0].StatusCode != 401 {
			t.Errorf("got %d answers, want one 401 without a 100", len(answers))
		}
	})
	t.Run("a declared length over the limit", func(t *testing.T) {
		answers := exchange(t, c, "POST /v1/files HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer "+ada.Session.AccessToken+
			"\r\nContent-Disposition: attachment; filename=a\r\nExpect: 100-continue\r\nContent-Length: 999999999999999\r\n\r\n")
		if len(answers) != 1 || answers[0].StatusCode != 413 {
			t.Errorf("got %d answers, want one 413 without a 100", len(answers))
		}
	})
	t.Run("gzip is kept as it came", func(t *testing.T) {
		bomb := "\x1f\x8b\x08 not really"
		f := ada.Upload("bomb.gz", []byte(bomb), harness.Header("Content-Encoding", "gzip")).Is(201).File()
		if f.Size != int64(len(bomb)) {
			t.Errorf("size is %d", f.Size)
		}
		ada.Do("DELETE", "/v1/files/"+f.ID, nil).Is(204)
	})
	if left := files(t, ada); len(left) != 0 {
		t.Errorf("refused uploads left %+v", left)
	}
	t.Run("no bytes are a file", func(t *testing.T) {
		f := ada.Upload("empty", nil).Is(201).File()
		if f.SHA256 != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
			t.Errorf("digest is %s", f.SHA256)
		}
		if got := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200); len(got.Body) != 0 {
			t.Errorf("came back as %q", got.Body)
		}
	})
}

func TestServingIsSafe(t *testing.T) {
	ada := gateway(t).SignUp()
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00", 32)
	for name, tc := range map[string]struct{ contentType, content, disposition string }{
		"HTML never inline":              {"text/html", "<script>alert(1)</script>", "attachment"},
		"SVG never inline":               {"image/svg+xml", "<svg onload='alert(1)'/>", "attachment"},
		"XML never inline":               {"application/xml", "<a/>", "attachment"},
		"HTML that says it is a picture": {"image/png", "<html><script>alert(1)</script>", "attachment"},
		"HTML that says it is text":      {"text/plain", "<html><script>alert(1)</script></html>", "attachment"},
		"a picture may be":               {"image/png", png, "inline"},
	} {
		t.Run(name, func(t *testing.T) {
			f := ada.Upload("x", []byte(tc.content), harness.Header("Content-Type", tc.contentType)).Is(201).File()
			a := ada.Do("GET", "/v1/files/"+f.ID+"/content?inline=1", nil).Is(200)
			if cd := a.Header.Get("Content-Disposition"); !strings.HasPrefix(cd, tc.disposition) {
				t.Errorf("Content-Disposition is %q", cd)
			}
			if a.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") {
				t.Errorf("headers are %v", a.Header)
			}
			if cd := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200).Header.Get("Content-Disposition"); !strings.HasPrefix(cd, "attachment") {
				t.Errorf("not asked for inline, Content-Disposition is %q", cd)
			}
		})
	}
}

func TestRanges(t *testing.T) {
	ada := gateway(t).SignUp()
	content := []byte(strings.Repeat("0123456789", 1000))
	f := ada.Upload("r", content).Is(201).File()
	get := func(rng string, opts ...harness.Option) *harness.Answer {
		return ada.Do("GET", "/v1/files/"+f.ID+"/content", nil, append(opts, harness.Header("Range", rng))...)
	}
	for name, tc := range map[string]struct {
		rng    string
		status int
		length int
	}{
		"first byte":            {"bytes=0-0", 206, 1},
		"last bytes":            {"bytes=-5", 206, 5},
		"open end":              {"bytes=9990-", 206, 10},
		"end past the file":     {"bytes=9990-99999", 206, 10},
		"start past the file":   {"bytes=10000-", 416, -1},
		"nothing at the end":    {"bytes=-0", 416, -1},
		"another unit":          {"lines=1-2", 200, 10000},
		"sixty thousand ranges": {"bytes=" + strings.TrimSuffix(strings.Repeat("0-0,", 10_000), ","), 0, -1},
		"numbers past 64 bits":  {"bytes=99999999999999999999-", 0, -1},
		"the wrong way round":   {"bytes=5-2", 0, -1},
		"letters":               {"bytes=a-b", 0, -1},
	} {
		t.Run(name, func(t *testing.T) {
			a := get(tc.rng)
			if tc.status == 0 { // either answer is right; a large one is not
				if (a.Status != 200 && a.Status != 416) || len(a.Body) > len(content) {
					t.Errorf("answered %d with %d bytes", a.Status, len(a.Body))
				}
				return
			}
			if a.Status != tc.status || tc.length >= 0 && len(a.Body) != tc.length {
				t.Errorf("answered %d with %d bytes, want %d with %d", a.Status, len(a.Body), tc.status, tc.length)
			}
			if a.Status == 416 && a.Header.Get("Content-Range") != "bytes */10000" {
				t.Errorf("Content-Range is %q", a.Header.Get("Content-Range"))
			}
		})
	}
	t.Run("overlapping ranges are no amplifier", func(t *testing.T) {
		if a := get("bytes=" + strings.TrimSuffix(strings.Repeat("0-,", 16), ",")); len(a.Body) > 2*len(content) {
			t.Errorf("%d bytes for a file of %d", len(a.Body), len(content))
		}
	})
	t.Run("If-Range of an older version", func(t *testing.T) {
		if a := get("bytes=0-0", harness.Header("If-Range", `"older"`)); a.Status != 200 || len(a.Body) != len(content) {
			t.Errorf("answered %d with %d bytes", a.Status, len(a.Body))
		}
	})
}

func TestTwoAtOnce(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	t.Run("two replaces under one If-Match", func(t *testing.T) {
		f := ada.Upload("r", []byte("one")).Is(201).File()
		statuses := parallel(8, func(i int) int {
			return ada.Try("PUT", "/v1/files/"+f.ID+"/content", strings.NewReader(fmt.Sprint("version ", i)),
				harness.Header("Content-Type", "text/plain"), harness.Header("If-Match", f.ETag)).Status
		})
		if statuses[200] != 1 || statuses[412] != 7 {
			t.Errorf("answered %v, want one 200 and seven 412", statuses)
		}
	})
	t.Run("eight uploads of one name that must be new", func(t *testing.T) {
		statuses := parallel(8, func(i int) int {
			return ada.Try("POST", "/v1/files", strings.NewReader(fmt.Sprint(i)), harness.Raw("only one"), harness.Header("If-None-Match", "*")).Status
		})
		if statuses[201] != 1 || statuses[412] != 7 {
			t.Errorf("answered %v, want one 201 and seven 412", statuses)
		}
	})
	t.Run("a reader keeps its version", func(t *testing.T) {
		old := bytes.Repeat([]byte("old."), 4<<20)
		f := ada.Upload("r", old).Is(201).File()
		req, _ := ada.Request("GET", "/v1/files/"+f.ID+"/content", nil)
		res, err := ada.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		sum := sha256.New()
		_, _ = io.CopyN(sum, res.Body, 1<<20)
		ada.Do("PUT", "/v1/files/"+f.ID+"/content", strings.NewReader("new"), harness.Header("Content-Type", "text/plain")).Is(200)
		ada.Do("DELETE", "/v1/files/"+f.ID+"?permanent=1", nil).Is(204)
		time.Sleep(300 * time.Millisecond) // let the reaper see it
		n, err := io.Copy(sum, res.Body)
		if err != nil || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
			t.Errorf("the reader got %d bytes, %v", n+1<<20, err)
		}
	})
	t.Run("twenty signups of one name", func(t *testing.T) {
		name := harness.NewUsername()
		statuses := parallel(20, func(int) int {
			return c.Try("POST", "/v1/auth/signup", map[string]string{"username": name, "password": harness.Password}).Status
		})
		if statuses[201] != 1 || statuses[201]+statuses[409]+statuses[503] != 20 {
			t.Errorf("answered %v, want one 201", statuses)
		}
	})
}

func parallel(n int, do func(i int) int) map[int]int {
	var mu sync.Mutex
	var group sync.WaitGroup
	statuses := map[int]int{}
	for i := range n {
		group.Go(func() {
			s := do(i)
			mu.Lock()
			defer mu.Unlock()
			statuses[s]++
		})
	}
	group.Wait()
	return statuses
}

func TestMethodsAndPaths(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	ada.Do("PATCH", "/v1/auth/login", nil).Refused(405, "METHOD_NOT_ALLOWED")
	c.Do("GET", "/no/such/path", nil).Refused(404, "NOT_FOUND")
	for _, path := range []string{"/metrics", "/debug/pprof/", "/-/resources", "/internal/v1/revocations", "/internal/v1/introspect"} {
		t.Run("never public: "+path, func(t *testing.T) { c.Do("GET", path, nil).Refused(404, "NOT_FOUND") })
	}
	t.Run("method override", func(t *testing.T) {
		f := ada.Upload("x", []byte("x")).Is(201).File()
		ada.Do("GET", "/v1/files/"+f.ID, nil, harness.Header("X-Http-Method-Override", "DELETE")).Is(200)
		ada.Do("GET", "/v1/files/"+f.ID, nil).Is(200)
	})
	t.Run("TRACE", func(t *testing.T) {
		if a := c.Do("TRACE", "/v1/users/me", nil, harness.Header("X-Secret", "s")); a.Status < 400 || strings.Contains(string(a.Body), "X-Secret") {
			t.Errorf("answered %d %s", a.Status, a.Body)
		}
	})
	t.Run("a cursor that was tampered with", func(t *testing.T) {
		ada.Do("GET", "/v1/files?cursor=AAAA", nil).Refused(400, "VALIDATION_ERROR")
	})
	t.Run("a page past its limit", func(t *testing.T) {
		ada.Do("GET", "/v1/files?limit=101", nil).Refused(400, "VALIDATION_ERROR")
		ada.Do("GET", "/v1/files?limit=-1", nil).Refused(400, "VALIDATION_ERROR")
		ada.Do("GET", "/v1/files?sort=password", nil).Refused(400, "VALIDATION_ERROR")
	})
	t.Run("HEAD has no body", func(t *testing.T) {
		a := ada.Do(http.MethodHead, "/v1/files/usage", nil)
		if len(a.Body) != 0 {
			t.Errorf("HEAD answered %q", a.Body)
		}
	})
}

// Metadata counts in no quota, so it is bounded itself.
func TestFiles_MetadataIsNoPlaceForContents(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("f", nil).Is(201).File()
	words := map[string]string{}
	for n := range 64 {
		words[fmt.Sprint(n)] = strings.Repeat("v", 1024)
	}
	ada.Do("PATCH", "/v1/files/"+f.ID, map[string]any{"metadata": words}).Refused(400, "VALIDATION_ERROR")
	var got struct{ Metadata map[string]string }
	ada.Do("GET", "/v1/files/"+f.ID, nil).Is(200).JSON(&got)
	if len(got.Metadata) != 0 {
		t.Errorf("%d words were kept", len(got.Metadata))
	}
}
