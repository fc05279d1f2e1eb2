package authsvc_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/libs/run"
)

// dumped imports a sample.
func dumped(x terminal, path string, args ...string) (code int, out imported, stderr string) {
	x.t.Helper()
	line := append([]string{"user", "import", "--output", "json", "--refused", filepath.Join(x.t.TempDir(), "refused"), filepath.Join("../docs/samples", path)}, args...)
	code, stdout, stderr := x.try("", line...)
	if stdout != "" {
		if err := json.Unmarshal([]byte(stdout), &out); err != nil {
			x.t.Fatal(err)
		}
	}
	return code, out, stderr
}

func TestImport_TakesTheDumpsOfOtherSystems(t *testing.T) {
	for path, c := range map[string]struct {
		args                      []string
		created, skipped, refused int64
	}{
		"rest-auth-files/dump.sql":            {[]string{"--from", "rest-auth-files"}, 2, 0, 0},
		"siteworks/dump.sql":                  {[]string{"--from", "siteworks"}, 3, 0, 0},
		"siteworks/dump-inserts.sql":          {[]string{"--from", "siteworks"}, 3, 0, 0},
		"trackit/dump.sql":                    {[]string{"--from", "trackit"}, 2, 1, 0},
		"user-management/users.json":          {[]string{"--from", "user-management"}, 2, 0, 1},
		"user-management/users-pbkdf2.json":   {[]string{"--from", "user-management", "--hash", "pbkdf2,digest=sha512,iterations=100000"}, 1, 0, 0},
		"../samples/rest-auth-files/dump.sql": {[]string{"--from", "rest-auth-files", "--source", "files"}, 2, 0, 0},
	} {
		t.Run(path, func(t *testing.T) {
			x, dir := openTerminal(t)
			mapTo := filepath.Join(dir, "people.map")
			for _, args := range [][]string{{"--dry-run"}, nil, nil} { // and again: nobody is made twice
				_, out, stderr := dumped(x, path, append(append(c.args, "--map", mapTo), args...)...)
				if out.Created != c.created || out.Skipped != c.skipped || out.Refused != c.refused || !out.Done {
					t.Fatalf("%v: %+v %s", args, out, stderr)
				}
				if raw, err := os.ReadFile(mapTo); args == nil && (err != nil || int64(strings.Count(string(raw), `"foreign_id":`)) != c.created) {
					t.Errorf("the map: %v\n%s", err, raw)
				}
			}
			if people := lines[person](x, "user", "list", "--limit", "0"); int64(len(people)) != c.created {
				t.Errorf("there are %+v", people)
			}
		})
	}
}

func TestImport_SaysWhereADumpMakesNoSense(t *testing.T) {
	x, dir := openTerminal(t)
	raw, err := os.ReadFile("../docs/samples/rest-auth-files/dump.sql")
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.sql")
	if err := os.WriteFile(cut, raw[:len(raw)-200], 0o600); err != nil {
		t.Fatal(err)
	}
	for line, c := range map[string]struct {
		code int
		says string
	}{
		"--from rest-auth-files " + cut:            {run.ExitFailure, "of the dump: the dump ends inside"},
		"--from medods " + cut:                     {run.ExitUsage, "sessions end"},
		"--from wiki " + cut:                       {run.ExitUsage, "--from is ndjson, rest-auth-files"},
		"--from siteworks --hash scrypt " + cut:    {run.ExitUsage, "--hash is for"},
		"--from user-management --hash md5 " + cut: {run.ExitUsage, "scrypt or pbkdf2"},
		"--from siteworks " + cut:                  {run.ExitFailure, "dump of MySQL"},
		"--from user-management --map /no/such/folder/map ../docs/samples/user-management/users-pbkdf2.json": {run.ExitFailure, "write the map"},
	} {
		args := append([]string{"user", "import", "--refused", filepath.Join(dir, "refused")}, strings.Fields(line)...)
		if code, out, errs := x.try("", args...); code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, %s %s", line, code, out, errs)
		}
	}
}
