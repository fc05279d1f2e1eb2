package cluster

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/tests/harness"
)

func upgrade(s *site) {
	s.t.Helper()
	s.helmRun(append([]string{"upgrade", "cloakroom", "charts/cloakroom", "--set", "image.tag=" + next, "--wait", "--timeout", patience}, s.values...)...)
	s.runs(next)
	for _, table := range []string{"auth.users", "files.files"} { // the migrations did run
		s.sql("SELECT of_the_next_release FROM " + table + " LIMIT 1")
	}
	helmTest(s)
}

// helmTest lets the release say whether it is well, from inside, where the front is not in between.
func helmTest(s *site) {
	s.t.Helper()
	s.t.Log(s.helmRun("test", "cloakroom", "--logs", "--timeout", patience))
}

func rollback(s *site) {
	s.t.Helper()
	s.helmRun("rollback", "cloakroom", "--wait", "--timeout", patience)
	s.runs(release)
	helmTest(s)
}

// runs holds that every pod of ours is of this release.
func (s *site) runs(tag string) {
	s.t.Helper()
	for _, component := range []string{"auth", "files", "gateway"} {
		images := s.kubectl("get", "deployment", "cloakroom-"+component, "-o", "jsonpath={.spec.template.spec.containers[*].image}")
		if !strings.HasSuffix(images, ":"+tag) {
			s.t.Errorf("%s runs %s, want %s", component, images, tag)
		}
	}
}

func (s *site) sql(statement string) string {
	s.t.Helper()
	return s.kubectl("exec", "postgres-0", "--", "psql", "-U", "cloakroom", "-d", "cloakroom", "-v", "ON_ERROR_STOP=1", "-Atc", statement)
}

// rotateSigningKeys does so and waits until tokens are signed by another one.
func rotateSigningKeys(s *site) {
	s.t.Helper()
	person := s.anyone().SignUp()
	before := keyOf(person)
	s.kubectl("exec", "deploy/cloakroom-auth", "--", "/auth-svc", "keys", "rotate", "--config", "/etc/cloakroom", "--config", "crd://"+s.namespace)
	// The next key signs once it has been published for the five minutes that a verifier may keep a set of keys: counted from the
	// installation, so it is only waited for where that was quick.
	s.wait(7*time.Minute, "another key signs", func() error {
		if keyOf(person.LogIn(person.User.Username, harness.Password)) == before {
			time.Sleep(time.Second)
			return fmt.Errorf("%s still signs", before)
		}
		return nil
	})
}

// keyOf is the id of the key that signed a client's token.
func keyOf(c *harness.Client) string {
	head, _, _ := strings.Cut(c.Session.AccessToken, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(head)
	var header struct{ KID string }
	_ = json.Unmarshal(raw, &header)
	return header.KID
}

// rotateSecrets does what the guide says: the new one behind the old one, so that all know it; then in front; then alone for what is
// made from now on, with the old one kept for what it has sealed.
func rotateSecrets(s *site) {
	s.t.Helper()
	old := s.secretOf("cloakroom-keys")
	fresh := map[string]string{"key-encryption": strings.Repeat("5a", 32), "mac": strings.Repeat("a5", 32)}
	for _, first := range []bool{false, true} {
		data := map[string]string{}
		for key := range fresh {
			lines := []string{old[key], fresh[key]}
			if first {
				slices.Reverse(lines)
			}
			data[key] = strings.Join(lines, "\n") + "\n"
		}
		s.putSecret("cloakroom-keys", data)
		s.restart("auth")
	}
}

func (s *site) secretOf(name string) map[string]string {
	s.t.Helper()
	var object struct{ Data map[string][]byte }
	if err := json.Unmarshal([]byte(s.kubectl("get", "secret", name, "-o", "json")), &object); err != nil {
		s.t.Fatal(err)
	}
	data := map[string]string{}
	for key, value := range object.Data {
		data[key] = string(value)
	}
	return data
}

func (s *site) putSecret(name string, data map[string]string) {
	s.t.Helper()
	patch := must[[]byte](s.t, "patch")(json.Marshal(map[string]any{"stringData": data}))
	s.kubectl("patch", "secret", name, "--type=merge", "-p", string(patch))
}

func (s *site) restart(components ...string) {
	s.t.Helper()
	for _, component := range components {
		s.kubectl("rollout", "restart", "deployment/cloakroom-"+component)
	}
	s.settled()
}

// rotateDatabase makes a second login that is the first one's equal, lets the services change to it, and ends the first one.
func rotateDatabase(s *site) {
	s.t.Helper()
	const password = "another-password-of-the-database"
	s.sql("CREATE ROLE another LOGIN PASSWORD '" + password + "' IN ROLE cloakroom; ALTER ROLE another SET role = 'cloakroom'")
	s.putSecret("database", map[string]string{"dsn": "postgres://another:" + password + "@postgres:5432/cloakroom?sslmode=disable"})
	s.restart("auth", "files")
	s.wait(time.Minute, "nobody uses the old login", func() error {
		if n := strings.TrimSpace(s.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'cloakroom' AND client_addr IS NOT NULL")); n != "0" {
			return fmt.Errorf("%s connections", n)
		}
		return nil
	})
}

// evict asks for one pod of each service to go away, as kubectl drain asks for all of a node, and waits for another one.
func evict(s *site) {
	s.t.Helper()
	for _, component := range []string{"auth", "files", "gateway"} {
		pod := s.pods(component)[0]
		body := fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q, "namespace": %q}}`, pod, s.namespace)
		path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", s.namespace, pod)
		must[string](s.t, "evict "+pod)(s.run("", []byte(body), "kubectl", "create", "--raw", path, "-f", "-"))
		s.kubectl("wait", "--for=delete", "pod/"+pod, "--timeout=2m")
		s.settled()
	}
}

// applyBad asks for what can't be, in the three ways there are: what the API server refuses, what it lets in under the rules of another
// release, and what refers to nothing. The cluster says so each time, and what is served stays.
func applyBad(s *site) {
	s.t.Helper()
	quota := func(value string) []string {
		return []string{"patch", "storagepolicy.cloakroom.dev/default", "--type=merge", "-p", fmt.Sprintf(`{"spec": {"quota": %q}}`, value)}
	}
	if _, err := s.try(quota("lots")...); err == nil || !strings.Contains(err.Error(), "spec.quota") {
		s.t.Errorf("the API server took a quota of lots: %v", err)
	}
	before := strings.TrimSpace(s.kubectl("get", "storagepolicy.cloakroom.dev/default", "-o", "jsonpath={.spec.quota}"))
	const spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec"
	s.kubectl("patch", "crd", "storagepolicies.cloakroom.dev", "--type=json", "-p",
		`[{"op": "remove", "path": "`+spec+`/properties/quota/pattern"}, {"op": "remove", "path": "`+spec+`/x-kubernetes-validations"}]`)
	defer s.run0("kubectl", "apply", "--server-side", "--force-conflicts", "-f", "k8s/crds/cloakroom.dev_storagepolicies.yaml")
	defer func() { // whatever comes of it, the next step has a release that can be served
		_, _ = s.try(quota(before)...)
		_, _ = s.try("delete", "route.cloakroom.dev/of-nobody", "--ignore-not-found")
	}()
	s.wait(30*time.Second, "the API server takes it", func() error { _, err := s.try(quota("lots")...); return err })
	s.says("storagepolicy", "default", "Accepted", "False", `serving generation`)
	s.apply(`{apiVersion: cloakroom.dev/v1alpha1, kind: Route, metadata: {name: of-nobody}, spec: {rules: [{matches: [{path: {type: Exact, value: /v1/of-nobody}}],
		auth: {tokenPolicyRef: {name: of-nobody}}, backends: [{name: files}]}]}}`)
	s.says("route", "of-nobody", "Ready", "False", "")
	time.Sleep(3 * time.Second) // the load goes on
	s.kubectl(quota(before)...)
	s.says("storagepolicy", "default", "Ready", "True", "")
	s.kubectl("delete", "route.cloakroom.dev/of-nobody")
}

// says waits until an object's status has a condition for its present generation.
func (s *site) says(kind, name, what, status, message string) {
	s.t.Helper()
	s.wait(30*time.Second, fmt.Sprintf("%s %s is %s=%s", kind, name, what, status), func() error {
		generation, all := s.conditions(kind, name)
		for _, c := range all {
			if c.Type == what && c.Status == status && c.ObservedGeneration == generation && strings.Contains(c.Message, message) {
				s.t.Logf("%s %s: %s=%s %s: %s", kind, name, c.Type, c.Status, c.Reason, c.Message)
				return nil
			}
		}
		return fmt.Errorf("generation %d: %+v", generation, all)
	})
}

type condition struct {
	Type, Status, Reason, Message string
	ObservedGeneration            int64
}

func (s *site) conditions(kind, name string) (generation int64, all []condition) {
	s.t.Helper()
	var object struct {
		Metadata struct{ Generation int64 }
		Status   struct{ Conditions []condition }
	}
	if err := json.Unmarshal([]byte(s.kubectl("get", kind+".cloakroom.dev/"+name, "-o", "json")), &object); err != nil {
		s.t.Fatal(err)
	}
	return object.Metadata.Generation, object.Status.Conditions
}

// seen is how long it takes until every gateway uses a pod that is ready again: names are looked up every five seconds, and the
// cluster's DNS keeps an answer for five.
const seen = 12 * time.Second

// killEach kills the process of each pod of a component, the next one when the first one's pod has another.
func killEach(component string) func(*site) {
	return func(s *site) {
		s.t.Helper()
		for _, pod := range s.pods(component) {
			if !s.kill(pod) {
				s.t.Logf("the processes of the node can't be seen from here: %s is deleted by force, which gives it two seconds", pod)
				s.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
			}
			s.settled()
			time.Sleep(seen)
		}
	}
}

// lose takes a store away for ten seconds, without a word.
func lose(store string) func(*site) {
	return func(s *site) {
		s.t.Helper()
		s.kubectl("scale", "statefulset/"+store, "--replicas=0")
		_, _ = s.try("delete", "pod", store+"-0", "--grace-period=0", "--force", "--ignore-not-found")
		time.Sleep(10 * time.Second)
		s.kubectl("scale", "statefulset/"+store, "--replicas=1")
		s.kubectl("rollout", "status", "statefulset/"+store, "--timeout="+patience)
	}
}
