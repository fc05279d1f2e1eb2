package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// blobs are the files of the store that hold exactly these bytes.
func blobs(t *testing.T, stack *harness.Stack, content []byte) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(stack.Dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Equal(raw, content) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("the bytes are not where they should be: %v", err)
	}
	return paths
}

func overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	_ = os.Chmod(path, 0o600)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func flawOf(ada *harness.Client, f harness.File) string {
	var shown struct{ Flaw *string }
	ada.Do("GET", "/v1/files/"+f.ID, nil).Is(200).JSON(&shown)
	if shown.Flaw == nil {
		return ""
	}
	return *shown.Flaw
}

// Whatever happens to the bytes on the disk, no reader takes others for them.
func TestStored_BytesThatChangeAtRest(t *testing.T) {
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	ada := c.SignUp()
	content := bytes.Repeat([]byte("stored "), 200_000)
	for name, tc := range map[string]struct {
		damage func(path string)
		flaw   string
	}{
		"a bit flipped in its middle": {func(path string) {
			bad := bytes.Clone(content)
			bad[len(bad)/2] ^= 4
			overwrite(t, path, bad)
		}, "corrupt"},
		"a bit flipped in its last byte": {func(path string) {
			bad := bytes.Clone(content)
			bad[len(bad)-1] ^= 1
			overwrite(t, path, bad)
		}, "corrupt"},
		"cut short":       {func(path string) { overwrite(t, path, content[:len(content)-1]) }, "corrupt"},
		"grown by a byte": {func(path string) { overwrite(t, path, append(bytes.Clone(content), 'x')) }, "corrupt"},
		"emptied":         {func(path string) { overwrite(t, path, nil) }, "corrupt"},
		"gone": {func(path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			f := ada.Upload("a", content).Is(201).File()
			l := newLink(ada, f, nil)
			tc.damage(blobs(t, stack, content)[0])
			if a := ada.Try("GET", "/v1/files/"+f.ID+"/content", nil); a.Err == nil && a.Status == 200 {
				t.Errorf("%d bytes came as if they were whole", len(a.Body))
			}
			for deadline := time.Now().Add(patience); flawOf(ada, f) != tc.flaw && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			if got := flawOf(ada, f); got != tc.flaw {
				t.Errorf("its owner is told %q, want %q", got, tc.flaw)
			}
			ada.Do("GET", "/v1/files/"+f.ID+"/content", nil, harness.Header("Range", "bytes=0-9")).Refused(500, "INTERNAL_ERROR")
			c.Do("GET", l.URL, nil).Refused(500, "INTERNAL_ERROR")
			if a := ada.Try("GET", "/v1/files/archive?ids="+f.ID, nil); a.Err == nil && a.Status == 200 {
				t.Error("an archive of it is whole")
			}
			ada.Do("DELETE", "/v1/files/"+f.ID+"?permanent=1", nil).Is(204)
		})
	}
	ada.Do("GET", "/v1/files/usage", nil).Is(200)
}

// A symbolic link in the place of a blob is nothing of ours, and does not lead out of the store.
func TestStored_ASymbolicLinkIsNotFollowed(t *testing.T) {
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	secret := filepath.Join(t.TempDir(), "secret")
	content := bytes.Repeat([]byte("twelve bytes"), 10_000) // a file of its own in the store
	overwrite(t, secret, bytes.Repeat([]byte("other twelve"), 10_000))
	f := ada.Upload("a", content).Is(201).File()
	path := blobs(t, stack, content)[0]
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, path); err != nil {
		t.Fatal(err)
	}
	if a := ada.Try("GET", "/v1/files/"+f.ID+"/content", nil); a.Status < 500 || bytes.Contains(a.Body, []byte("other")) {
		t.Errorf("answered %d %s", a.Status, a.Body)
	}
}

func TestNames_ThatFoolEyesAndParsers(t *testing.T) {
	ada := gateway(t).SignUp()
	for name, tc := range map[string]struct{ body, want string }{
		"a lone surrogate":      {`{"name": "a\ud800b"}`, "refused"},
		"an escaped NUL":        {`{"name": "a\u0000b"}`, "refused"},
		"an escaped line break": {`{"name": "a\nb"}`, "refused"},
		"a number":              {`{"name": 1}`, "refused"},
		"null":                  {`{"name": null}`, "refused"},
		"twice":                 {`{"name": "a", "name": "b"}`, "refused"},
		"in another case":       {`{"Name": "a"}`, "refused"},
		"empty":                 {`{"name": ""}`, "refused"},
		"a path":                {`{"name": "../../etc/passwd"}`, "opaque"},
		"right to left":         {`{"name": "photo\u202egpj.exe"}`, "opaque"},
		"zero width":            {`{"name": "pass\u200bword.txt"}`, "opaque"},
		"a byte order mark":     {`{"name": "\ufeffa.txt"}`, "opaque"},
		"a device":              {`{"name": "aux.txt"}`, "opaque"},
	} {
		t.Run(name, func(t *testing.T) {
			f := ada.Upload("before", []byte("x")).Is(201).File()
			body, kind := raw(tc.body, "application/json")
			a := ada.Do("PATCH", "/v1/files/"+f.ID, body, kind)
			if tc.want == "refused" {
				a.Refused(400, "VALIDATION_ERROR")
				return
			}
			if a.Status == 400 { // a rule against it is right as well
				return
			}
			if !json.Valid(a.Is(200).Body) {
				t.Errorf("answered %s", a.Body)
			}
			cd := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200).Header.Get("Content-Disposition")
			plain, _, _ := strings.Cut(cd, "filename*")
			if strings.ContainsAny(plain, "\u202e\u200b\ufeff/\\\r\n") || !strings.HasPrefix(cd, "attachment") {
				t.Errorf("Content-Disposition is %q", cd)
			}
		})
	}
}

func TestContent_TypesThatRunCode(t *testing.T) {
	ada := gateway(t).SignUp()
	for kind, content := range map[string]string{
		"application/xslt+xml":          `<xsl:stylesheet version="1.0"/>`,
		"application/pdf":               "%PDF-1.7 /OpenAction << /JS (app.alert(1)) >>",
		"application/xhtml+xml":         `<html xmlns="http://www.w3.org/1999/xhtml"><script>1</script></html>`,
		"text/xml":                      `<?xml-stylesheet href="https://evil.example/x.xsl"?><a/>`,
		"application/x-shockwave-flash": "FWS",
		"text/css":                      "body{background:url(//evil.example)}",
		"multipart/x-mixed-replace":     "--a\r\nContent-Type: text/html\r\n\r\n<script>1</script>",
		"text/html; charset=utf-7":      "+ADw-script+AD4-1+ADw-/script+AD4-",
	} {
		t.Run(kind, func(t *testing.T) {
			f := ada.Upload("x", []byte(content), harness.Header("Content-Type", kind)).Is(201).File()
			h := ada.Do("GET", "/v1/files/"+f.ID+"/content?inline=1", nil).Is(200).Header
			if !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") || h.Get("X-Content-Type-Options") != "nosniff" ||
				!strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
				t.Errorf("headers are %v", h)
			}
		})
	}
}

func TestUpload_LengthsThatLie(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	head := "POST /v1/files HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer " + ada.Session.AccessToken + "\r\nContent-Disposition: attachment; filename=a\r\n"
	for name, request := range map[string]string{
		"negative":             head + "Content-Length: -3\r\n\r\n",
		"with a sign":          head + "Content-Length: +3\r\n\r\nabc",
		"two of them":          head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"in hex":               head + "Content-Length: 0x3\r\n\r\nabc",
		"past 64 bits":         head + "Content-Length: 99999999999999999999\r\n\r\nabc",
		"a chunk past 64 bits": head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
		"a chunk of letters":   head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
		"chunks never ended":   head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"gzip, then chunked":   head + "Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range exchange(t, c, request) {
				if a.StatusCode < 400 {
					t.Errorf("answered %d", a.StatusCode)
				}
			}
		})
	}
	t.Run("too small", func(t *testing.T) { // what is behind it is another request, and must not pass for one of ours
		answers := exchange(t, c, head+"Content-Length: 3\r\n\r\nabcGET /v1/users/me HTTP/1.1\r\nHost: HOST\r\n\r\n")
		if len(answers) > 1 && answers[1].StatusCode < 400 {
			t.Errorf("a request that was smuggled answered %d", answers[1].StatusCode)
		}
	})
	for _, f := range files(t, ada) {
		if f.Size != 3 || f.Name != "a" {
			t.Errorf("a refused upload left %+v", f)
		}
	}
}

// The last bytes of a quota go to as many uploads as fit, and no more, however many ask at once.
func TestQuota_ManyAskForTheLastBytes(t *testing.T) {
	dir := harness.ConfigDir(t, harness.Replace(t, "quota: 10Gi", "quota: 1Mi"), harness.Replace(t, "maxObjectBytes: 5Gi", "maxObjectBytes: 1Mi"))
	stack := harness.Start(t, "CONFIG_DIR="+dir)
	ada := harness.NewClient(t, stack.Public).SignUp()
	part := bytes.Repeat([]byte("q"), 100_000)
	got := parallel(80, func(i int) int {
		if i%2 == 0 { // without a length, so that it can only be refused on its way
			return ada.Try("POST", "/v1/files", io.MultiReader(bytes.NewReader(part)), harness.Raw(fmt.Sprint(i))).Status
		}
		return ada.Try("POST", "/v1/files", bytes.NewReader(part), harness.Raw(fmt.Sprint(i))).Status
	})
	var usage struct{ Bytes int64 }
	ada.Do("GET", "/v1/files/usage", nil).Is(200).JSON(&usage)
	if usage.Bytes > 1<<20 || usage.Bytes != int64(got[201])*100_000 || got[201] == 0 {
		t.Errorf("answers %v, %d bytes are kept of %d", got, usage.Bytes, 1<<20)
	}
	t.Run("one that has no length is cut at the limit", func(t *testing.T) {
		a := ada.Try("POST", "/v1/files", io.LimitReader(zeros{}, 64<<20), harness.Raw("endless"))
		if a.Err == nil && a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("answered %d", a.Status)
		}
	})
}

// Files without a byte take no quota. They are rows all the same, in the catalog, its indexes and the feed.
func TestQuota_FilesWithoutBytesMeetABoundToo(t *testing.T) {
	dir := harness.ConfigDir(t, harness.Replace(t, "quota: 10Gi", "quota: 10Gi\n  maxFiles: 20"))
	stack := harness.Start(t, "CONFIG_DIR="+dir)
	ada := harness.NewClient(t, stack.Public).SignUp()
	got := parallel(60, func(i int) int {
		return ada.Try("POST", "/v1/files", strings.NewReader(""), harness.Raw(fmt.Sprint(i))).Status
	})
	if got[201] != 20 || got[http.StatusRequestEntityTooLarge] != 40 {
		t.Errorf("answers %v, want 20 files", got)
	}
	ada.Do("POST", "/v1/files", strings.NewReader(""), harness.Raw("one more")).Refused(http.StatusRequestEntityTooLarge, "QUOTA_EXCEEDED")
	var page struct{ Items []harness.File }
	ada.Do("GET", "/v1/files?limit=1", nil).Is(200).JSON(&page)
	ada.Do("DELETE", "/v1/files/"+page.Items[0].ID+"?permanent=true", nil).Is(204)
	ada.Do("POST", "/v1/files", strings.NewReader(""), harness.Raw("fits again")).Is(201)
}

func TestDownload_StopsWhenItsSessionEnds(t *testing.T) {
	stack := harness.Start(t)
	anyone := harness.NewClient(t, stack.Public)
	ada := anyone.SignUp()
	again := anyone.LogIn(ada.User.Username, harness.Password)
	f := ada.Do("POST", "/v1/files", io.LimitReader(zeros{}, 96<<20), harness.Raw("large")).Is(201).File()
	res := reading(t, ada, "/v1/files/"+f.ID+"/content")
	again.Do("DELETE", "/v1/auth/sessions/"+ada.Session.SessionID, nil).Is(204)
	whenCut(t, stack)
	if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= 95<<20 {
		t.Errorf("read %d more bytes, %v", n, err)
	}
}

func TestFiles_AnUnknownOriginIsNotLetIn(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("a", []byte("x")).Is(201).File()
	for _, origin := range []string{"https://evil.example", "null", "http://localhost.evil.example"} {
		a := ada.Do("GET", "/v1/files/"+f.ID+"/content", nil, harness.Header("Origin", origin))
		if allowed := a.Header.Get("Access-Control-Allow-Origin"); allowed == origin || a.Header.Get("Access-Control-Allow-Credentials") == "true" {
			t.Errorf("%s may read: %v", origin, a.Header)
		}
		if a.Status == 200 && a.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s may embed: %v", origin, a.Header)
		}
	}
}
