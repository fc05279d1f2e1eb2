package hostile

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/s3test"

	"cloakroom.dev/tests/harness"
)

// Downloads that the store itself answers: who gets an address, what it opens, and what it can be made into.

const directTerms = "maxLinkTTL: 720h\n  directDownload: {enabled: true, lifetime: %s, minBytes: 1Ki}"

// onBucket is a stack over a bucket that clients know by another name, and the folder of its resources.
func onBucket(t *testing.T, b s3test.Bucket) (c *harness.Client, config string) {
	t.Helper()
	public := strings.Replace(b.Endpoint, "127.0.0.1", "localhost", 1)
	dir := harness.ConfigDir(t,
		harness.Replace(t, "maxLinkTTL: 720h", fmt.Sprintf(directTerms, "600s")),
		harness.Replace(t, "  storagePolicyRef:\n    name: default\n  # Contracts", `  blobs:
    s3:
      endpoint: `+b.Endpoint+`
      publicEndpoint: `+public+`
      bucket: `+b.Name+`
      accessKey: {env: TEST_BUCKET_ACCESS}
      secretKey: {env: TEST_BUCKET_SECRET}
      partSize: 5Mi
      memory: 10Mi
  storagePolicyRef:
    name: default
  # Contracts`))
	s := harness.Start(t, "CONFIG_DIR="+dir, "TEST_BUCKET_ACCESS="+b.AccessKey.Reveal(), "TEST_BUCKET_SECRET="+b.SecretKey.Reveal())
	return harness.NewClient(t, s.Public), dir
}

// fetch asks the store, as anybody does who has the address and nothing else.
func fetch(t *testing.T, address string, opts ...harness.Option) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range opts {
		o(r)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// pointed is the address an answer points at.
func pointed(t *testing.T, a *harness.Answer, status int) string {
	t.Helper()
	a.Is(status)
	address := a.Header.Get("Location")
	if !strings.HasPrefix(address, "http://localhost:") {
		t.Errorf("clients are sent to %q", address)
	}
	if cached := a.Header.Get("Cache-Control"); cached != "private, no-store" || a.Header.Get("ETag") != "" || len(a.Body) > 0 {
		t.Errorf("the answer may be kept: %q, %q, %d bytes", cached, a.Header.Get("ETag"), len(a.Body))
	}
	return address
}

func page(name, kind string) harness.Option {
	return func(r *http.Request) {
		harness.Raw(name)(r)
		r.Header.Set("Content-Type", kind)
	}
}

func TestDirect_IsReadFromTheStoreAndCanDoNothingThere(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		c, _ := onBucket(t, bucket(t))
		ada := c.SignUp()
		content := "<script>alert(1)</script>" + strings.Repeat("x", 4096)
		f := ada.Do("POST", "/v1/files", strings.NewReader(content), page("süß.html", "text/html")).Is(201).File()
		at := "/v1/files/" + f.ID + "/content"
		for _, path := range []string{at, at + "?inline=1", "/v1/files/" + f.ID + "/versions/1/content"} {
			res, body := fetch(t, pointed(t, ada.Do("GET", path, nil), 307))
			if res.StatusCode != 200 || body != content {
				t.Errorf("the store answered %d with %d bytes", res.StatusCode, len(body))
			}
			if kind := res.Header.Get("Content-Type"); kind != "application/octet-stream" {
				t.Errorf("a page comes from the store as %s", kind)
			}
			if d := res.Header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment") || !strings.Contains(d, "s%C3%BC%C3%9F.html") {
				t.Errorf("a page comes from the store as %s", d)
			}
		}
		part, body := fetch(t, pointed(t, ada.Do("GET", at, nil, harness.Header("Range", "bytes=8-12")), 307), harness.Header("Range", "bytes=8-12"))
		if part.StatusCode != 206 || body != content[8:13] {
			t.Errorf("a range is %d %q", part.StatusCode, body)
		}
		ada.Do("HEAD", at, nil).Is(200)
		ada.Do("GET", at, nil, harness.Header("If-None-Match", f.ETag)).Is(304)
		ada.Do("GET", at, nil, harness.Header("If-Match", `"another"`)).Refused(412, "PRECONDITION_FAILED")
		ada.Do("GET", at, nil, harness.Header("Range", "bytes=999999-")).Refused(416, "VALIDATION_ERROR")
		ada.Do("GET", at, nil, harness.Header("If-Match", f.ETag)).Is(200) // the store's tags are others
		ada.Do("GET", at, nil, harness.Header("Range", "bytes=8-12"), harness.Header("If-Range", `"old"`)).Is(200)
		ada.Do("GET", at, nil, harness.Header("Range", "bytes=0-1,8-12")).Is(206)
		small := ada.Upload("small", []byte("small")).Is(201).File()
		ada.Do("GET", "/v1/files/"+small.ID+"/content", nil).Is(200)
	})
}

func TestDirect_OfAnotherPersonOrNobody(t *testing.T) {
	c, _ := onBucket(t, s3test.InProcess(t))
	ada, eve := c.SignUp(), c.SignUp()
	f := ada.Upload("f", bytes.Repeat([]byte("x"), 4096)).Is(201).File()
	for _, path := range []string{"/v1/files/" + f.ID + "/content", "/v1/files/" + f.ID + "/versions/1/content"} {
		eve.Do("GET", path, nil).Refused(404, "NOT_FOUND")
		c.Fresh().Do("GET", path, nil).Refused(401, "AUTH_ERROR")
	}
	ada.Do("POST", "/v1/auth/logout", nil).Is(204)
	for end := time.Now().Add(patience); ada.Do("GET", "/v1/files/"+f.ID+"/content", nil).Status != 401; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) { // that it takes no more than a second is for the tests of revocation
			t.Fatal("who has logged out is given addresses")
		}
	}
}

// What is written in an address is what was signed, its host too.
func TestDirect_TamperedAddresses(t *testing.T) {
	b := s3test.Container(t)
	c, _ := onBucket(t, b)
	ada := c.SignUp()
	f := ada.Upload("f", bytes.Repeat([]byte("x"), 4096)).Is(201).File()
	g := ada.Upload("g", bytes.Repeat([]byte("y"), 4096)).Is(201).File()
	address := pointed(t, ada.Do("GET", "/v1/files/"+f.ID+"/content", nil), 307)
	other := pointed(t, ada.Do("GET", "/v1/files/"+g.ID+"/content", nil), 307)
	change := func(name, value string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
		return u.String()
	}
	_, query, _ := strings.Cut(address, "?")
	elsewhere, _, _ := strings.Cut(other, "?")
	unsigned, _, _ := strings.Cut(address, "?")
	for name, bad := range map[string]string{
		"shown in place": change("response-content-disposition", "inline"), "as a page": change("response-content-type", "text/html"),
		"for longer": change("X-Amz-Expires", "604800"), "another object": elsewhere + "?" + query, "another host": strings.Replace(address, "localhost", "127.0.0.1", 1),
		"another signature": change("X-Amz-Signature", strings.Repeat("0", 64)), "without one": unsigned, "a list": strings.Replace(unsigned, "/blobs/", "/?list-type=2&", 1) + "&" + query,
	} {
		if res, body := fetch(t, bad); res.StatusCode < 400 || res.StatusCode >= 500 || strings.Contains(body, "xxxx") {
			t.Errorf("%s: the store answered %d", name, res.StatusCode)
		}
	}
	if res, _ := fetch(t, address); res.StatusCode != 200 {
		t.Errorf("the address as it was given is answered %d", res.StatusCode)
	}
}

// An address outlives what it was given for, by its seconds; a new one is not given.
func TestDirect_AfterTheEnd(t *testing.T) {
	c, config := onBucket(t, s3test.Container(t))
	ada := c.SignUp()
	f := ada.Upload("f", bytes.Repeat([]byte("x"), 4096)).Is(201).File()
	at := "/v1/files/" + f.ID + "/content"
	l := newLink(ada, f, nil)
	address := pointed(t, c.Fresh().Do("GET", l.URL, nil), 307)
	ada.Do("DELETE", "/v1/files/"+f.ID+"/links/"+l.ID, nil).Is(204)
	c.Fresh().Do("GET", l.URL, nil).Refused(404, "NOT_FOUND")
	if res, _ := fetch(t, address); res.StatusCode != 200 {
		t.Errorf("an address that was given is answered %d: what the guide says of revocation is wrong", res.StatusCode)
	}

	policy := filepath.Join(config, "files.yaml")
	raw, err := os.ReadFile(policy)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(policy, bytes.Replace(raw, []byte("lifetime: 600s"), []byte("lifetime: 1s"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		address = pointed(t, ada.Do("GET", at, nil), 307)
		if strings.Contains(address, "X-Amz-Expires=1&") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the new lifetime is not in force: %s", address)
		}
	}
	time.Sleep(2100 * time.Millisecond) // signatures know whole seconds
	if res, body := fetch(t, address); res.StatusCode != 403 || strings.Contains(body, "xxxx") {
		t.Errorf("an address that has expired is answered %d", res.StatusCode)
	}
	ada.Do("DELETE", "/v1/files/"+f.ID, nil).Is(204)
	ada.Do("GET", at, nil).Refused(404, "NOT_FOUND")
}

// Downloads of a counted link are counted, so the bytes go through us; a password goes nowhere else.
func TestDirect_LinksWithACountOrAPassword(t *testing.T) {
	c, _ := onBucket(t, s3test.InProcess(t))
	ada := c.SignUp()
	f := ada.Upload("f", bytes.Repeat([]byte("x"), 4096)).Is(201).File()
	counted := newLink(ada, f, map[string]any{"max_downloads": 2})
	answers := parallel(8, func(int) int { return c.Fresh().Try("GET", counted.URL, nil).Status })
	if answers[200] != 2 || answers[404] != 6 {
		t.Errorf("a link good for two downloads answers %v", answers)
	}
	secret := newLink(ada, f, map[string]any{"password": "open sesame"})
	form := func(password string) (io.Reader, harness.Option) {
		return raw(url.Values{"password": {password}}.Encode(), "application/x-www-form-urlencoded")
	}
	body, kind := form("wrong")
	c.Fresh().Do("POST", secret.URL, body, kind).Is(403)
	c.Fresh().Do("GET", secret.URL, nil).Is(403)
	body, kind = form("open sesame")
	if address := pointed(t, c.Fresh().Do("POST", secret.URL, body, kind), 303); strings.Contains(address, "sesame") {
		t.Errorf("the password is in %s", address)
	}
}
