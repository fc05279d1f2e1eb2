package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// page is a guide whose commands are run part by part, beside a stack in .data of the folder they run in.
type page struct {
	t        *testing.T
	dir      string
	programs string              // the folder they are in
	parts    map[string][]string // heading -> blocks
}

func openPage(t *testing.T, dir, name string) *page {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(harness.Root(t), "docs/guides", name))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, dir: dir, parts: map[string][]string{}}
	for _, pkg := range []string{"stack", "auth-svc/cmd/auth-svc", "files-svc/cmd/files-svc"} {
		p.programs = filepath.Dir(harness.Build(t, "cloakroom.dev/"+pkg))
	}
	for _, part := range strings.Split(string(raw), "\n## ")[1:] {
		heading, rest, _ := strings.Cut(part, "\n")
		for _, m := range block.FindAllStringSubmatch(rest, -1) {
			p.parts[heading] = append(p.parts[heading], m[1])
		}
	}
	return p
}

// run runs the next block below the heading, as it stands.
func (p *page) run(heading string) string {
	p.t.Helper()
	if len(p.parts[heading]) == 0 {
		p.t.Fatalf("the page has no further commands below %q", heading)
	}
	commands := p.parts[heading][0]
	p.parts[heading] = p.parts[heading][1:]
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "PATH="+p.programs+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s\n%s", heading, err, commands, out)
	}
	return string(out)
}

// all fails when there are commands that nobody ran.
func (p *page) all() {
	for heading, blocks := range p.parts {
		for _, b := range blocks {
			p.t.Errorf("nothing runs this, below %q:\n%s", heading, b)
		}
	}
}

// The page is followed from the first backup to the last incident, on one stack with people in it: what was acknowledged before the backup
// is there after the restore, what was deleted since is deleted again, and no session is lost by a rotation.
func TestRecovery_CommandsDoWhatTheySay(t *testing.T) {
	dir := t.TempDir()
	s := harness.StartIn(t, filepath.Join(dir, ".data"))
	p := openPage(t, dir, "recovery.md")
	delete(p.parts, replicated) // TestRecovery_OfADatabaseAndABucket
	c := harness.NewClient(t, s.Public)
	ada := c.SignUp()
	c.Do("POST", "/v1/auth/signup", map[string]string{"username": "gone", "password": harness.Password}).Is(201)
	kept := ada.Upload("kept.txt", []byte("before the backup")).Is(201).File()

	backUpUnderLoad(t, p, ada)
	after := ada.Upload("after.txt", []byte("after the backup")).Is(201).File()
	stop(t, s)
	p.run("Backup while it serves")
	t.Logf("%s", p.run("Restore")) // each of its commands fails when something is wrong
	s.Run()
	c = harness.NewClient(t, s.Public)
	ada = c.LogIn(ada.User.Username, harness.Password)
	if got := string(ada.Do("GET", "/v1/files/"+kept.ID+"/content", nil).Is(200).Body); got != "before the backup" {
		t.Errorf("the file is %q", got)
	}
	ada.Do("GET", "/v1/files/"+after.ID, nil).Is(404)
	c.Fresh().LogIn("gone", harness.Password)
	p.run("Restore")
	await(t, "who was deleted again logs in", func() bool {
		return c.Fresh().Do("POST", "/v1/auth/login", map[string]string{"identifier": "gone", "password": harness.Password}).Status == 401
	})

	rotate(t, p, s, ada.User.Username)
	p.all()

	cold := harness.StartIn(t, filepath.Join(dir, "backup-stopped"))
	owner := harness.NewClient(t, cold.Public).LogIn(ada.User.Username, harness.Password)
	owner.Do("GET", "/v1/files/"+after.ID+"/content", nil).Is(200)
}

// backUpUnderLoad makes the backup while files come in.
func backUpUnderLoad(t *testing.T, p *page, ada *harness.Client) {
	t.Helper()
	done := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if a := ada.Try("POST", "/v1/files", strings.NewReader("during"), harness.Raw("during.txt")); a.Status != 201 {
					t.Errorf("an upload during the backup: %d %v", a.Status, a.Err)
					return
				}
			}
		}
	})
	out := p.run("Backup while it serves")
	close(done)
	busy.Wait()
	if !strings.Contains(out, "is backed up in backup; ") {
		t.Errorf("%s", out)
	}
}

func stop(t *testing.T, s *harness.Stack) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// rotate turns every key there is. Sessions that were open before go on after each.
func rotate(t *testing.T, p *page, s *harness.Stack, username string) {
	t.Helper()
	ada := harness.NewClient(t, s.Public).LogIn(username, harness.Password)
	if out := p.run("Rotation"); !strings.Contains(out, "next") {
		t.Errorf("%s", out)
	}
	ada.Do("GET", "/v1/users/me", nil).Is(200)
	p.run("Rotation")
	stop(t, s)
	s.Run()
	ada = reach(t, s, ada)
	ada.Do("GET", "/v1/users/me", nil).Is(200)
	ada.Refresh().Is(200)

	p.run("A key that leaked")
	answered := func(status int) bool { return ada.Try("GET", "/v1/users/me", nil).Status == status }
	// A command is another process: the service looks once a second for what others have done. How soon is another test's to hold, on a
	// machine that is not busy.
	await(t, "a token under a killed key is taken", func() bool { return answered(401) })
	await(t, "no refresh brings a token that is taken", func() bool { ada.Refresh().Is(200); return answered(200) })
}

func await(t *testing.T, otherwise string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}

// reach is the same person at a stack that has another address since its restart.
func reach(t *testing.T, s *harness.Stack, c *harness.Client) *harness.Client {
	t.Helper()
	moved := harness.NewClient(t, s.Public)
	moved.Session, moved.User = c.Session, c.User
	return moved
}

func TestIncidents_CommandsDoWhatTheySay(t *testing.T) {
	dir := t.TempDir()
	s := harness.StartIn(t, filepath.Join(dir, ".data"))
	c := harness.NewClient(t, s.Public)
	c.Do("POST", "/v1/auth/signup", map[string]string{"username": "ada", "password": harness.Password}).Is(201)
	intruder := c.LogIn("ada", harness.Password)
	p := openPage(t, dir, "incidents.md")
	p.run("Somebody is in another person's account")
	p.all()
	intruder.Do("POST", "/v1/auth/refresh", map[string]string{"refresh_token": intruder.Session.RefreshToken}).Is(401)
	await(t, "the intruder's token is taken", func() bool { return intruder.Do("GET", "/v1/users/me", nil).Status == 401 })
	c.Fresh().LogIn("ada", harness.Password)
}
