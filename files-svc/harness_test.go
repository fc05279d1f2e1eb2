package filessvc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/resourcetest"
	"cloakroom.dev/libs/token/tokentest"
	"cloakroom.dev/libs/web"
)

const configYAML = `
apiVersion: cloakroom.dev/v1alpha1
kind: FilesConfig
metadata: {name: files}
spec:
  store: {sqlite: {path: files.db}}
  blobs: {disk: {path: blobs}}
  verifier: {issuer: "` + tokentest.Name + `", audiences: [` + tokentest.Audience + `]}
`

const policyYAML = `
apiVersion: cloakroom.dev/v1alpha1
kind: StoragePolicy
metadata: {name: default}
spec: {quota: 1Gi, maxObjectBytes: 512Mi}
`

const allFiles = "files:read:self files:create:self files:update:self files:delete:self"

// world is a files service over SQLite and a disk, with an auth service that signs and revokes.
type world struct {
	t        *testing.T
	issuer   *tokentest.Issuer
	source   *resourcetest.Source
	registry *prometheus.Registry
	service  *Service
	url      string
	dir      string
	http     *http.Client // checks every exchange against the contract
	stop     func()
}

// newWorld starts a service. Documents take the place of the policy.
func newWorld(t *testing.T, documents ...string) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir(), tokentest.New(t), func(*Config) {}, documents...)
}

func newWorldIn(t *testing.T, dir string, issuer *tokentest.Issuer, change func(*Config), documents ...string) *world {
	t.Helper()
	return newWorldWith(t, dir, issuer, func(c *Config, _ *Deps) { change(c) }, documents...)
}

func newWorldWith(t *testing.T, dir string, issuer *tokentest.Issuer, change func(*Config, *Deps), documents ...string) *world {
	t.Helper()
	if len(documents) == 0 {
		documents = []string{policyYAML}
	}
	snapshot := resourcetest.Snapshot(t, append([]string{configYAML}, documents...)...)
	boot, err := resource.One[*v1alpha1.FilesConfig](snapshot)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, issuer: issuer, dir: dir, source: resourcetest.NewSource(snapshot), registry: prometheus.NewPedanticRegistry(),
		http: &http.Client{Transport: newContractTransport(t)},
	}
	cfg := Config{Boot: boot, BaseDir: dir, AuthURL: issuer.URL}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	deps := Deps{Log: log, Registerer: w.registry, Source: w.source}
	change(&cfg, &deps)
	w.service, err = New(t.Context(), cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	w.serve(log)
	return w
}

func (w *world) serve(log *slog.Logger) {
	w.t.Helper()
	server := &httptest.Server{Listener: listen(w.t), Config: web.NewServer(w.service.Handler(), log)}
	server.Start()
	w.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.service.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		server.CloseClientConnections()
		server.Close()
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("run: %v", err)
		}
		if err := w.service.Close(); err != nil {
			w.t.Errorf("close: %v", err)
		}
	}
	w.t.Cleanup(w.stop)
	eventually(w.t, "ready", func() error { return w.service.Ready(ctx) })
}

// testWriter sends the service's log to the test's.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	fmt.Fprint(os.Stderr, w.t.Name()+": "+string(p))
	return len(p), nil
}

const (
	// patience is how long a test waits for what is certain to come, on a machine that has other things to do.
	patience = time.Minute
	// soon is when something has come that is not held up. Less would measure the machine; what holds things up here is the
	// window of a slow body, 15 s.
	soon = 8 * time.Second
)

// eventually waits for a condition that the service reaches by itself.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not %s: %v", what, err)
		}
	}
}

// person is somebody with a session.
type person struct {
	w       *world
	id      string
	session string
	token   string
}

func (w *world) person(permissions ...string) *person {
	if len(permissions) == 0 {
		permissions = strings.Fields(allFiles)
	}
	p := &person{w: w, id: uuid.Must(uuid.NewV7()).String(), session: uuid.Must(uuid.NewV7()).String()}
	p.token = w.issuer.Mint(tokentest.Subject(p.id), tokentest.Session(p.session), tokentest.Permissions(permissions...))
	return p
}

// answer is a response that has been read to its end; err is why it could not be.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// request makes a request of this person. headers are name, value, name, value.
func (p *person) request(method, path string, body io.Reader, headers ...string) *http.Request {
	p.w.t.Helper()
	r, err := http.NewRequestWithContext(p.w.t.Context(), method, p.w.url+path, body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func (p *person) send(r *http.Request) answer {
	p.w.t.Helper()
	res, err := p.w.http.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, raw, err}
}

func (p *person) do(method, path string, body io.Reader, headers ...string) answer {
	p.w.t.Helper()
	return p.send(p.request(method, path, body, headers...))
}

func (p *person) get(path string, headers ...string) answer {
	p.w.t.Helper()
	return p.do(http.MethodGet, path, nil, headers...)
}

// file is the wire form of a file.
type file struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Extension   string            `json:"extension"`
	ContentType string            `json:"content_type"`
	Size        int64             `json:"size"`
	SHA256      string            `json:"sha256"`
	Version     int64             `json:"version"`
	ETag        string            `json:"etag"`
	Metadata    map[string]string `json:"metadata"`
	ExpiresAt   *time.Time        `json:"expires_at"`
}

func (f file) content() string { return "/v1/files/" + f.ID + "/content" }

// upload hands in a raw body and expects it to be taken.
func (p *person) upload(name, contentType string, body io.Reader, headers ...string) file {
	p.w.t.Helper()
	headers = append(headers, "Content-Type", contentType, "Content-Disposition", field.FormatDisposition("attachment", name))
	a := p.do(http.MethodPost, "/v1/files", body, headers...)
	return a.file(p.w.t, http.StatusCreated)
}

func (a answer) file(t *testing.T, status int) (f file) {
	t.Helper()
	if a.err != nil || a.status != status {
		t.Fatalf("got %d %s, %v; want %d", a.status, a.body, a.err, status)
	}
	if err := json.Unmarshal(a.body, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// refused checks for a problem document of this status and code.
func (a answer) refused(t *testing.T, says string, status int, code string) {
	t.Helper()
	var doc struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
	}
	_ = json.Unmarshal(a.body, &doc)
	if a.err != nil || a.status != status || doc.Status != status || doc.Code != code {
		t.Errorf("%s: got %d %s, %v; want %d %s", says, a.status, a.body, a.err, status, code)
	}
}

// nothingKept checks that this person has no file, no byte counted, and that the store of bytes is empty.
func (p *person) nothingKept(says string) {
	p.w.t.Helper()
	if u := p.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":0,"files":0,`) {
		p.w.t.Errorf("%s: usage is %s", says, u.body)
	}
	eventually(p.w.t, says+": without blobs", func() error {
		if left := p.w.blobFiles(); len(left) > 0 {
			return fmt.Errorf("blobs are left: %v", left)
		}
		return nil
	})
}

// blobFiles lists the files of the store of bytes.
func (w *world) blobFiles() (paths []string) {
	_ = filepath.WalkDir(filepath.Join(w.dir, "blobs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, path)
		}
		return nil
	})
	return paths
}

func newIssuer(t *testing.T) *tokentest.Issuer { return tokentest.New(t) }

func reader(s string) io.Reader { return strings.NewReader(s) }

// metric is the value of a counter or gauge, summed over its series that have all the labels (name, value, …).
func (w *world) metric(name string, labels ...string) (sum float64) {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && hasLabels(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
			return l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}) {
			return false
		}
	}
	return true
}

// formOf writes a form: name, value, name, value, and last the file.
func formOf(t *testing.T, fileName, contentType string, content []byte, fields ...string) (body *bytes.Buffer, formType string) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	name := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(fileName)
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="` + name + `"`}, "Content-Type": {contentType},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return body, w.FormDataContentType()
}

// contractTransport holds every exchange against openapi.yaml: each answer must be one the contract allows, and what was
// accepted must have been a request the contract allows.
type contractTransport struct {
	t      *testing.T
	router routers.Router
	next   http.RoundTripper
}

func newContractTransport(t *testing.T) *contractTransport {
	t.Helper()
	doc := loadContract(t)
	doc.Servers = nil
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ExpectContinueTimeout = 5 * time.Second
	t.Cleanup(transport.CloseIdleConnections)
	return &contractTransport{t, router, transport}
}

func loadContract(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(contract)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func (c *contractTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r.Clone(r.Context())
	jsonBody := r.Header.Get("Content-Type") == "application/json"
	if jsonBody && r.Body != nil {
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		asked.Body = io.NopCloser(bytes.NewReader(raw))
	}
	res, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	c.check(asked, res, jsonBody)
	return res, nil
}

func (c *contractTransport) check(r *http.Request, res *http.Response, jsonBody bool) {
	c.t.Helper()
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return // not in the contract: the service says 404 or 405
	}
	op := route.Operation.OperationID
	bytesOut := res.StatusCode < 400 && r.Method != http.MethodPut &&
		(strings.HasPrefix(op, "files.content.") || op == "files.versions.get" || op == "files.thumbnail" || op == "files.archive" || strings.HasPrefix(op, "links.follow."))
	page := strings.HasPrefix(res.Header.Get("Content-Type"), "text/html")
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			ExcludeRequestBody: !jsonBody, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true,
		},
	}
	if res.StatusCode < 400 {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			c.t.Errorf("%s %s was accepted against the contract: %v", r.Method, r.URL, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: bytesOut || page || r.Method == http.MethodHead},
	}
	if !out.Options.ExcludeResponseBody {
		raw, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(raw))
		out.SetBodyBytes(raw)
	}
	if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
		c.t.Errorf("%s %s answered %d against the contract: %v", r.Method, r.URL, res.StatusCode, err)
	}
}
