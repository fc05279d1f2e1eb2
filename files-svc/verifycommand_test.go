package filessvc

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token/tokentest"
)

// checkDir is a folder of resources whose stores lie in dir.
func checkDir(t *testing.T, dir string) string {
	t.Helper()
	boot := strings.NewReplacer("path: files.db", "path: "+dir+"/files.db", "path: blobs", "path: "+dir+"/blobs").Replace(configYAML)
	return configDir(t, boot, policyYAML)
}

// checked runs a command over dir and reads its report.
func checked(t *testing.T, dir string, args ...string) (code int, r reportJSON) {
	t.Helper()
	config := configDir(t, configYAML, policyYAML) // its paths are relative
	code, out, errs := command(t, t.Context(), append(args, "--config", config, "--base", dir, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, out, errs)
	}
	return code, r
}

// flipBlob changes a bit of the blob that holds content.
func flipBlob(t *testing.T, w *world, content []byte) (undo func()) {
	t.Helper()
	for _, path := range w.blobFiles() {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, content) // behind others when it is small
		if at < 0 {
			continue
		}
		bad := bytes.Clone(b)
		bad[at+len(content)/2] ^= 4
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatal("no blob has this content")
	return nil
}

// A bit that flips at rest is found by the command while the service runs, and from then on nobody gets a byte of it, ranges
// and HEAD included. A repair from a backup gives the file back.
func TestScrub_BesideTheService(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := someBytes(300_000)
	good, bad := p.upload("good", "text/plain", reader("good")), p.upload("bad", "application/octet-stream", bytes.NewReader(content))
	if code, r := checked(t, w.dir, "scrub"); code != run.ExitOK || !r.Sound || r.Verified != 2 || r.Bytes != 300_004 {
		t.Fatalf("of what is whole: %d %+v", code, r)
	}
	repair := flipBlob(t, w, content)
	code, r := checked(t, w.dir, "scrub")
	if code != run.ExitFailure || r.Sound || r.Corrupt != 1 || r.Verified != 1 || len(r.Flawed) != 1 {
		t.Fatalf("of what is damaged: %d %+v", code, r)
	}
	if d := r.Flawed[0]; d.Owner != p.id || d.FileID != bad.ID || d.Name != "bad" || d.Version != 1 {
		t.Errorf("whose it is: %+v", d)
	}
	p.get(bad.content()).refused(t, "get", 500, "INTERNAL_ERROR")
	p.get(bad.content(), "Range", "bytes=0-9").refused(t, "range", 500, "INTERNAL_ERROR")
	if a := p.do(http.MethodHead, bad.content(), nil); a.status != 500 {
		t.Errorf("head: %d", a.status)
	}
	if a := p.get(good.content()); a.status != 200 || string(a.body) != "good" {
		t.Errorf("the other file: %d %s", a.status, a.body)
	}
	repair()
	if code, r := checked(t, w.dir, "scrub"); code != run.ExitOK || r.Verified != 2 {
		t.Fatalf("after the repair: %d %+v", code, r)
	}
	if a := p.get(bad.content()); a.status != 200 || !bytes.Equal(a.body, content) {
		t.Errorf("after the repair: %d", a.status)
	}
}

// The rehearsal of a disaster: a copy of the data folder made while the service runs, database first, is restored elsewhere,
// verified, and served by a new service.
func TestVerifyBackup_Rehearsal(t *testing.T) {
	issuer, copied := tokentest.New(t), t.TempDir()
	w := newWorldIn(t, t.TempDir(), issuer, func(*Config) {})
	p := w.person()
	content := someBytes(100_000)
	f := p.upload("f", "application/octet-stream", bytes.NewReader(content))
	dead := p.upload("dead", "text/plain", reader("deleted after the copy of the database"))
	copyDatabase(t, w.dir, copied)
	p.upload("late", "text/plain", reader("after the copy of the database"))
	if a := p.do(http.MethodDelete, "/v1/files/"+dead.ID+"?permanent=true", nil); a.status != http.StatusNoContent {
		t.Fatalf("delete: %d %s", a.status, a.body)
	}
	copyTree(t, w.dir, copied, "blobs")
	w.stop()

	for _, quick := range []string{"--quick=false", "--quick"} {
		code, r := checked(t, copied, "verify-backup", quick)
		if code != run.ExitOK || r.Verified != 2 || r.UnknownKeys != 1 {
			t.Errorf("%s: %d %+v", quick, code, r)
		}
	}
	if code, _ := checked(t, copied, "verify-backup", "--strict"); code != run.ExitFailure {
		t.Errorf("strict: %d", code)
	}
	restored := newWorldIn(t, copied, issuer, func(*Config) {})
	p.w = restored
	if a := p.get(f.content()); a.status != 200 || !bytes.Equal(a.body, content) {
		t.Errorf("from the restored service: %d, %d bytes", a.status, len(a.body))
	}
	if a := p.get(dead.content()); a.status != 200 {
		t.Errorf("what was deleted after the backup: %d", a.status)
	}
}

// copyDatabase copies a database that is being written to, as ".backup" does, and the key beside it.
func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(from, "files.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "VACUUM INTO ?", filepath.Join(to, "files.db")); err != nil {
		t.Fatal(err)
	}
	copyTree(t, from, to, "files.db.cursor-key")
}

// copyTree copies what in from begins with prefix, as cp -r would.
func copyTree(t *testing.T, from, to, prefix string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(from, path)
		if err != nil || !strings.HasPrefix(rel, prefix) {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyBackup_FindsWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := someBytes(5000)
	p.upload("a", "text/plain", bytes.NewReader(content))
	const large = 100_000 // a file of its own in the store
	p.upload("b", "text/plain", &zeros{large})
	w.stop()
	flipBlob(t, w, content)
	for _, path := range w.blobFiles() {
		if info, err := os.Stat(path); err == nil && info.Size() == large {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code, r := checked(t, w.dir, "verify-backup"); code != run.ExitFailure || r.Corrupt != 1 || r.Missing != 1 {
		t.Errorf("got %d %+v", code, r)
	}
	if code, r := checked(t, w.dir, "verify-backup", "--quick"); code != run.ExitFailure || r.Corrupt != 0 || r.Missing != 1 {
		t.Errorf("quick: got %d %+v", code, r)
	}
	code, out, _ := command(t, t.Context(), "verify-backup", "--config", checkDir(t, w.dir))
	if code != run.ExitFailure || !strings.Contains(out, "1 corrupt, 1 missing") {
		t.Errorf("as text: %d\n%s", code, out)
	}
}

func TestChecks_SayWhatIsWrong(t *testing.T) {
	empty := checkDir(t, t.TempDir())
	for _, c := range []struct {
		says string
		args []string
		code int
		want string
	}{
		{"no folder", []string{"scrub"}, run.ExitUsage, "--config"},
		{"a strange output", []string{"scrub", "--config", empty, "--output", "xml"}, run.ExitUsage, "--output"},
		{"a strange rate", []string{"scrub", "--config", empty, "--rate", "fast"}, run.ExitUsage, "--rate"},
		{"nothing there", []string{"verify-backup", "--config", empty}, run.ExitFailure, "unless --base says where"},
	} {
		if code, out, errs := command(t, t.Context(), c.args...); code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: got %d\n%s%s", c.says, code, out, errs)
		}
	}
}

// A check that is stopped says so: nothing is sound of which nothing is known.
func TestScrub_StoppedIsNotSound(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for range 4 {
		p.upload("f", "application/octet-stream", bytes.NewReader(someBytes(2<<20)))
	}
	config := configDir(t, configYAML, policyYAML)
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, stop)
	code, out, errs := command(t, ctx, "scrub", "--config", config, "--base", w.dir, "--output", "json", "--rate", "64Ki") // minutes
	// On a slow machine it has not begun when it is stopped, and reports nothing.
	if code != run.ExitFailure || strings.Contains(out, `"sound":true`) {
		t.Errorf("code %d: %s%s", code, out, errs)
	}
}
