package httpapi

import (
	"errors"
	"net/http"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/wire"
)

// exportMe streams everything held about the caller.
func (a *API) exportMe(w http.ResponseWriter, r *http.Request) error {
	caller, ok := principal.From(r.Context())
	if !ok {
		return errors.New("guarded route without a caller")
	}
	for name := range r.URL.Query() {
		return fault.Validation(fault.Field{Field: name, Code: "UNKNOWN", Detail: "this query parameter is not known here"})
	}
	return wire.WriteExport(r.Context(), a.opts.Core, caller, caller.UserID, w, func() {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Disposition", `attachment; filename="cloakroom-export.json"`)
	})
}
