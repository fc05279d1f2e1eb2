package filessvc

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/adapter/httpapi"
	"cloakroom.dev/libs/web"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What is mounted and what is documented are the same. HEAD comes with every GET, by HTTP's own rule; where it is documented
// by itself it is a route of its own.
func TestContract_IsWhatIsMounted(t *testing.T) {
	doc := loadContract(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var documented, mounted []web.Route
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented = append(documented, web.Route{Method: method, Path: path, Name: op.OperationID})
		}
	}
	m := web.NewMux()
	open := func(next http.Handler) http.Handler { return next }
	httpapi.Mount(m, nil, open, nil, nil, contract, httpapi.Options{})
	for _, r := range m.Routes() {
		if r.Method != http.MethodHead || strings.HasSuffix(r.Name, ".head") {
			mounted = append(mounted, r)
		}
	}
	for _, list := range [][]web.Route{documented, mounted} {
		slices.SortFunc(list, func(a, b web.Route) int {
			return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
		})
	}
	if diff := gocmp.Diff(documented, mounted); diff != "" {
		t.Errorf("documented (-) and mounted (+) differ:\n%s", diff)
	}
}

func TestContract_IsServedToEveryone(t *testing.T) {
	w := newWorld(t)
	nobody := &person{w: w}
	r := nobody.request(http.MethodGet, "/openapi.yaml", nil)
	r.Header.Del("Authorization")
	if a := nobody.send(r); a.status != http.StatusOK || string(a.body) != string(contract) {
		t.Errorf("got %d and %d bytes", a.status, len(a.body))
	}
}
