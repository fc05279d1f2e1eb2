package httpapi

import (
	"errors"
	"net/http"

	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/wire"
)

// exportMe streams everything this service holds about the caller. It is for the files service, which adds what it holds itself, and
// brings the caller's token.
func (a *API) exportMe(w http.ResponseWriter, r *http.Request) error {
	caller, ok := principal.From(r.Context())
	if !ok {
		return errors.New("guarded route without a caller")
	}
	return wire.WriteExport(r.Context(), a.opts.Core, caller, caller.UserID, w, func() {
		w.Header().Set("Content-Type", "application/json")
	})
}
