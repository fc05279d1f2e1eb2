package httpapi

import (
	"net/http"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// marker tells the gateway, in a header that goes no further, that a request has ended what its caller came with. The gateway
// hears of the end by the log, maybe before the answer, and would cut the request by it.
type marker struct {
	http.ResponseWriter
	caller  principal.Principal
	caused  *identity.Caused
	decided bool
}

// WriteHeader begins the answer.
func (m *marker) WriteHeader(status int) {
	if status >= http.StatusOK {
		m.decide()
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *marker) Write(b []byte) (int, error) {
	m.decide()
	return m.ResponseWriter.Write(b)
}

func (m *marker) decide() {
	if !m.decided {
		m.decided = true
		if m.caused.Ended(m.caller) {
			m.Header().Set(web.CallerEndedHeader, "1")
		}
	}
}

// Unwrap is for http.ResponseController.
func (m *marker) Unwrap() http.ResponseWriter { return m.ResponseWriter }
