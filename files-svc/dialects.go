package filessvc

import (
	"net/http"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/token"

	"cloakroom.dev/files-svc/internal/adapter/dialect"
	"cloakroom.dev/files-svc/internal/adapter/dialect/restauthfiles"
	"cloakroom.dev/files-svc/internal/adapter/httpapi"
	"cloakroom.dev/files-svc/internal/files"
)

var _ dialect.Transfers = httpapi.Transfers{}

// dialects are the contracts of other systems that can be spoken, by name. Each gets what is below its prefix.
var dialects = map[v1alpha1.FilesDialectName]func(*files.Service, dialect.Transfers, func(http.Handler) http.Handler) http.Handler{
	restauthfiles.Name: restauthfiles.New,
}

// withDialects lets those that are named in the resource answer below /compat/<name>/, and next everything else.
func withDialects(next http.Handler, named []v1alpha1.FilesDialect, core *files.Service, transfers dialect.Transfers, verifier *token.Verifier) http.Handler {
	spoken := map[string]http.Handler{}
	for _, d := range named {
		if open := dialects[d.Name]; open != nil {
			spoken[string(d.Name)] = open(core, transfers, verifier.Require)
		}
	}
	if len(spoken) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if below, ok := strings.CutPrefix(r.URL.Path, "/compat/"); ok {
			name, _, _ := strings.Cut(below, "/")
			if h := spoken[name]; h != nil {
				h.ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
