package charts

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"

	"cloakroom.dev/charts/internal/helm"
)

// inCluster is a service's address, as pods name it.
var inCluster = regexp.MustCompile(`http://cloakroom-(gateway|auth|files):\d+`)

// The pod of `helm test` asks in words that the program in its image understands, of every file of values: beside an installation that
// answers as it must it succeeds, and beside one that lets anybody in it fails.
func TestHelmTestUnderstandsAnInstallation(t *testing.T) {
	program := build(t, "gateway")
	each(t, func(t *testing.T, _ string, objects []helm.Object) {
		var args []string
		for _, o := range objects {
			if o.Kind() == "Pod" {
				args = slices.Clone(template(t, o).Spec.Containers[0].Args)
			}
		}
		for _, open := range []bool{false, true} {
			var asked atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); installed(w, r, open) }))
			own := slices.Clone(args)
			for i, a := range own {
				own[i] = inCluster.ReplaceAllString(a, s.URL)
			}
			if open {
				own = slices.Insert(own, len(own)-1, "--patience=1ms")
			}
			out, err := exec.CommandContext(t.Context(), program, own...).CombinedOutput()
			if failed := err != nil; failed != open || asked.Load() < 5 {
				t.Errorf("open to all: %v; %d questions: %v\n%s", open, asked.Load(), err, out)
			}
			s.Close()
		}
	})
}

// installed answers as a gateway and both services do.
func installed(w http.ResponseWriter, r *http.Request, open bool) {
	switch r.URL.Path {
	case "/readyz":
	case "/.well-known/jwks.json":
		_, _ = io.WriteString(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"k1","alg":"EdDSA","use":"sig"}]}`)
	default:
		if open {
			return
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"status":401,"code":"AUTH_ERROR"}`)
	}
}
