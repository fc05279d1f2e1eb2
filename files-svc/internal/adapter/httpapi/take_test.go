package httpapi

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/files-svc/internal/files"
)

// The leash of a request that ended leaves a deadline in the past on its connection: the next request could not be read from it.
func TestTake_AConnectionThatWasCutIsNotUsedAgain(t *testing.T) {
	a := &api{metrics: newMetrics(prometheus.NewRegistry()), pace: Pace{}.withDefaults(), now: time.Now}
	for _, cut := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/files", strings.NewReader("whole"))
		_, err := a.take(w, r, func(_ context.Context, body *pacedBody) (files.File, error) {
			_, err := io.Copy(io.Discard, body)
			if cut {
				cancel()
			}
			return files.File{}, err
		})
		if got := w.Header().Get("Connection"); err != nil || (got == "close") != cut {
			t.Errorf("cut %t: Connection is %q, %v", cut, got, err)
		}
	}
}
