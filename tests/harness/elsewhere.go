package harness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The variables that point the tests of a package at a gateway which runs somewhere, whatever is in front of it: Shared is a client of
// that one then, and starting anything fails the test. A name that nobody looks up is dialled at an address, as `curl --connect-to`
// does; a file of certificates says whom else to believe.
const (
	ElsewhereURL       = "CLOAKROOM_TEST_URL"
	ElsewhereAddress   = "CLOAKROOM_TEST_ADDRESS"
	ElsewhereAuthority = "CLOAKROOM_TEST_CA"
)

// door is how a base URL is reached.
type door struct {
	address   string
	authority *x509.CertPool
}

var doors sync.Map // string -> door

// Reach says how clients of a base URL get there: by which address (host:port), believing which certificates as well. Neither need be.
func Reach(t testing.TB, base, address string, authority []byte) {
	t.Helper()
	d := door{address: address}
	if len(authority) > 0 {
		d.authority = x509.NewCertPool()
		if !d.authority.AppendCertsFromPEM(authority) {
			t.Fatal("the authority is no certificate")
		}
	}
	doors.Store(base, d)
}

// transportTo makes connections to a base URL, for one client.
func transportTo(base string) *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.DisableCompression = true
	known, _ := doors.Load(base)
	d, _ := known.(door)
	if d.authority != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: d.authority}
	}
	if d.address != "" {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, d.address)
		}
	}
	return transport
}

// elsewhere is a client of the gateway that the environment names, or nil.
func elsewhere(t testing.TB) *Client {
	t.Helper()
	base := os.Getenv(ElsewhereURL)
	if base == "" {
		return nil
	}
	var authority []byte
	if path := os.Getenv(ElsewhereAuthority); path != "" {
		var err error
		if authority, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	Reach(t, base, os.Getenv(ElsewhereAddress), authority)
	return NewClient(t, base)
}

// local fails a test that starts something of its own while it is pointed at a gateway elsewhere: its result would say nothing of that one.
func local(t testing.TB) {
	t.Helper()
	if base := os.Getenv(ElsewhereURL); base != "" {
		t.Fatalf("this test starts what it tests, and can't be run against %s", base)
	}
}

// Cases are the tests in a folder, each with whether it needs nothing but a base URL: whether it calls Shared.
func Cases(t testing.TB, folder string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}
	cases := map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, is := d.(*ast.FuncDecl)
			if is && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				cases[f.Name.Name] = callsShared(f)
			}
		}
	}
	return cases
}

func callsShared(f *ast.FuncDecl) (calls bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		s, is := n.(*ast.SelectorExpr)
		if is && s.Sel.Name == "Shared" {
			from, is := s.X.(*ast.Ident)
			calls = calls || is && from.Name == "harness"
		}
		return true
	})
	return calls
}
