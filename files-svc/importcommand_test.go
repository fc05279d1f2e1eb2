package filessvc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"cloakroom.dev/libs/run"
)

// shop is another system whose files move here: a folder of uploads, a map and a list. Ada and Bob are "1" and "2" there.
type shop struct {
	t        *testing.T
	w        *world
	dir      string
	ada, bob *person
	policy   string
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, w: newWorld(t), dir: t.TempDir(), policy: policyYAML}
	s.ada, s.bob = s.w.person(), s.w.person()
	s.write("map", fmt.Sprintf("{\"foreign_id\":\"1\",\"user_id\":%q}\n\n{\"foreign_id\":\"2\",\"user_id\":%q}\n", s.ada.id, s.bob.id))
	return s
}

func (s *shop) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) try(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	boot := strings.NewReplacer("path: files.db", "path: "+s.w.dir+"/files.db", "path: blobs", "path: "+s.w.dir+"/blobs").Replace(configYAML)
	return command(s.t, s.t.Context(), append([]string{"import", "--config", configDir(s.t, boot, s.policy)}, args...)...)
}

// bring runs the import beside the service, and reads the report: the field and code of each line that was left out.
func (s *shop) bring(list string, args ...string) (code int, out importedJSON, left map[int64]string) {
	s.t.Helper()
	s.write("list", list)
	at := func(name string) string { return filepath.Join(s.dir, name) }
	code, stdout, stderr := s.try(append([]string{"--dump", at("list"), "--uploads", at("uploads"), "--map", at("map"), "--source", "shop", "--output", "json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		s.t.Fatalf("exit %d, %q %q", code, stdout, stderr)
	}
	left = map[int64]string{}
	if out.Report == nil {
		return code, out, left
	}
	raw, err := os.ReadFile(*out.Report)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var r refusal
		if err := json.Unmarshal(line, &r); err != nil {
			s.t.Fatal(err)
		}
		left[r.Line] = r.Reasons[0].Field + " " + r.Reasons[0].Code
	}
	return code, out, left
}

func TestImport_BringsFilesToTheirOwnersOnce(t *testing.T) {
	s := openShop(t)
	s.write("uploads/a/one.txt", "first")
	s.write("uploads/two", "second")
	s.write("uploads/empty", "")
	list := `{"id": "f1", "owner": "1", "path": "a/one.txt", "content_type": "text/plain", "created_at": "2019-05-06T07:08:09Z", "size": 5}
{"user_id": "` + s.bob.id + `", "path": "two", "name": "Zwei.txt", "sha256": "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4"}

{"owner": "2", "path": "empty", "id": null}
{"path": "two", "id": "nobody's"}`
	for n, want := range []importedJSON{
		{DryRun: true, importCounts: importCounts{Files: 4, Created: 4, Bytes: 17}},
		{importCounts: importCounts{Files: 4, Created: 4, Bytes: 17}},
		{importCounts: importCounts{Files: 4, Present: 4}},
	} {
		args := []string{"--owner", "1"}
		if want.DryRun {
			args = append(args, "--dry-run")
		}
		code, out, left := s.bring(list, args...)
		want.Source, want.Done, out.Milliseconds = "shop", true, 0
		if diff := cmp.Diff(want, out, cmp.AllowUnexported(importedJSON{})); diff != "" || code != run.ExitOK || len(left) > 0 {
			t.Fatalf("run %d: exit %d, %v (-want +got):\n%s", n, code, left, diff)
		}
	}
	if names := s.ada.list("sort=name").names() + " " + s.bob.list("sort=name").names(); names != "one.txt two empty Zwei.txt" {
		t.Errorf("there are %s", names)
	}
	one := s.ada.list("q=one").Items[0]
	a := s.ada.get(one.content())
	if string(a.body) != "first" || one.ContentType != "text/plain" || a.header.Get("Last-Modified") != "Mon, 06 May 2019 07:08:09 GMT" {
		t.Errorf("%+v: %q %v", one, a.body, a.header)
	}
	// What its owner deletes here stays deleted, and a list that names more brings only that.
	if a := s.ada.do("DELETE", "/v1/files/"+one.ID, nil); a.status != 204 {
		t.Fatalf("deleted: %d", a.status)
	}
	s.write("uploads/new", "third")
	if _, out, _ := s.bring(list+"\n"+`{"owner": "1", "path": "new"}`, "--owner", s.ada.id); out.Created != 1 || out.Present != 4 {
		t.Errorf("with one more: %+v", out)
	}
	if names := s.ada.list("sort=name").names(); names != "new two" {
		t.Errorf("there are %s", names)
	}
}

func TestImport_LeavesHostileFilesOut(t *testing.T) {
	s := openShop(t)
	s.write("uploads/ok", "fine")
	s.write("uploads/dir/inner", "fine")
	s.write("secret", "not for them")
	for link, to := range map[string]string{"out": "../secret", "in": "ok", "indir": "dir", "absolute": "/etc/passwd", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(s.dir, "uploads", link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(s.dir, "uploads/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, line, want string }{
		{"parent", `{"owner": "1", "path": "../secret"}`, "path ESCAPES"},
		{"parent on the way", `{"owner": "1", "path": "dir/../../secret"}`, "path ESCAPES"},
		{"absolute", `{"owner": "1", "path": "/etc/passwd"}`, "path ESCAPES"},
		{"NUL", `{"owner": "1", "path": "ok\u0000"}`, "id INVALID"},
		{"NUL behind an id", `{"id": "nul", "owner": "1", "name": "x", "path": "ok\u0000"}`, "path ESCAPES"},
		{"a link out", `{"owner": "1", "path": "out"}`, "path SYMLINK"},
		{"a link inside", `{"owner": "1", "path": "in"}`, "path SYMLINK"},
		{"a folder that is a link", `{"owner": "1", "path": "indir/inner"}`, "path SYMLINK"},
		{"an absolute link", `{"owner": "1", "path": "absolute"}`, "path SYMLINK"},
		{"a loop", `{"owner": "1", "path": "loop"}`, "path SYMLINK"},
		{"a pipe", `{"owner": "1", "path": "pipe"}`, "path NOT_A_FILE"},
		{"a folder", `{"owner": "1", "path": "dir"}`, "path NOT_A_FILE"},
		{"the folder itself", `{"owner": "1", "path": ".", "name": "x"}`, "path NOT_A_FILE"},
		{"not there", `{"owner": "1", "path": "missing"}`, "path MISSING"},
		{"behind a file", `{"owner": "1", "path": "ok/x"}`, "path MISSING"},
		{"a long path", `{"id": "long", "owner": "1", "name": "x", "path": "` + strings.Repeat("x", 5000) + `"}`, "path MISSING"},
		{"another size", `{"owner": "1", "path": "ok", "size": 5}`, "size MISMATCH"},
		{"a size below zero", `{"owner": "1", "path": "ok", "size": -1}`, "size INVALID"},
		{"another digest", `{"owner": "1", "path": "ok", "sha256": "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4"}`, "file DIGEST_MISMATCH"},
		{"no digest", `{"owner": "1", "path": "ok", "sha256": "16"}`, "sha256 INVALID"},
		{"a stranger", `{"owner": "3", "path": "ok"}`, "owner UNKNOWN"},
		{"nobody", `{"path": "ok"}`, "owner REQUIRED"},
		{"two owners", `{"owner": "1", "user_id": "` + s.ada.id + `", "path": "ok"}`, "owner INVALID"},
		{"no id of ours", `{"user_id": "1", "path": "ok"}`, "user_id INVALID"},
		{"no path", `{"owner": "1"}`, "path REQUIRED"},
		{"a name with a line end", `{"owner": "1", "path": "ok", "name": "a\r\nb"}`, "name INVALID"},
		{"no type", `{"owner": "1", "path": "ok", "content_type": "x"}`, "content_type INVALID"},
		{"from the future", `{"owner": "1", "path": "ok", "created_at": "2999-01-01T00:00:00Z"}`, "created_at INVALID"},
		{"unknown field", `{"owner": "1", "path": "ok", "mode": "0777"}`, "mode UNKNOWN"},
		{"doubled field", `{"owner": "1", "owner": "2", "path": "ok"}`, "owner DUPLICATE"},
		{"no JSON", `hello`, "line INVALID"},
		{"10 MB", `{"path": "` + strings.Repeat("x", 10<<20) + `"}`, "line TOO_LONG"},
	}
	var lines []string
	for _, c := range cases {
		lines = append(lines, c.line)
	}
	for _, args := range [][]string{{"--dry-run"}, {}, {"--parallel", "1"}} {
		code, out, left := s.bring(strings.Join(lines, "\n"), args...)
		for n, c := range cases {
			if got := left[int64(n+1)]; got != c.want && (len(args) == 0 || c.want != "file DIGEST_MISMATCH") {
				t.Errorf("%v %s: left out for %q, want %q", args, c.name, got, c.want)
			}
		}
		if !out.DryRun && (code != run.ExitPartial || out.Created != 0 || int(out.Refused) != len(cases)) {
			t.Errorf("exit %d, %+v", code, out)
		}
	}
	s.ada.nothingKept("after a hostile list")
}

func TestImport_QuotaHoldsUnlessItIsIgnored(t *testing.T) {
	s := openShop(t)
	s.policy = strings.NewReplacer("1Gi", `"10"`, "512Mi", `"10"`).Replace(policyYAML)
	s.write("uploads/six", "123456")
	list := `{"id": "a", "owner": "1", "path": "six"}` + "\n" + `{"id": "b", "owner": "1", "path": "six"}` + "\n" + `{"id": "c", "owner": "2", "path": "six"}`
	if code, out, left := s.bring(list, "--parallel", "1"); code != run.ExitPartial || out.Created != 2 || left[2] != "file QUOTA_EXCEEDED" {
		t.Errorf("exit %d, %+v, %v", code, out, left)
	}
	if code, out, left := s.bring(list, "--ignore-quota"); code != run.ExitOK || out.Created != 1 || out.Present != 2 || out.Report != nil {
		t.Errorf("exit %d, %+v, %v", code, out, left)
	}
	s.write("map", fmt.Sprintf("{\"foreign_id\":\"1\",\"user_id\":%q}\n", uuid.NewString()))
	if _, _, left := s.bring(list, "--ignore-quota"); left[1] != "id DUPLICATE" || left[3] != "owner UNKNOWN" {
		t.Errorf("by another map: %v", left)
	}
}

func TestImport_FilesCommandLine(t *testing.T) {
	s := openShop(t)
	s.write("uploads/x", "x")
	s.write("list", "-- MySQL dump\nCREATE TABLE files (id int);\nINSERT INTO files VALUES ('x")
	s.write("twice", `{"foreign_id":"1","user_id":"a"}`+"\n"+`{"foreign_id":"1","user_id":"b"}`)
	at := func(name string) string { return filepath.Join(s.dir, name) }
	need := "--dump " + at("list") + " --uploads " + at("uploads")
	for line, c := range map[string]struct {
		code int
		says string
	}{
		"":                                       {run.ExitUsage, "--dump FILE and --uploads DIR"},
		need:                                     {run.ExitUsage, "--source WORD"},
		need + " --from medods":                  {run.ExitUsage, "--from is ndjson, rest-auth-files"},
		need + " --source x --parallel 0":        {run.ExitUsage, "1 to 32"},
		need + " --source x --output xml":        {run.ExitUsage, "text or json"},
		need + " --source x --map " + at("none"): {run.ExitFailure, "no such file"},
		need + " --source x --map " + at("twice"):                           {run.ExitFailure, "line 2 of the map: one foreign_id"},
		need + " --source x --map " + at("list"):                            {run.ExitFailure, "line 1 of the map"},
		need + " --from rest-auth-files":                                    {run.ExitFailure, "line 3 of the dump: the dump ends inside the quotes"},
		"--dump " + at("list") + " --uploads " + at("none") + " --source x": {run.ExitFailure, "folder of uploads"},
	} {
		if code, out, errs := s.try(strings.Fields(line)...); code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, %s %s", line, code, out, errs)
		}
	}
}
