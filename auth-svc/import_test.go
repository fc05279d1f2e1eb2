package authsvc_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/libs/run"
)

// imported is what user import prints.
type imported struct {
	Created, Present, Skipped, Refused, Lines int64
	From                                      int64  `json:"from_line"`
	Stop                                      *int64 `json:"stopped_at"`
	Done                                      bool
	Report                                    *string
}

type refusal struct {
	Line    int64
	Skipped bool
	Reasons []struct{ Field, Code, Detail string }
}

// importing writes a file and imports it.
func importing(x terminal, dir, text string, args ...string) (code int, out imported, left map[int64]refusal) {
	x.t.Helper()
	path := filepath.Join(dir, "people.ndjson")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
	code, stdout, stderr := x.try("", append([]string{"user", "import", "--source", "shop", "--output", "json", path}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		x.t.Fatalf("exit %d, %q %q", code, stdout, stderr)
	}
	left = map[int64]refusal{}
	if out.Report != nil {
		raw, err := os.ReadFile(*out.Report)
		if err != nil {
			x.t.Fatal(err)
		}
		for d := json.NewDecoder(strings.NewReader(string(raw))); d.More(); {
			var r refusal
			if err := d.Decode(&r); err != nil {
				x.t.Fatal(err)
			}
			if _, twice := left[r.Line]; twice {
				x.t.Errorf("line %d is told twice", r.Line)
			}
			left[r.Line] = r
		}
	}
	return code, out, left
}

const bcryptHash = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e" // of "correct horse"

func TestImport_TakesWhatOtherSystemsHold(t *testing.T) {
	x, dir := openTerminal(t)
	code, out, left := importing(x, dir, "\xef\xbb\xbf"+strings.Join([]string{
		`{"id": 1, "email": "ada@example.org", "email_verified": true, "name": "Ada", "password_hash": "` + bcryptHash + `"}` + "\r",
		`{"id": "b-2", "phone": "+44 20 7183 8750", "created_at": "2019-05-06T07:08:09Z", "status": "blocked"}`,
		``,
		`{"username": "eve", "email": null, "password": {"algorithm": "pbkdf2", "digest": "sha256", "iterations": 1000, "hash": "qQDPSZa3Ormyy9oK1Pu0ZLLwP2Svzmx3yu8OvDdq/J0=", "salt": "saltsalt", "salt_encoding": "text"}}`,
	}, "\n"))
	if code != run.ExitOK || out.Created != 3 || out.Lines != 4 || !out.Done || len(left) != 0 {
		t.Fatalf("exit %d, %+v, %v", code, out, left)
	}
	exported := lines[struct {
		User struct {
			CreatedAt     string `json:"created_at"`
			EmailVerified bool   `json:"email_verified"`
			Status        string
		}
		CameFrom []struct{ Source, ID string } `json:"came_from"`
	}](x, "user", "export", "+442071838750")[0]
	if exported.User.CreatedAt != "2019-05-06T07:08:09.000000Z" || exported.User.Status != "blocked" ||
		len(exported.CameFrom) != 1 || exported.CameFrom[0].ID != "b-2" {
		t.Errorf("exported %+v", exported)
	}
	// Again, and with more: nobody is made twice, and nothing is counted twice.
	if code, out, _ := importing(x, dir, read(t, dir)); code != run.ExitOK || out.Created != 3 || out.From != 4 {
		t.Errorf("again: exit %d, %+v", code, out)
	}
	if code, out, _ := importing(x, dir, read(t, dir)+"\n"+`{"username": "mallory"}`); code != run.ExitOK || out.Created != 4 || out.Lines != 5 {
		t.Errorf("with one more: exit %d, %+v", code, out)
	}
	if code, out, _ := importing(x, dir, `{"username": "zoe"}`+"\n"+read(t, dir)[3:]); code != run.ExitOK || out.Created != 1 || out.Present != 4 || out.From != 0 {
		t.Errorf("another input: exit %d, %+v", code, out)
	}
	if code, out, _ := importing(x, dir, read(t, dir), "--restart"); code != run.ExitOK || out.Present != 5 {
		t.Errorf("restarted: exit %d, %+v", code, out)
	}
	if people := lines[person](x, "user", "list", "--limit", "0"); len(people) != 5 {
		t.Errorf("there are %+v", people)
	}
	if code, _, errs := x.try("", "audit", "verify"); code != run.ExitOK {
		t.Errorf("audit: %s", errs)
	}
}

func read(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "people.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestImport_RefusesHostileLines(t *testing.T) {
	x, dir := openTerminal(t)
	lines[person](x, "user", "create", "--username", "taken", "--email", "taken@example.org", "--role", "admin")
	const tail = "$c2FsdHNhbHQ$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8"
	hash := func(h string) string { return `{"username": "x", "password_hash": "` + h + `"}` }
	fields := func(f string) string { return `{"username": "x", "password": {` + f + `}}` }
	cases := []struct{ name, line, field, code string }{
		{"argon2 of 4 GiB", hash("$argon2id$v=19$m=4194304,t=1,p=1" + tail), "password", "INVALID"},
		{"bcrypt 31", hash("$2b$31$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"), "password", "INVALID"},
		{"scrypt 2^40", hash("$scrypt$ln=40,r=8,p=1" + tail), "password", "INVALID"},
		{"scrypt 2^40 as fields", fields(`"algorithm": "scrypt", "n": 1099511627776, "r": 8, "p": 1, "hash": "ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8", "salt": "c2FsdA"`), "password", "INVALID"},
		{"negative iterations", fields(`"algorithm": "pbkdf2", "digest": "sha1", "iterations": -1, "hash": "ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8", "salt": "c2FsdA"`), "password", "INVALID"},
		{"huge iterations", fields(`"algorithm": "pbkdf2", "iterations": 99999999999999999999`), "password.iterations", "TYPE"},
		{"broken iterations", fields(`"algorithm": "pbkdf2", "iterations": 1e3`), "password.iterations", "TYPE"},
		{"no algorithm", fields(`"hash": "abc"`), "password.algorithm", "REQUIRED"},
		{"unknown field of a hash", fields(`"algorithm": "bcrypt", "pepper": "x"`), "password.pepper", "UNKNOWN"},
		{"doubled field of a hash", fields(`"algorithm": "bcrypt", "algorithm": "pbkdf2"`), "password.algorithm", "DUPLICATE"},
		{"a password in clear", hash("hunter2"), "password", "INVALID"},
		{"both ways", `{"username": "x", "password_hash": "` + bcryptHash + `", "password": {"algorithm": "bcrypt", "hash": "` + bcryptHash + `"}}`, "password", "INVALID"},
		{"NUL in a name", `{"username": "x", "name": "a\u0000b"}`, "name", "INVALID"},
		{"NUL in an id", `{"username": "x", "id": "a\u0000b"}`, "id", "INVALID"},
		{"raw NUL", "{\"username\": \"x\x00\"}", "line", "INVALID"},
		{"broken UTF-8", "{\"username\": \"\xff\"}", "line", "INVALID"},
		{"lone surrogate", `{"username": "\ud800"}`, "line", "INVALID"},
		{"doubled key", `{"username": "x", "username": "y"}`, "username", "DUPLICATE"},
		{"cased key", `{"Username": "x"}`, "Username", "UNKNOWN"},
		{"unknown key", `{"username": "x", "is_admin": true}`, "is_admin", "UNKNOWN"},
		{"no name at all", `{"name": "x"}`, "email", "REQUIRED"},
		{"no email to verify", `{"username": "x", "email_verified": true}`, "email_verified", "INVALID"},
		{"not JSON", `hello`, "line", "INVALID"},
		{"an array", `[1]`, "line", "INVALID"},
		{"two values", `{"username": "x"} {}`, "line", "INVALID"},
		{"10 MB", `{"username": "` + strings.Repeat("x", 10<<20) + `"}`, "line", "TOO_LONG"},
		{"deep", `{"username": ` + strings.Repeat("[", 20000) + `}`, "line", "INVALID"},
		{"a role that is not there", `{"username": "x", "roles": ["wizard"]}`, "roles", "UNKNOWN"},
		{"an administrator", `{"username": "x", "roles": ["admin"]}`, "roles", "NOT_ALLOWED"},
		{"from the future", `{"username": "x", "created_at": "2999-01-01T00:00:00Z"}`, "created_at", "INVALID"},
		{"from before time", `{"username": "x", "created_at": "1900-01-01T00:00:00Z"}`, "created_at", "INVALID"},
		{"no time", `{"username": "x", "created_at": "yesterday"}`, "created_at", "INVALID"},
		{"status", `{"username": "x", "status": "banned"}`, "status", "INVALID"},
		{"an id that is an object", `{"username": "x", "id": {"$oid": "1"}}`, "id", "INVALID"},
		{"taken", `{"username": "TAKEN"}`, "username", "TAKEN"},
		{"taken by a twin", `{"username": "ｔａｋｅｎ"}`, "username", "TAKEN"},
		{"email taken", `{"username": "x", "email": "Taken@EXAMPLE.org"}`, "email", "TAKEN"},
		{"the first of two", `{"id": "7", "username": "straße"}`, "", ""},
		{"a twin in the same file", `{"id": "8", "username": "STRASSE"}`, "", ""}, // ß is its own letter: somebody else
		{"the same id again", `{"id": "7", "username": "other"}`, "id", "DUPLICATE"},
		{"the same name again", `{"id": "9", "username": "ＳＴＲＡẞＥ"}`, "username", "TAKEN"},
		{"cut", `{"username": "x`, "line", "INVALID"},
	}
	var text []string
	for _, c := range cases {
		text = append(text, c.line)
	}
	check := func(code int, out imported, left map[int64]refusal) {
		t.Helper()
		if code != run.ExitPartial || out.Created != 2 || out.Skipped != 4 || int(out.Refused) != len(cases)-6 {
			t.Errorf("exit %d, %+v", code, out)
		}
		for i, c := range cases {
			r := left[int64(i+1)]
			switch {
			case c.code == "" && len(r.Reasons) > 0:
				t.Errorf("%s: refused for %+v", c.name, r)
			case c.code != "" && (len(r.Reasons) == 0 || r.Reasons[0].Field != c.field || r.Reasons[0].Code != c.code):
				t.Errorf("%s: %+v, want %s %s", c.name, r, c.field, c.code)
			}
		}
		if told := fmt.Sprint(left); strings.Contains(told, "hunter2") || strings.Contains(told, "ZGeSw") {
			t.Error("the report tells hashes")
		}
	}
	check(importing(x, dir, strings.Join(text, "\n"), "--dry-run"))
	if people := lines[person](x, "user", "list"); len(people) != 1 {
		t.Errorf("a dry run made %+v", people)
	}
	check(importing(x, dir, strings.Join(text, "\n")))
	check(importing(x, dir, strings.Join(text, "\n"))) // again: the same answer, from what is kept
	if people := lines[person](x, "user", "list"); len(people) != 3 {
		t.Errorf("there are %+v", people)
	}
}

func TestImport_StopsAtAConflictAndGoesOn(t *testing.T) {
	x, dir := openTerminal(t)
	text := `{"username": "ada"}` + "\n" + `{"username": "nonsense@"}` + "\n" + `{"id": 3, "username": "ADA"}` + "\n" + `{"username": "bob"}` + "\n"
	for range 2 {
		code, out, left := importing(x, dir, text, "--on-conflict", "fail")
		if code != run.ExitFailure || out.Created != 1 || out.Refused != 1 || out.Stop == nil || *out.Stop != 3 || len(left) != 2 {
			t.Fatalf("exit %d, %+v, %v", code, out, left)
		}
	}
	code, out, left := importing(x, dir, text)
	if code != run.ExitPartial || out.Created != 2 || out.Skipped != 1 || out.From != 2 || len(left) != 2 || !left[3].Skipped {
		t.Errorf("exit %d, %+v, %v", code, out, left)
	}
}

func TestImport_CommandLine(t *testing.T) {
	x, dir := openTerminal(t)
	for line, says := range map[string]string{
		"user import people.ndjson":                                   "--source WORD is needed",
		"user import --source shop --on-conflict merge people.ndjson": "--on-conflict is skip or fail",
		"user import --source shop":                                   "got 0 arguments, want 1",
		"user delete ada":                                             "there is no user",
	} {
		if code, _, errs := x.try("", strings.Fields(line)...); code == run.ExitOK || !strings.Contains(errs, says) {
			t.Errorf("%s: exit %d, %s", line, code, errs)
		}
	}
	if code, _, errs := x.try("", "user", "import", "--source", "not a word", "-"); code != run.ExitFailure || !strings.Contains(errs, "source: must be a word") {
		t.Errorf("exit %d, %s", code, errs)
	}
	one := `{"username": "ada", "roles": ["admin"]}`
	stdin := func(text string, args ...string) (int, string) {
		code, out, errs := x.try(text, append([]string{"user", "import", "--source", "pipe", "--refused", filepath.Join(dir, "left"), "-"}, args...)...)
		return code, out + errs
	}
	if code, out := stdin(one, "--allow-admin"); code != run.ExitOK || !strings.Contains(out, "1 imported") {
		t.Errorf("from stdin: exit %d, %s", code, out)
	}
	if code, out := stdin(`{"username": "bob"}`); code != run.ExitUsage || !strings.Contains(out, "--restart") {
		t.Errorf("another stdin: exit %d, %s", code, out)
	}
	if code, out := stdin(`{"username": "bob"}`, "--restart"); code != run.ExitOK || !strings.Contains(out, "1 imported") {
		t.Errorf("restarted: exit %d, %s", code, out)
	}
	if code, _, errs := x.try("", "user", "delete", "bob"); code != run.ExitUsage || !strings.Contains(errs, "--yes") {
		t.Errorf("unsure: exit %d, %s", code, errs)
	}
	if code, _, errs := x.try("", "user", "delete", "ada", "--yes"); code != run.ExitFailure || !strings.Contains(errs, "last administrator") {
		t.Errorf("the last administrator: exit %d, %s", code, errs)
	}
	if code, out, errs := x.try("", "user", "delete", "bob", "--yes"); code != run.ExitOK || !strings.Contains(out, "deleted") {
		t.Errorf("delete: exit %d, %s %s", code, out, errs)
	}
	for _, verb := range []string{"create", "list", "block", "unblock", "delete", "export", "import"} {
		if code, out, _ := x.try("", "user", verb, "--help"); code != run.ExitOK || !strings.Contains(out, "Usage:\n  auth-svc user "+verb) ||
			strings.Count(out, "auth-svc user "+verb+" --config DIR") < 2 {
			t.Errorf("help of %s lacks its usage or an example: %s", verb, out)
		}
	}
}
