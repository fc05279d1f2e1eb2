package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Contract is the document a gateway serves at /openapi.yaml.
type Contract struct{ router routers.Router }

// contracts are kept by base URL and by their text: reading one takes longer than many a test, and most gateways serve the same.
var contracts sync.Map // string -> *Contract

func contractOf(t testing.TB, base string) *Contract {
	t.Helper()
	if c, ok := contracts.Load(base); ok {
		return c.(*Contract)
	}
	transport := transportTo(base)
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get(base + "/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the gateway serves no contract: %d %v %s", res.StatusCode, err, raw)
	}
	if c, ok := contracts.Load(string(raw)); ok {
		contracts.Store(base, c)
		return c.(*Contract)
	}
	c, err := newContract(raw)
	if err != nil {
		t.Fatalf("the contract can't be used: %v", err)
	}
	contracts.Store(base, c)
	contracts.Store(string(raw), c)
	return c
}

func newContract(raw []byte) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("validate: %w", err)
	}
	doc.Servers = nil // any host: tests reach the gateway by several
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route: %w", err)
	}
	return &Contract{router}, nil
}

// check holds an answer against the contract: its status must be there, its body must fit the schema. Paths and methods
// that the contract does not have must answer as problems.
func (c *Contract) check(req *http.Request, res *http.Response, body []byte) error {
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		return checkUnknown(req, res)
	}
	if res.StatusCode == http.StatusSwitchingProtocols || req.Method == http.MethodHead {
		return nil
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, ExcludeResponseBody: bytesAt(req.URL.Path),
		},
	}
	return openapi3filter.ValidateResponse(context.Background(), in)
}

// bytesAt reports whether what a path answers with is somebody's file, whatever its type says.
func bytesAt(path string) bool {
	return strings.HasSuffix(path, "/content") || strings.HasSuffix(path, "/thumbnail") || strings.HasPrefix(path, "/l/") || path == "/v1/files/archive"
}

func checkUnknown(req *http.Request, res *http.Response) error {
	switch req.URL.Path {
	case "/docs", "/openapi.yaml", "/openapi.json":
		return nil
	}
	if res.StatusCode < 400 && req.Method != http.MethodHead { // every GET has its HEAD
		return fmt.Errorf("the contract has no %s %s, yet it answered %d", req.Method, req.URL.Path, res.StatusCode)
	}
	return nil
}
