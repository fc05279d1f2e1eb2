package cluster

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// throughTheFront holds what a release behind an ingress owes those who come through it.
func (s *site) throughTheFront(t *testing.T) {
	t.Run("the e2e suite", s.suite)
	t.Run("large files", s.large)
	t.Run("addresses", s.addresses)
	restarts := s.inFront("get", "pod", "front-0", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
	if restarts != "0" {
		t.Errorf("the front was started again %s times: what it kept of a body had no room", restarts)
	}
}

// suite runs the cases of tests/e2e that need nothing but a URL, as they are. The others are listed there, each with its reason.
func (s *site) suite(t *testing.T) {
	authority := filepath.Join(t.TempDir(), "authority.pem")
	must[struct{}](t, "write the authority")(struct{}{}, os.WriteFile(authority, s.authority, 0o600))
	anywhere := harness.Cases(t, filepath.Join(s.root, "tests/e2e"))
	maps.DeleteFunc(anywhere, func(_ string, anywhere bool) bool { return !anywhere })
	names := slices.Sorted(maps.Keys(anywhere))
	if len(names) == 0 {
		t.Fatal("no case of tests/e2e runs elsewhere")
	}
	out, err := s.run("tests", nil, "env", harness.ElsewhereURL+"="+s.base, harness.ElsewhereAddress+"="+s.address, harness.ElsewhereAuthority+"="+authority,
		"go", "test", "-count=1", "-v", "-run", "^("+strings.Join(names, "|")+")$", "./e2e")
	for _, name := range names {
		if !strings.Contains(out, "\n--- PASS: "+name+" ") {
			t.Errorf("%s did not pass", name)
		}
	}
	if t.Logf("%d cases: %s", len(names), strings.Join(names, ", ")); err != nil || t.Failed() {
		t.Errorf("%v\n%s", err, out[max(0, len(out)-8000):])
	}
}

// size is more than the front has memory and disk for together.
const size = 256 << 20

// large sends a file in and takes it out again slowly: nothing on the way has room for it, or ends it for being long.
func (s *site) large(t *testing.T) {
	ada := harness.NewClient(t, s.base).SignUp()
	client := &http.Client{Transport: ada.HTTP().Transport} // without a bound on the whole
	sent, got := sha256.New(), sha256.New()
	began := time.Now()
	file := s.exchange(t, client, ada, "POST", "/v1/files", io.TeeReader(io.LimitReader(rand.Reader, size), sent), nil)
	in := time.Since(began)
	began = time.Now()
	s.exchange(t, client, ada, "GET", "/v1/files/"+file.ID+"/content", nil, got)
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Error("a large file came back with other bytes")
	}
	t.Logf("%d MiB in within %v, out, with pauses, within %v", size>>20, in.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	ada.Do("DELETE", "/v1/files/"+file.ID, nil).Is(204)
}

// exchange sends a body of the size, or reads one, pausing in the middle for longer than a client takes that was cut off.
func (s *site) exchange(t *testing.T, client *http.Client, ada *harness.Client, method, path string, body io.Reader, into hash.Hash) (file harness.File) {
	t.Helper()
	req, err := ada.Request(method, path, body, harness.Raw("large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.ContentLength = size
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if into == nil {
		if err := json.NewDecoder(res.Body).Decode(&file); err != nil || res.StatusCode != http.StatusCreated {
			t.Fatalf("answered %d: %v", res.StatusCode, err)
		}
		return file
	}
	for _, part := range []int64{1 << 20, 64 << 20, size} {
		if _, err := io.CopyN(into, res.Body, min(part, size)); err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("a download ended: %v", err)
		}
		time.Sleep(5 * time.Second)
	}
	return file
}

// addresses holds whose address is in the audit trail: that of who came, seen through the front, whatever they say of themselves. Who goes
// round the front is believed nothing, and gets no further than the network lets them.
func (s *site) addresses(t *testing.T) {
	const said = "203.0.113.9"
	here := s.addressOf(s.namespace, "visitor")
	beside := s.addressOf(s.front(), "visitor")
	service := strings.TrimSpace(s.inFront("get", "service", "front", "-o", "jsonpath={.spec.clusterIP}"))
	through := []string{"--insecure", "--connect-to", "::" + service + ":443", s.base + "/v1/auth/login"}
	direct := []string{"http://cloakroom-gateway." + s.namespace + "/v1/auth/login"}
	admin := s.administrator(t)
	for _, one := range []struct {
		what, namespace string
		ask             []string
		want            string
	}{
		{"through the front", s.namespace, through, here},
		{"through the front, with an address of their own making", s.namespace, append([]string{"-H", "X-Forwarded-For: " + said}, through...), here},
		{"round it, from where the network lets them", s.front(), append([]string{"-H", "X-Forwarded-For: " + said}, direct...), beside},
	} {
		person := s.anyone().SignUp()
		if status := s.visit(t, one.namespace, person, one.ask); status != "200" {
			t.Errorf("%s: %s", one.what, status)
			continue
		}
		if got := loginsOf(admin, person); !slices.Contains(got, one.want) || slices.Contains(got, said) {
			t.Errorf("%s: the trail has the addresses %q, want %s", one.what, got, one.want)
		}
	}
	if status := s.visit(t, s.namespace, s.anyone().SignUp(), direct); status != "000" {
		t.Errorf("the network lets somebody round the front: %s", status)
	}
}

// visit logs somebody in from a pod, and returns the status; 000 is none within five seconds.
func (s *site) visit(t *testing.T, namespace string, person *harness.Client, ask []string) string {
	t.Helper()
	body := fmt.Sprintf(`{"identifier": %q, "password": %q}`, person.User.Username, harness.Password)
	out, err := s.run("", nil, "kubectl", append([]string{"-n", namespace, "exec", "visitor", "--", "curl", "-s", "-m", "5", "-o", "/dev/null",
		"-w", "%{http_code}", "-H", "Content-Type: application/json", "-d", body}, ask...)...)
	if out == "" {
		t.Fatal(err)
	}
	return out
}

// administrator is made as the guide says.
func (s *site) administrator(t *testing.T) *harness.Client {
	t.Helper()
	name := harness.NewUsername()
	_, err := s.run("", []byte(harness.Password+"\n"), "kubectl", "-n", s.namespace, "exec", "-i", "deploy/cloakroom-auth", "--",
		"/auth-svc", "user", "create", "--username", name, "--role", "admin", "--password-stdin", "--config", "/etc/cloakroom", "--config", "crd://"+s.namespace)
	if err != nil {
		t.Fatal(err)
	}
	return s.anyone().LogIn(name, harness.Password)
}

// loginsOf are the addresses that a person logged in from.
func loginsOf(admin, person *harness.Client) (addresses []string) {
	var trail struct {
		Items []struct{ Personal struct{ IP string } }
	}
	admin.Do("GET", "/v1/audit?action=session.login&user_id="+person.User.ID, nil).Is(200).JSON(&trail)
	for _, row := range trail.Items {
		addresses = append(addresses, row.Personal.IP)
	}
	return addresses
}
