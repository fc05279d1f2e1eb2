package authsvc_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/run"

	authsvc "cloakroom.dev/auth-svc"
)

// terminal runs the program's commands over one folder.
type terminal struct {
	t      *testing.T
	config string
}

func openTerminal(t *testing.T) (terminal, string) {
	t.Helper()
	dir, config := folder(t, objects+policy)
	return terminal{t, config}, dir
}

// try runs a command line and returns its exit code and both outputs.
func (x terminal) try(stdin string, args ...string) (code int, stdout, stderr string) {
	x.t.Helper()
	var out, errs bytes.Buffer
	args = append(args, "--config", x.config)
	code = run.Dispatch(x.t.Context(), "auth-svc", "test", args, run.IO{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs}, authsvc.Commands()...)
	return code, out.String(), errs.String()
}

// lines runs a command that must succeed, with --output json, and reads a T from each line.
func lines[T any](x terminal, args ...string) (got []T) {
	x.t.Helper()
	code, out, errs := x.try("", append(args, "--output", "json")...)
	if code != run.ExitOK || errs != "" {
		x.t.Fatalf("%v: exit %d, %s", args, code, errs)
	}
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var v T
		if err := d.Decode(&v); err != nil {
			x.t.Fatalf("%v: %v in %s", args, err, out)
		}
		got = append(got, v)
	}
	return got
}

type person struct {
	ID, Username, Status, Password string
	Roles                          []string
}

func TestConsole_PeopleWithoutAService(t *testing.T) {
	x, _ := openTerminal(t)
	made := lines[person](x, "user", "create", "--username", "ada", "--role", "admin", "--role", "guest")[0]
	if made.Username != "ada" || len(made.Password) < 20 || !slices.Equal(made.Roles, []string{"admin", "guest"}) {
		t.Errorf("made %+v", made)
	}
	code, out, errs := x.try("correct horse battery\nmore\n", "user", "create", "--username", "bob", "--email", "bob@example.com", "--password-stdin")
	if code != run.ExitOK || !strings.Contains(out, "bob@example.com") || strings.Contains(out+errs, "horse") {
		t.Errorf("create bob: %d %s %s", code, out, errs)
	}
	if got := lines[person](x, "user", "block", "BOB@example.com")[0]; got.Status != "blocked" {
		t.Errorf("blocked: %+v", got)
	}
	if got := lines[person](x, "user", "list", "--status", "blocked", "--limit", "1"); len(got) != 1 || got[0].Username != "bob" {
		t.Errorf("the blocked: %+v", got)
	}
	lines[person](x, "user", "unblock", "bob")
	if got := lines[person](x, "user", "list", "--limit", "0"); len(got) != 2 {
		t.Errorf("everybody: %+v", got)
	}
	exported := lines[struct {
		User    person
		History []struct{ Actor, Action string }
	}](x, "user", "export", "bob")[0]
	if exported.User.Username != "bob" || len(exported.History) != 4 || exported.History[0].Actor != "operator" {
		t.Errorf("exported %+v", exported)
	}
}

func TestConsole_SaysWhatToDoNext(t *testing.T) {
	x, _ := openTerminal(t)
	lines[person](x, "user", "create", "--username", "ada", "--role", "admin")
	for _, c := range []struct {
		line string
		code int
		says string
	}{
		{"user", run.ExitUsage, "say what to do: create, list, block, unblock, delete, export, import, reset-factors"},
		{"user destroy", run.ExitUsage, `there is no "destroy"`},
		{"user block", run.ExitUsage, "got 0 arguments, want 1"},
		{"user block a b", run.ExitUsage, "got 2 arguments, want 1"},
		{"user block nobody", run.ExitFailure, "user list --config"},
		{"user block ada", run.ExitFailure, "last administrator"},
		{"user create --username ada", run.ExitFailure, "exists already"},
		{"user create --email nonsense --role wizard", run.ExitFailure, "email: must be a mail address"},
		{"user create --username eve --role wizard", run.ExitFailure, `roles: there is no role "wizard"`},
		{"user create --username eve --password-stdin", run.ExitFailure, "stdin holds no password"},
		{"user create --password hunter2", run.ExitUsage, "flag provided but not defined"},
		{"user list --limit -1", run.ExitUsage, "--limit is 0 or more"},
		{"user list --output yaml", run.ExitUsage, "--output is text or json"},
		{"keys kill nokey", run.ExitFailure, "keys list --config"},
		{"api-key create --name x", run.ExitUsage, "--user WHO is needed"},
		{"api-key create --user ada --name x --permission all", run.ExitUsage, "resource:action:scope"},
		{"api-key create --user ada --name x --permission nothing:read:all", run.ExitFailure, "permission"},
		{"api-key revoke nokey", run.ExitFailure, "api-key list --config"},
		{"audit verify --head 7", run.ExitUsage, "--head"},
	} {
		code, out, errs := x.try("", strings.Fields(c.line)...)
		if code != c.code || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%s: exit %d, %q %q, want %d and %q", c.line, code, out, errs, c.code, c.says)
		}
	}
	if code, out, _ := x.try("", "user", "list", "--help"); code != run.ExitOK || !strings.Contains(out, "-limit") {
		t.Errorf("help: %d %s", code, out)
	}
	if _, out, _ := x.try("", "user", "reset-factors", "--help"); !strings.Contains(out, "--factor ID\n") {
		t.Errorf("help names no value for --factor: %s", out)
	}
}

func TestConsole_KeysAndAudit(t *testing.T) {
	x, dir := openTerminal(t)
	lines[person](x, "user", "create", "--username", "ada")
	key := lines[struct{ ID, Key string }](x, "api-key", "create", "--user", "ada", "--name", "backup", "--permission", "files:read:self", "--expires-in", "24h")[0]
	if !strings.HasPrefix(key.Key, "crk_") || len(lines[struct{ ID string }](x, "api-key", "list", "--user", "ada")) != 1 {
		t.Errorf("key: %+v", key)
	}
	lines[any](x, "api-key", "revoke", key.ID)
	if left := lines[any](x, "api-key", "list", "--user", "ada"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	type signing struct{ KID, State string }
	keys := lines[signing](x, "keys", "list")
	if len(lines[signing](x, "keys", "rotate")) < 2 {
		t.Error("no key follows")
	}
	current := keys[slices.IndexFunc(keys, func(k signing) bool { return k.State == "current" })].KID
	lines[any](x, "keys", "kill", current)
	for _, k := range lines[signing](x, "keys", "list") {
		if k.KID == current {
			t.Error("the killed key is still there")
		}
	}

	type report struct {
		OK   bool
		Rows int
		Head string
	}
	before := lines[report](x, "audit", "verify")[0]
	rows := lines[struct {
		Seq  int
		Hash string
	}](x, "audit", "export", "--after", "1")
	if !before.OK || len(rows) != before.Rows-1 || rows[0].Seq != 2 || !strings.HasSuffix(before.Head, rows[len(rows)-1].Hash) {
		t.Errorf("verified %+v, exported %d rows", before, len(rows))
	}
	lines[report](x, "audit", "verify", "--head", before.Head)
	harm(t, filepath.Join(dir, "auth.db"), `UPDATE audit SET target = 'user:somebody else' WHERE seq = 2`)
	code, out, errs := x.try("", "audit", "verify")
	if code != run.ExitFailure || !strings.Contains(out, "row 2 was changed") || !strings.Contains(errs, "Keep a copy") {
		t.Errorf("a changed row: %d %s %s", code, out, errs)
	}
}

// The command line is another process to the service: what it does must reach whoever follows the log, and the keys
// that the service signs with.
func TestConsole_WorksWhileTheServiceRuns(t *testing.T) {
	x, dir := openTerminal(t)
	logs, stderr := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	exit := make(chan int, 1)
	go func() {
		code, _ := program(ctx, stderr, "serve", "--config", x.config)
		_ = stderr.Close()
		exit <- code
	}()
	defer func() {
		stop()
		if code := <-exit; code != run.ExitOK {
			t.Errorf("serve ended with %d", code)
		}
	}()
	at := listening(t, logs)
	c := caller{t, "http://" + at["public"]}
	eventually(t, "ready", func() bool { status, _ := (caller{t, "http://" + at["ops"]}).get("/readyz", ""); return status == 200 })
	entries := followLog(ctx, t, "http://"+at["internal"])

	var boot struct {
		Admin struct{ Username, Password string }
	}
	raw, err := os.ReadFile(filepath.Join(dir, "bootstrap.json"))
	if err != nil || json.Unmarshal(raw, &boot) != nil {
		t.Fatal(err)
	}
	made := lines[person](x, "user", "create", "--username", "ada")[0]
	ada := c.login("ada", made.Password)
	began := time.Now()
	lines[person](x, "user", "block", "ada")
	waitFor(t, entries, "user_epoch", made.ID)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the followers heard after %s", took)
	}
	eventually(t, "ada's token is dead", func() bool { status, _ := c.get("/v1/auth/session", ada); return status == 401 })

	admin := c.login(boot.Admin.Username, boot.Admin.Password)
	var current string
	for _, k := range lines[struct{ KID, State string }](x, "keys", "list") {
		if k.State == "current" {
			current = k.KID
		}
	}
	lines[any](x, "keys", "kill", current)
	waitFor(t, entries, "signing_key", current)
	eventually(t, "the killed key's token is dead", func() bool { status, _ := c.get("/v1/auth/session", admin); return status == 401 })
	eventually(t, "the service signs with the next key", func() bool {
		status, _ := c.get("/v1/auth/session", c.login(boot.Admin.Username, boot.Admin.Password))
		return status == 200
	})
}

type caller struct {
	t    *testing.T
	base string
}

func (c caller) get(path, token string) (status int, body string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(raw)
}

func (c caller) login(identifier, password string) (access string) {
	c.t.Helper()
	body, _ := json.Marshal(map[string]string{"identifier": identifier, "password": password})
	res, err := http.Post(c.base+"/v1/auth/login", "application/json", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct {
		Session struct {
			AccessToken string `json:"access_token"`
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != 200 {
		c.t.Fatalf("log in as %s: %d %v", identifier, res.StatusCode, err)
	}
	return got.Session.AccessToken
}

type logEntry struct{ Kind, ID string }

// followLog follows the revocation log as a gateway does.
func followLog(ctx context.Context, t *testing.T, internal string) <-chan logEntry {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, internal+"/internal/v1/revocations?after=0&follower=test", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	entries := make(chan logEntry, 100)
	go func() {
		defer res.Body.Close()
		for scan := bufio.NewScanner(res.Body); scan.Scan(); {
			var line struct{ Entry *logEntry }
			if json.Unmarshal(scan.Bytes(), &line) == nil && line.Entry != nil {
				entries <- *line.Entry
			}
		}
	}()
	return entries
}

func waitFor(t *testing.T, entries <-chan logEntry, kind, id string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case e := <-entries:
			if e.Kind == kind && e.ID == id {
				return
			}
		case <-late:
			t.Fatalf("no %s of %s was heard", kind, id)
		}
	}
}

// harm changes the store as somebody with the file in hand could.
func harm(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func TestConsole_RelativePathsBeginInBase(t *testing.T) {
	x, _ := openTerminal(t)
	dir, config := folder(t, strings.ReplaceAll(objects, "%[1]s/", "")+policy+"# %[1]s")
	x.config = config
	made := lines[person](x, "user", "create", "--username", "ada", "--base", dir)
	if _, err := os.Stat(filepath.Join(dir, "auth.db")); err != nil || len(made) != 1 {
		t.Errorf("made %+v, %v", made, err)
	}
	other := t.TempDir()
	if code, out := program(t.Context(), io.Discard, "migrate", "--config", config, "--base", other); code != run.ExitOK {
		t.Errorf("migrate: %d %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(other, "auth.db")); err != nil {
		t.Errorf("migrate: %v", err)
	}
	code, _, errs := x.try("", "user", "block", "bob", "--base", dir)
	if code != run.ExitFailure || !strings.Contains(errs, "--base "+dir) {
		t.Errorf("exit %d, %s", code, errs)
	}
}
