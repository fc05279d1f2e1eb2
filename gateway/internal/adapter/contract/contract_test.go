package contract

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

const ownDoc = `openapi: 3.0.3
info: {title: Whole, version: v1}
paths:
  /livez:
    get: {operationId: live, responses: {'200': {description: Alive.}}}
components:
  schemas:
    Problem: {type: object, properties: {code: {type: string, description: A word.}}}
`

func doc(paths, components string) string {
	return "openapi: 3.0.3\ninfo: {title: t, version: v1}\nsecurity: [{bearer: []}]\npaths:\n" + paths + "components:\n" +
		"  securitySchemes:\n    bearer: {type: http, scheme: bearer, description: mine}\n" + components
}

// service serves a document and counts.
func service(t *testing.T, status int, text string) (Source, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return Source{Name: "svc", URLs: []string{s.URL}}, &n
}

func newContract(t *testing.T, own string, sources ...Source) *Contract {
	t.Helper()
	c, err := New([]byte(own), sources, http.DefaultClient, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get200(t *testing.T, h http.Handler) (string, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String(), w.Header()
}

func TestMerge_KeepsWhatEachServiceMeans(t *testing.T) {
	a, _ := service(t, 200, doc(
		"  /a:\n    get: {operationId: a, responses: {'200': {$ref: '#/components/responses/R'}}}\n    post: {operationId: ap, security: [], responses: {'204': {description: n}}}\n",
		"  responses:\n    R: {description: a, content: {application/json: {schema: {$ref: '#/components/schemas/Problem'}}}}\n"+
			"  schemas:\n    Problem: {type: object, properties: {code: {type: string}}}\n"))
	a.Name = "first"
	b, _ := service(t, 200, doc(
		"  /b:\n    get: {operationId: b, responses: {'200': {$ref: '#/components/responses/R'}}}\n  /a:\n    delete: {operationId: ad, responses: {'204': {description: n}}}\n",
		"  responses:\n    R: {description: other words, content: {application/json: {schema: {$ref: '#/components/schemas/Problem'}}}}\n"+
			"  schemas:\n    Problem: {type: object, properties: {code: {type: integer}}}\n"))
	b.Name = "second"
	body, _ := get200(t, newContract(t, ownDoc, a, b).JSON())
	var got struct {
		Paths      map[string]map[string]struct{ Security []map[string][]string }
		Components struct{ Schemas, Responses map[string]json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Paths["/a"]) != 3 || len(got.Paths["/a"]["get"].Security) != 1 || len(got.Paths["/a"]["post"].Security) != 0 {
		t.Errorf("methods or security of /a: %+v", got.Paths["/a"])
	}
	// The second service's Problem is another thing, and so is its R, which refers to it.
	for _, ref := range []string{`"#/components/responses/second.R"`, `"#/components/schemas/second.Problem"`} {
		if !strings.Contains(body, ref) {
			t.Errorf("no reference to %s in %s", ref, body)
		}
	}
	if len(got.Components.Schemas) != 2 || len(got.Components.Responses) != 2 {
		t.Errorf("components: %v %v", got.Components.Schemas, got.Components.Responses)
	}
	validate(t, body)
}

func validate(t *testing.T, body string) {
	t.Helper()
	loaded, err := openapi3.NewLoader().LoadFromData([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.Validate(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestMerge_TwoServicesOnOneOperationIsAnError(t *testing.T) {
	same := doc("  /a:\n    get: {operationId: a, responses: {'204': {description: n}}}\n", "")
	a, _ := service(t, 200, same)
	b, _ := service(t, 200, same)
	w := httptest.NewRecorder()
	newContract(t, ownDoc, a, b).YAML().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "claimed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestContract_HouseDocumentsMergeIntoAValidOne(t *testing.T) {
	own, err := os.ReadFile("../../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var sources []Source
	for _, name := range []string{"auth", "files"} {
		text, err := os.ReadFile("../../../../" + name + "-svc/openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		s, _ := service(t, 200, string(text))
		s.Name = name
		sources = append(sources, s)
	}
	c := newContract(t, string(own), sources...)
	body, _ := get200(t, c.JSON())
	validate(t, body)
	yamlBody, _ := get200(t, c.YAML())
	validate(t, yamlBody)
	html, header := get200(t, c.Page())
	for _, want := range []string{"/v1/auth/login", "/v1/files", "/livez", "no token needed"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(html, "<script") {
		t.Errorf("policy %q", policy)
	}
	if dir := os.Getenv("CLOAKROOM_TEST_OUTPUT"); dir != "" {
		_ = os.WriteFile(dir+"/docs.html", []byte(html), 0o600)
	}
}

func TestContract_TheStyleIsTheOneThePolicyNames(t *testing.T) {
	html, header := get200(t, newContract(t, ownDoc).Page())
	_, rest, _ := strings.Cut(html, "<style>")
	inline, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(inline))
	if !strings.Contains(header.Get("Content-Security-Policy"), base64.StdEncoding.EncodeToString(sum[:])) {
		t.Error("a browser would refuse the style")
	}
}

func TestContract_WhatDocumentsSayIsTextInThePage(t *testing.T) {
	const hostile = `'"><script>alert(1)</script> ` + "`<script>`" + ` **<script>** javascript:alert(1)'`
	all := strings.NewReplacer("HOSTILE", hostile).Replace(`openapi: 3.0.3
info: {title: HOSTILE, version: HOSTILE, description: HOSTILE}
tags: [{name: HOSTILE, description: HOSTILE}]
paths:
  HOSTILE:
    post:
      tags: [HOSTILE]
      summary: HOSTILE
      description: HOSTILE
      parameters: [{name: HOSTILE, in: HOSTILE, description: HOSTILE, schema: {type: HOSTILE, format: HOSTILE}}]
      requestBody: {description: HOSTILE, content: {HOSTILE: {schema: {properties: {HOSTILE: {enum: [HOSTILE], description: HOSTILE}}}}}}
      responses: {HOSTILE: {description: HOSTILE}, '200': {description: HOSTILE, content: {a: {schema: {properties: {HOSTILE: {type: HOSTILE}}}}}}}
`)
	parsed, err := parse([]byte(all))
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := writePage(&page, parsed); err != nil {
		t.Fatal(err)
	}
	for _, sign := range []string{"<script", `""`, `href="javascript`} {
		if strings.Contains(page.String(), sign) {
			t.Errorf("the page holds %s: %s", sign, page.String())
		}
	}
	if n := strings.Count(page.String(), "&lt;script&gt;"); n < 40 {
		t.Errorf("only %d of the hostile words are shown as text", n)
	}
	for link := range strings.SplitSeq(page.String(), "href=\"") {
		if !strings.HasPrefix(link, "#") && !strings.HasPrefix(link, "/openapi.") && !strings.HasPrefix(link, "<!doctype") {
			t.Errorf("a link to %.40s", link)
		}
	}
}

func TestContract_FetchesOnceForAllAndServesWhatItHas(t *testing.T) {
	src, fetches := service(t, 200, doc("  /a:\n    get: {operationId: a, responses: {'204': {description: n}}}\n", ""))
	c := newContract(t, ownDoc, src)
	now := time.Now()
	var clock atomic.Pointer[time.Time]
	clock.Store(&now)
	c.now = func() time.Time { return *clock.Load() }
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { get200(t, c.YAML()) })
	}
	wg.Wait()
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches for 50 requests", n)
	}
	later := now.Add(2 * freshFor)
	clock.Store(&later)
	c.sources[0].URLs[0] = "http://127.0.0.1:1/"
	for range 10 {
		get200(t, c.YAML()) // the service has gone, what is held stays
	}
	gone := now.Add(2 * usableFor)
	clock.Store(&gone)
	w := httptest.NewRecorder()
	c.YAML().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestContract_ServesAnETag(t *testing.T) {
	c := newContract(t, ownDoc)
	_, header := get200(t, c.JSON())
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("If-None-Match", header.Get("ETag"))
	w := httptest.NewRecorder()
	c.JSON().ServeHTTP(w, r)
	if w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("%d", w.Code)
	}
}

func TestParse_RefusesWhatIsNoDocument(t *testing.T) {
	for _, text := range []string{"", "[]", "a: &x [1]\nb: *x", "a: b: c", "just words"} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("took %q", text)
		}
	}
}

func TestProsaic_EscapesNothingAndLosesNothing(t *testing.T) {
	blocks := prosaic("One `code` and **bold**\nline.\n\n- first\n  goes on\n- second <b>\n\nA lone ` stays * and **")
	if len(blocks) != 3 || !blocks[1].List || len(blocks[1].Items) != 2 {
		t.Fatalf("%+v", blocks)
	}
	var all strings.Builder
	for _, b := range blocks {
		for _, item := range b.Items {
			for _, s := range item {
				all.WriteString(s.Text)
			}
		}
	}
	if got := all.String(); got != "One code and bold line.first goes onsecond <b>A lone ` stays * and **" {
		t.Errorf("%q", got)
	}
}
