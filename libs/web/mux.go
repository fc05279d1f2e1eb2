package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
)

// Mux routes requests to named handlers. Paths are gorilla/mux templates (`/v1/files/{id}`) and match the path as it was
// sent: nothing is cleaned, redirected or decoded first, so what a gateway checked is what is matched. A path without
// variables is looked up, and goes before templates that match it too; of templates that match, the one that was there first and has the
// method. A Mux is not for use below a path with variables of another.
type Mux struct {
	paths   map[string]methods
	methods []string    // that any path has, each once
	router  *mux.Router // paths with variables
	routes  []Route
}

// methods are the handlers of one path.
type methods map[string]http.Handler

// Route is one entry of a Mux.
type Route struct{ Method, Path, Name string }

// NewMux makes an empty Mux. A path nobody has answers 404, a known path with another method 405 and Allow.
func NewMux() *Mux {
	m := &Mux{paths: map[string]methods{}, router: mux.NewRouter().SkipClean(true).UseEncodedPath()}
	m.router.NotFoundHandler = http.HandlerFunc(m.notFound)
	return m
}

// errQuery is for what URL.Query passes over in silence: pairs joined by a semicolon, and escapes that are none. Half of what
// a client asked for is not what it asked for.
var errQuery = fault.Validation(fault.Field{
	Field: "query", Code: "INVALID", Detail: "the query can't be read: join its pairs with &, and escape what is not a letter or digit",
})

// Handle routes a method and a path to h, which sees no query that can't be read whole. The name labels metrics, logs and
// spans, so it must be unique to the route. It panics when the path has that method already.
func (m *Mux) Handle(method, path, name string, h http.Handler) {
	m.routes = append(m.routes, Route{method, path, name})
	if !slices.Contains(m.methods, method) {
		m.methods = append(m.methods, method)
	}
	at := m.paths[path]
	if at == nil {
		at = methods{}
		m.paths[path] = at
		if strings.Contains(path, "{") {
			m.template(path, at)
		}
	}
	if at[method] != nil {
		panic("two handlers for " + method + " " + path)
	}
	at[method] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		SetRoute(r.Context(), name)
		if !readable(r.URL.RawQuery) {
			problem.Write(w, r, errQuery)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// readable reports whether a query can be read whole, and is text: what is none, no store finds, and some fail on it.
func readable(query string) bool {
	if query == "" {
		return true
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	for name, all := range values {
		if !isText(name) || slices.ContainsFunc(all, func(v string) bool { return !isText(v) }) {
			return false
		}
	}
	return true
}

// isText reports whether s is UTF-8 without NUL.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// template matches what has a path with variables and a method of it. Other methods are left to later templates, and in the end to
// notFound: gorilla/mux's own way with methods takes a route, two expressions compiled, for each method of a path.
func (m *Mux) template(path string, at methods) {
	m.router.Path(path).MatcherFunc(func(r *http.Request, match *mux.RouteMatch) bool {
		match.Handler = at[r.Method]
		return match.Handler != nil
	})
}

// Get routes GET, and HEAD with it.
func (m *Mux) Get(path, name string, h http.Handler) {
	m.Handle(http.MethodGet, path, name, h)
	m.Handle(http.MethodHead, path, name, h)
}

// Post routes POST.
func (m *Mux) Post(path, name string, h http.Handler) { m.Handle(http.MethodPost, path, name, h) }

// Put routes PUT.
func (m *Mux) Put(path, name string, h http.Handler) { m.Handle(http.MethodPut, path, name, h) }

// Patch routes PATCH.
func (m *Mux) Patch(path, name string, h http.Handler) { m.Handle(http.MethodPatch, path, name, h) }

// Delete routes DELETE.
func (m *Mux) Delete(path, name string, h http.Handler) { m.Handle(http.MethodDelete, path, name, h) }

// Head routes HEAD alone.
func (m *Mux) Head(path, name string, h http.Handler) { m.Handle(http.MethodHead, path, name, h) }

// Routes lists what is routed, for tests that hold it against a contract.
func (m *Mux) Routes() []Route { return slices.Clone(m.routes) }

func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isText(r.URL.Path) { // nothing has such a name
		problem.Write(w, r, errPath)
		return
	}
	if h := m.paths[r.URL.EscapedPath()][r.Method]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	m.router.ServeHTTP(w, r)
}

// Var returns a variable of the matched path, decoded, or "" when there is none.
func Var(r *http.Request, name string) string {
	v, err := url.PathUnescape(mux.Vars(r)[name])
	if err != nil {
		return ""
	}
	return v
}

var errPath = fault.New(fault.NotFound, "no such path")

// notFound answers for a path that nobody has, or that nobody has with this method.
func (m *Mux) notFound(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, method := range m.methods {
		if m.takes(r, method) {
			allow = append(allow, method)
		}
	}
	if allow == nil {
		problem.Write(w, r, errPath)
		return
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	problem.Write(w, r, fault.New(fault.MethodNotAllowed, "this path does not take that method"))
}

// takes says whether there is a handler for the request's path with another method.
func (m *Mux) takes(r *http.Request, method string) bool {
	if m.paths[r.URL.EscapedPath()][method] != nil {
		return true
	}
	probe := *r
	probe.Method = method
	var match mux.RouteMatch
	return m.router.Match(&probe, &match) && match.MatchErr == nil
}
