package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cloakroom.dev/libs/resource/resourcetest"
)

func TestDrain_ServesOnWhileNotReadyAndFinishesWhatRuns(t *testing.T) {
	t.Parallel() // the delay is long enough for a busy machine
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  drain: {delay: 6s, timeout: 20s}\n"})
	release, running := make(chan struct{}), make(chan struct{})
	w.files.serve(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/open/slow" {
			close(running)
			<-release
		}
		_, _ = io.WriteString(rw, "whole")
	})
	slow := make(chan answer, 1)
	go func() { slow <- w.get("/open/slow") }()
	<-running
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- w.end() }()
	eventually(t, "readiness goes down", func() bool { return w.get("/readyz").status == 503 })
	w.want(w.get("/open/quick"), 200, "") // those who have not heard yet are served
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("after %v this machine is too slow for the test to mean anything", took)
	}
	w.untilNobodyIsLetIn()
	close(release)
	if a := <-slow; a.status != 200 || a.body != "whole" {
		t.Errorf("the running request got %d %q", a.status, a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// untilNobodyIsLetIn waits for the moment in a drain from which there are no new connections.
func (w *world) untilNobodyIsLetIn() {
	w.t.Helper()
	eventually(w.t, "the listener is closed", func() bool {
		c, err := net.Dial("tcp", w.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
}

func routeTo(prefix, header string) string {
	return fmt.Sprintf(`
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: live}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: %s}}]
    auth: {anonymous: {reason: a test of live configuration}}
    headers: {request: {set: [{name: X-Table, value: %q}]}}
    backends: [{name: files}]
`, prefix, header)
}

// TestReload_UnderLoadLosesNothing replaces the table many times while requests and one long download run.
func TestReload_UnderLoadLosesNothing(t *testing.T) {
	w := start(t, setup{resources: []string{basics, routeTo("/live", "0")}})
	parts := make(chan struct{})
	w.files.serve(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/live/long" {
			_, _ = io.WriteString(rw, r.Header.Get("X-Table"))
			return
		}
		for range parts {
			_, _ = io.WriteString(rw, "part ")
			_ = http.NewResponseController(rw).Flush()
		}
	})
	long := make(chan answer, 1)
	go func() { long <- w.get("/live/long") }()
	parts <- struct{}{}

	var stop atomic.Bool
	var served, failed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for !stop.Load() {
				if a := w.get("/live/x"); a.status != 200 || a.body == "" {
					failed.Add(1)
				}
				served.Add(1)
			}
		})
	}
	for i := 1; i <= 30; i++ {
		w.source.Set(resourcetest.Snapshot(t, basics, routeTo("/live", fmt.Sprint(i))))
		enough := served.Load() + 5
		eventually(t, "requests are served", func() bool { return served.Load() >= enough })
	}
	eventually(t, "the last table serves", func() bool { return w.get("/live/x").body == "30" })
	stop.Store(true)
	wg.Wait()
	parts <- struct{}{}
	close(parts)
	if a := <-long; a.status != 200 || a.body != "part part " {
		t.Errorf("the long download got %d %q", a.status, a.body)
	}
	if failed.Load() != 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), served.Load())
	}
}

func TestReload_OneBadRouteHarmsNoOther(t *testing.T) {
	w := start(t, setup{resources: []string{basics, routeTo("/live", "good")}})
	bad := strings.Replace(routeTo("/live", "x"), "auth: {anonymous: {reason: a test of live configuration}}", "auth: {tokenPolicyRef: {name: gone}}", 1)
	w.source.Set(resourcetest.Snapshot(t, basics, bad))
	eventually(t, "the rule without its policy refuses", func() bool { return w.get("/live").status == 503 })
	w.want(w.get("/live"), 503, "UNAVAILABLE")
	w.want(w.get("/open"), 200, "")
	eventually(t, "the status is reported", func() bool {
		s, ok := w.source.Reported("Route", "live")
		return ok && status(s.Conditions, "ResolvedRefs") == metav1.ConditionFalse
	})
	if s, _ := w.source.Reported("Route", "open"); status(s.Conditions, "Programmed") != metav1.ConditionTrue {
		t.Errorf("%+v", s)
	}
	if n := w.metric("cloakroom_gateway_refused_rules"); n != 1 {
		t.Errorf("%v refused rules", n)
	}
	// A Route that goes away takes nothing along but itself.
	w.source.Set(resourcetest.Snapshot(t, basics))
	eventually(t, "the Route is gone", func() bool { return w.get("/live").status == 404 })
	w.want(w.get("/open"), 200, "")
}

func status(conditions []metav1.Condition, kind string) metav1.ConditionStatus {
	for _, c := range conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

func TestReload_APolicyThatDidNotChangeKeepsItsTokens(t *testing.T) {
	w := start(t, setup{resources: []string{basics, routeTo("/live", "0")}})
	raw := w.issuer.Mint()
	w.want(w.get("/closed", bearer(raw)), 200, "")
	misses := w.metric("cloakroom_token_cache_misses_total")
	w.source.Set(resourcetest.Snapshot(t, basics, routeTo("/live", "1")))
	eventually(t, "the new table serves", func() bool { w.get("/live"); return w.files.last(t).Header.Get("X-Table") == "1" })
	w.want(w.get("/closed", bearer(raw)), 200, "")
	if now := w.metric("cloakroom_token_cache_misses_total"); now != misses {
		t.Errorf("verified again: %v misses, %v before", now, misses)
	}
	// A policy that does change is in force with the next request.
	w.source.Set(resourcetest.Snapshot(t, strings.Replace(basics, "audiences: [cloakroom]", "audiences: [elsewhere]", 1)))
	eventually(t, "the stricter policy refuses", func() bool { return w.get("/closed", bearer(raw)).status == 401 })
}

func TestReload_ABootObjectThatChangedWaitsForARestart(t *testing.T) {
	w := start(t, setup{})
	if s, _ := w.source.Reported("GatewayConfig", "gateway"); status(s.Conditions, "Programmed") != metav1.ConditionTrue {
		t.Errorf("%+v", s)
	}
	w.source.Set(resourcetest.Snapshot(t, bootHead+"  trustedProxies: {hops: 2}\n", basics))
	eventually(t, "the change is reported as waiting", func() bool {
		s, _ := w.source.Reported("GatewayConfig", "gateway")
		return len(s.Conditions) > 0 && s.Conditions[0].Reason == "RestartRequired"
	})
	w.want(w.get("/open"), 200, "")
}

func TestConnections_TellHowManyThereMayBe(t *testing.T) {
	const most = 16
	w := start(t, setup{boot: fmt.Sprintf("  trustedProxies: {none: {}}\n  limits: {maxConnections: %d}\n", most)})
	if got := w.metric("cloakroom_gateway_connections_max"); got != most {
		t.Errorf("there may be %v, want %d", got, most)
	}
	for range most + 4 {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	eventually(t, "as many are open as there may be", func() bool { return w.metric("cloakroom_gateway_connections") == most })
}
