package cluster

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// step is something that is done to an installation under load, and what is promised meanwhile.
type step struct {
	name    string
	promise string
	do      func(s *site)
	// may are the refusals clients may see; without any, nobody may see one.
	may []string
	// serves are what must not fail all the same.
	serves []string
}

// recovery is within how long everything works again after a step. It holds on a loaded machine, for pods are ready by then.
const recovery = 30 * time.Second

const nobody = "nobody notices"

// steps are all of them, in this order; docs/guides/kubernetes.md has a row for each.
func steps() []step {
	return []step{
		{name: "nothing is done", promise: nobody, do: func(*site) { time.Sleep(5 * time.Second) }},
		{name: "`helm upgrade` to a release with a migration", promise: nobody, do: upgrade},
		{name: "`helm rollback` to the release before, on the new schema", promise: nobody, do: rollback},
		{name: "signing keys rotated", promise: nobody, do: rotateSigningKeys},
		{name: "`key-encryption` and `mac` rotated", promise: nobody, do: rotateSecrets},
		{name: "database password rotated", promise: nobody, do: rotateDatabase},
		{name: "a pod of each service evicted, as a drain of a node does", promise: nobody, do: evict},
		{name: "a Route that can't be served is applied", promise: nobody + "; its status says what is wrong", do: applyBad},
		{name: "auth-svc: each pod killed", do: killPods("auth"), may: []string{"502", "503"}, serves: []string{"session", "list", "download"},
			promise: "the other one serves; what was with this one may be 502 or 503"},
		{name: "files-svc: each pod killed", do: killPods("files"), may: []string{"502", "503", "no answer"}, serves: []string{"session", "refresh", "login", "logout"},
			promise: "the other one serves; what was with this one may be 502, 503 or cut"},
		{name: "gateway: each pod killed", do: killPods("gateway"), may: []string{"no answer"}, promise: "requests on their way through it end; the other one serves"},
		{name: "Redis lost for 10 s", promise: nobody + "; each gateway keeps its share of the limits", do: lose("redis")},
		{name: "PostgreSQL lost for 10 s", do: lose("postgres"), may: []string{"503", "504"}, promise: "503 until it is back; no session and no file is lost"},
	}
}

// row is what a step did.
type row struct {
	step      step
	seen      map[string]int // by kind of answer
	took      time.Duration
	recovered time.Duration
}

// TestSteps installs the release, does the main job, and then every step under one load that never pauses.
func TestSteps(t *testing.T) {
	c := up(t)
	c.images(t)
	s := newSite(t, c)
	s.install()
	t.Run("the main job", s.mainJob)
	if t.Failed() {
		return
	}
	ada, l := s.anyone().SignUp(), s.load(4)
	var rows []row
	for _, one := range steps() {
		if only := os.Getenv("CLUSTER_STEPS"); only != "" && !strings.Contains(one.name, only) {
			continue
		}
		if !t.Run(one.name, func(t *testing.T) { rows = append(rows, s.under(t, l, ada, one)) }) && len(rows) == 0 {
			break
		}
	}
	l.stop()
	t.Logf("what clients saw:\n%s", table(rows))
	if len(rows) == len(steps()) && !t.Failed() {
		writeGuide(t, rows)
	}
}

// under does one step and holds what is promised.
func (s *site) under(t *testing.T, l *load, ada *harness.Client, one step) row {
	t.Helper()
	outer := s.t
	s.t = t
	defer func() { s.t = outer }()
	l.take()
	began := time.Now()
	one.do(s)
	done := time.Now()
	s.wait(recovery, "everything works again", func() error { return s.works(ada) })
	r := row{step: one, seen: map[string]int{}, took: done.Sub(began), recovered: time.Since(done)}
	s.settled()
	asked, failures := l.take()
	for what, n := range asked {
		asking, kind, _ := strings.Cut(what, ": ")
		r.seen[kind] += n
		allowed := kind == ok || !slices.Contains(one.serves, asking) && slices.ContainsFunc(one.may, func(may string) bool { return strings.HasPrefix(kind, may) })
		if !allowed {
			t.Errorf("%d × %s, which must not be:\n%s", n, what, failures)
		}
	}
	if r.seen[ok] == 0 {
		t.Error("nothing was served at all")
	}
	t.Logf("%s: %v in %v, whole again after %v", one.name, asked, r.took.Round(time.Millisecond), r.recovered.Round(time.Millisecond))
	return r
}

// works tries everything once.
func (s *site) works(ada *harness.Client) error {
	made := ada.Try("POST", "/v1/files", strings.NewReader("again"), harness.Raw("again"))
	if kindOf(made) != ok {
		return fmt.Errorf("an upload: %s %v", kindOf(made), made.Err)
	}
	read := ada.Try("GET", "/v1/files/"+made.File().ID+"/content", nil)
	if kindOf(read) != ok || string(read.Body) != "again" {
		return fmt.Errorf("a download: %s %v", kindOf(read), read.Err)
	}
	a := ada.Try("POST", "/v1/auth/refresh", map[string]string{"refresh_token": ada.Session.RefreshToken}, harness.Header("Authorization", ""))
	if kindOf(a) != ok {
		return fmt.Errorf("a refresh: %s %v", kindOf(a), a.Err)
	}
	var body struct{ Session harness.Session }
	a.JSON(&body)
	ada.Session = body.Session
	return nil
}

func upgrade(s *site) {
	s.t.Helper()
	s.helmRun(append([]string{"upgrade", "cloakroom", "charts/cloakroom", "--set", "image.tag=" + next, "--wait", "--timeout", patience}, s.values...)...)
	s.runs(next)
	for _, table := range []string{"users", "files"} { // the migrations did run
		s.sql("SELECT of_the_next_release FROM " + table + " LIMIT 1")
	}
}

func rollback(s *site) {
	s.t.Helper()
	s.helmRun("rollback", "cloakroom", "--wait", "--timeout", patience)
	s.runs(release)
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
	s.kubectl("exec", "deploy/cloakroom-auth", "--", "/auth-svc", "keys", "rotate", "--config", "/etc/cloakroom")
	s.wait(3*time.Minute, "another key signs", func() error {
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

// applyBad changes a Route into one that the API server takes and no gateway can serve, and sees that its status says so.
func applyBad(s *site) {
	s.t.Helper()
	const patch = `[{"op": "replace", "path": "/spec/rules/0/auth/tokenPolicyRef/name", "value": "%s"}]`
	s.kubectl("patch", "route.cloakroom.dev/files", "--type=json", "-p", fmt.Sprintf(patch, "of-nobody"))
	s.wait(30*time.Second, "the status says what is wrong", func() error {
		for _, c := range s.conditions("files") {
			if c.Status == "False" && c.ObservedGeneration > 1 && strings.Contains(c.Message, "of-nobody") {
				s.t.Logf("its status: %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
				return nil
			}
		}
		return fmt.Errorf("%+v", s.conditions("files"))
	})
	time.Sleep(3 * time.Second) // the load goes on, over the Route as it was
	s.kubectl("patch", "route.cloakroom.dev/files", "--type=json", "-p", fmt.Sprintf(patch, "default"))
	s.wait(30*time.Second, "the status says that it is served again", func() error {
		all := s.conditions("files")
		if len(all) == 0 || slices.ContainsFunc(all, func(c condition) bool { return c.Status != "True" }) {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
}

type condition struct {
	Type, Status, Reason, Message string
	ObservedGeneration            int64
}

func (s *site) conditions(route string) []condition {
	s.t.Helper()
	var object struct {
		Status struct{ Conditions []condition }
	}
	if err := json.Unmarshal([]byte(s.kubectl("get", "route.cloakroom.dev/"+route, "-o", "json")), &object); err != nil {
		s.t.Fatal(err)
	}
	return object.Status.Conditions
}

// killPods removes each pod of a component at once, the next one when another is there for the first.
func killPods(component string) func(*site) {
	return func(s *site) {
		s.t.Helper()
		for _, pod := range s.pods(component) {
			s.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
			s.settled()
			time.Sleep(2 * time.Second) // every gateway uses the new one
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

// table is what was seen, for the guide.
func table(rows []row) string {
	text := "| Step | Promised | Clients saw | Failed | Took |\n|---|---|---|---|---|\n"
	for _, r := range rows {
		failed, saw := 0, fmt.Sprintf("%d served", r.seen[ok])
		for _, kind := range slices.Sorted(maps.Keys(r.seen)) {
			if kind != ok {
				failed += r.seen[kind]
				saw += fmt.Sprintf(", %d × %s", r.seen[kind], kind)
			}
		}
		text += fmt.Sprintf("%s %s | %d | %.0f s |\n", r.step.cells(), saw, failed, (r.took + r.recovered).Seconds())
	}
	return text
}

func (s step) cells() string { return "| " + s.name + " | " + s.promise + " |" }

// Between these the guide has the table.
const tableBegins, tableEnds = "<!-- made by CLUSTER_WRITE=1 make test-cluster -->\n", "<!-- end -->\n"

func writeGuide(t *testing.T, rows []row) {
	t.Helper()
	if os.Getenv("CLUSTER_WRITE") == "" {
		return
	}
	path := filepath.Join(harness.Root(t), guide)
	text := string(must[[]byte](t, "read the guide")(os.ReadFile(path)))
	before, rest, begins := strings.Cut(text, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatal("the guide has no place for the table")
	}
	text = before + tableBegins + table(rows) + tableEnds + after
	must[struct{}](t, "write the guide")(struct{}{}, os.WriteFile(path, []byte(text), 0o644)) //nolint:gosec // for everyone to read
}
