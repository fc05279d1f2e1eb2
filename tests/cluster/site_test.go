package cluster

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// site is one installation, in a namespace of its own.
type site struct {
	*cluster
	t         *testing.T
	namespace string
	base      string // where clients reach the gateways
	address   string // of the front there
	authority []byte // what its certificate is signed by
	values    []string
}

// patience is how long an installation or an upgrade may take. It decides over nothing but when a hopeless one is given up.
const patience = "6m"

// newSite makes a namespace that holds its pods to the restricted level, with the stores an operator brings.
func newSite(t *testing.T, c *cluster) *site {
	t.Helper()
	s := &site{cluster: c, t: t, namespace: fmt.Sprintf("cloakroom-test-%d", os.Getpid())}
	if there := os.Getenv("CLUSTER_SITE"); there != "" { // for whoever works on the steps: one that was kept
		s.namespace = there
		return s
	}
	s.apply(fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}}`, s.namespace))
	t.Cleanup(s.remove)
	password := rand.Text()
	s.apply(secret("database", "password", password, "dsn", "postgres://cloakroom:"+password+"@postgres:5432/cloakroom?sslmode=disable"))
	s.apply(secret("bucket", "access-key", rand.Text(), "secret-key", rand.Text()))
	stores := string(must[[]byte](t, "read the stores")(os.ReadFile("testdata/stores.yaml")))
	for name, image := range storeImages {
		stores = strings.ReplaceAll(stores, "@"+name+"@", image)
	}
	s.apply(stores)
	for name := range storeImages {
		s.kubectl("rollout", "status", "statefulset/"+name, "--timeout=3m")
	}
	return s
}

func secret(name string, pairs ...string) string {
	data := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		data[pairs[i]] = pairs[i+1]
	}
	text, _ := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}, "stringData": data})
	return string(text)
}

// install installs the first release behind the front, which people reach it by.
func (s *site) install() {
	s.t.Helper()
	s.putFront()
	s.values = []string{
		"--values", filepath.Join(s.root, "tests/cluster/testdata/values.yaml"), "--set", "config.publicBaseURL=" + s.base,
		"--set-json", fmt.Sprintf(`config.trustedProxies={"none": null, "cidrs": [%q]}`, s.frontsAddress()+"/32"),
		"--set-json", fmt.Sprintf(`networkPolicy.gatewayFrom=[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": %q}}}]`, s.front()),
	}
	if os.Getenv("CLUSTER_SITE") == "" {
		s.run0("kubectl", "apply", "--server-side", "-f", "k8s/crds")
		s.helmRun(append([]string{"install", "cloakroom", "charts/cloakroom", "--set", "image.tag=" + release, "--wait", "--timeout", patience}, s.values...)...)
	}
	s.frontServes()
}

// kubectl runs in the namespace, and must succeed.
func (s *site) kubectl(args ...string) string {
	s.t.Helper()
	return must[string](s.t, "kubectl")(s.try(args...))
}

func (s *site) try(args ...string) (string, error) {
	return s.run("", nil, "kubectl", append([]string{"-n", s.namespace}, args...)...)
}

// apply applies objects, as text.
func (s *site) apply(text string) {
	s.t.Helper()
	must[string](s.t, "apply")(s.run("", []byte(text), "kubectl", "-n", s.namespace, "apply", "--server-side", "-f", "-"))
}

func (s *site) run0(name string, args ...string) string {
	s.t.Helper()
	return must[string](s.t, "run")(s.run("", nil, name, args...))
}

func (s *site) helmRun(args ...string) string {
	s.t.Helper()
	out, err := s.run("", nil, s.helm, append([]string{"-n", s.namespace}, args...)...)
	if err != nil {
		s.explain()
		s.t.Fatal(err)
	}
	return out
}

// pods are the names of the pods of a component.
func (s *site) pods(component string) []string {
	s.t.Helper()
	return strings.Fields(s.kubectl("get", "pods", "-l", "app.kubernetes.io/component="+component, "--field-selector", "status.phase=Running", "-o", "jsonpath={.items[*].metadata.name}"))
}

// settled waits until every Deployment and every store has what it wants.
func (s *site) settled() {
	s.t.Helper()
	for _, name := range []string{"postgres", "bucket", "redis"} {
		s.kubectl("rollout", "status", "statefulset/"+name, "--timeout="+patience)
	}
	for _, name := range []string{"auth", "files", "gateway"} {
		s.kubectl("rollout", "status", "deployment/cloakroom-"+name, "--timeout="+patience)
	}
}

// wait tries until it works.
func (s *site) wait(patience time.Duration, what string, try func() error) {
	s.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	s.explain()
	s.t.Fatalf("%s after %v: %v", what, patience, err)
}

// explain says what the cluster looks like, for whoever reads why a test failed.
func (s *site) explain() {
	s.t.Helper()
	for _, ask := range [][]string{
		{"get", "pods", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp", "-o", "custom-columns=AT:.lastTimestamp,OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message"},
		{"logs", "-l", "app.kubernetes.io/part-of=cloakroom", "--all-containers", "--prefix", "--tail=8"},
		{"logs", "-l", "store", "--prefix", "--tail=5"},
		{"logs", "-n", s.front(), "-l", "app=front", "--tail=20"},
	} {
		out, err := s.try(ask...)
		s.t.Logf("kubectl %s: %v\n%s", strings.Join(ask[:2], " "), err, out[max(0, len(out)-6000):])
	}
}

// remove takes the release and the namespace away, unless somebody wants to look.
func (s *site) remove() {
	if s.t.Failed() {
		s.explain()
	}
	if os.Getenv("CLUSTER_KEEP") != "" {
		s.t.Logf("kept: namespace %s", s.namespace)
		return
	}
	_, _ = s.run("", nil, s.helm, "-n", s.namespace, "uninstall", "cloakroom", "--ignore-not-found")
	_, _ = s.run("", nil, "kubectl", "delete", "namespace", s.namespace, s.front(), "--ignore-not-found", "--wait=false")
}

// anyone is a client without a session.
func (s *site) anyone() *harness.Client { return harness.NewClient(s.t, s.base) }
