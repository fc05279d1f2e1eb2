package cluster

import (
	"fmt"
	"os"
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
		{name: "`helm test`", promise: nobody + "; every part is well", do: helmTest},
		{name: "`helm upgrade` to a release with a migration", promise: nobody, do: upgrade},
		{name: "`helm rollback` to the release before, on the new schema", promise: nobody, do: rollback},
		{name: "signing keys rotated", promise: nobody, do: rotateSigningKeys},
		{name: "`key-encryption` and `mac` rotated", promise: nobody, do: rotateSecrets},
		{name: "database password rotated", promise: nobody, do: rotateDatabase},
		{name: "a pod of each service evicted, as a drain of a node does", promise: nobody, do: evict},
		{name: "custom resources applied that can't be served", promise: nobody + "; their status says what is wrong, what was in force stays", do: applyBad},
		{name: "auth-svc: each process killed", do: killEach("auth"), may: []string{"502", "503"}, serves: []string{"session", "list", "download"},
			promise: "the other one serves; what was with this one may be 502 or 503"},
		{name: "files-svc: each process killed", do: killEach("files"), may: []string{"502", "503", "no answer"}, serves: []string{"session", "refresh", "login", "logout"},
			promise: "the other one serves; what was with this one may be 502, 503 or cut"},
		{name: "gateway: each process killed", do: killEach("gateway"), may: []string{"no answer", "502 without"}, promise: "requests on their way through it end; the other one serves"},
		{name: "Redis lost for 10 s", promise: nobody + "; each gateway keeps its share of the limits", do: lose("redis")},
		{name: "PostgreSQL lost for 10 s", do: lose("postgres"), may: []string{"503", "504"}, promise: "503 until it is back; no session and no file is lost"},
	}
}

// row is what a step did.
type row struct {
	step      step
	seen      map[string]int // by kind of answer
	again     int            // how often the front could not connect to a pod and tried again
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
	t.Run("through the front", s.throughTheFront)
	if t.Failed() {
		return
	}
	ada, l := s.anyone().SignUp(), s.load(4)
	var rows []row
	for _, one := range steps() {
		if !asked(one.name) {
			continue
		}
		if !t.Run(one.name, func(t *testing.T) { rows = append(rows, s.under(t, l, ada, one)) }) && len(rows) == 0 {
			break
		}
	}
	l.Stop()
	t.Logf("what clients saw:\n%s", table(rows))
	if len(rows) == len(steps()) && !t.Failed() {
		writeGuide(t, rows)
	}
}

// asked reports whether a step is to be done: $CLUSTER_STEPS are parts of names, with commas between; without any all are.
func asked(step string) bool {
	only := os.Getenv("CLUSTER_STEPS")
	return only == "" || slices.ContainsFunc(strings.Split(only, ","), func(part string) bool { return strings.Contains(step, part) })
}

// under does one step and holds what is promised.
func (s *site) under(t *testing.T, l *harness.Crowd, ada *harness.Client, one step) row {
	t.Helper()
	outer := s.t
	s.t = t
	defer func() { s.t = outer }()
	l.Take()
	before := s.again()
	began := time.Now()
	one.do(s)
	done := time.Now()
	s.wait(recovery, "everything works again", func() error { return s.works(ada) })
	r := row{step: one, seen: map[string]int{}, took: done.Sub(began), recovered: time.Since(done)}
	s.settled()
	asked, failures := l.Take()
	r.again = s.again() - before
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
	t.Logf("%s: %v in %v, whole again after %v; the front tried again %d times", one.name, asked, r.took.Round(time.Millisecond), r.recovered.Round(time.Millisecond), r.again)
	return r
}

// works tries everything once.
func (s *site) works(ada *harness.Client) error {
	made := ada.Try("POST", "/v1/files", strings.NewReader("again"), harness.Raw("again"))
	if kindOf(made) != ok {
		return fmt.Errorf("an upload: %s %s", kindOf(made), fmt.Sprint(made.Err))
	}
	read := ada.Try("GET", "/v1/files/"+made.File().ID+"/content", nil)
	if kindOf(read) != ok || string(read.Body) != "again" {
		return fmt.Errorf("a download: %s %s", kindOf(read), fmt.Sprint(read.Err))
	}
	a := ada.Try("POST", "/v1/auth/refresh", map[string]string{"refresh_token": ada.Session.RefreshToken}, harness.Header("Authorization", ""))
	if kindOf(a) != ok {
		return fmt.Errorf("a refresh: %s %s", kindOf(a), fmt.Sprint(a.Err))
	}
	var body struct{ Session harness.Session }
	a.JSON(&body)
	ada.Session = body.Session
	return nil
}
