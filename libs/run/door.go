package run

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/web"
)

// Door says at GET /readyz, on the very listener that takes requests, whether a service is ready for more of them. Whoever
// chooses between several replicas asks there, over the way that requests take; the ops port may be out of its reach.
type Door struct {
	ops  *Ops
	name string
}

// NewDoor makes the door of the service of this name. It opens once ready returns nil, and closes for good with Drain.
func NewDoor(name string, ready func(context.Context) error) *Door {
	d := &Door{ops: NewOps(prometheus.NewRegistry()), name: name}
	d.ops.Ready(name, ready)
	return d
}

// Drain makes the answer 503 from now on.
func (d *Door) Drain() { d.ops.Drain() }

// Before answers GET and HEAD /readyz, and leaves everything else to next.
func (d *Door) Before(next http.Handler) http.Handler {
	ready := web.Quiet(http.HandlerFunc(d.ops.ServePublicReady))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			web.SetRoute(r.Context(), d.name+".ready")
			ready.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
