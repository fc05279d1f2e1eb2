package docs

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/redistest"
	"cloakroom.dev/libs/s3test"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/tests/harness"
)

// edit is one of the guide's: in which file, below which word, what.
var edit = regexp.MustCompile("(?ms)^```yaml\n# ([a-z]+\\.yaml), under (?:the first )?([a-z]+:)\n(.*?)^```$")

// The guide's three edits, made to the development resources as it says, put the stack on a PostgreSQL, a bucket and a Redis: the test
// only puts the addresses of its own in the place of the guide's.
func TestStores_TheGuidesEditsSwitchTheStack(t *testing.T) {
	b, redis := s3test.InProcess(t), redistest.New(t)
	dsn := pgtest.NewTemplate(func(context.Context, secret.String) error { return nil }).New(t)
	dir := ourStores(t, b, redis)
	s := harness.Start(t, "CONFIG_DIR="+dir, "DATABASE="+dsn.Reveal(),
		"S3_ACCESS_KEY="+b.AccessKey.Reveal(), "S3_SECRET_KEY="+b.SecretKey.Reveal())
	ada := harness.NewClient(t, s.Public).SignUp()
	at := ada.Upload("a", []byte("in the bucket")).Is(http.StatusCreated).Header.Get("Location")
	if got := ada.Do("GET", at+"/content", nil).Is(http.StatusOK); string(got.Body) != "in the bucket" {
		t.Errorf("read back: %s", got.Body)
	}
	if len(b.Keys(t)) == 0 {
		t.Error("the bucket is empty")
	}
	if !strings.Contains(metrics(t, s.Ops), `cloakroom_gateway_limiter_store_up{service="gateway"}`) { // 0 for a moment, where Redis is slow
		t.Error("the gateway does not count in Redis")
	}
	for _, name := range []string{"auth.db", "files.db", "blobs"} {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); err == nil {
			t.Errorf("there is a %s in the folder", name)
		}
	}
}

// ourStores are the development resources with the guide's edits, for stores of this test.
func ourStores(t *testing.T, b s3test.Bucket, redis string, edits ...func(string) string) (dir string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "guides", "stores.md"))
	if err != nil {
		t.Fatal(err)
	}
	changes := edit.FindAllStringSubmatch(string(raw), -1)
	if len(changes) != 3 {
		t.Fatalf("the guide has %d edits, want 3", len(changes))
	}
	dir = harness.ConfigDir(t, edits...)
	ours := strings.NewReplacer("http://127.0.0.1:7070", b.Endpoint, "bucket: cloakroom", "bucket: "+b.Name, "127.0.0.1:6379", redis)
	for _, m := range changes {
		path := filepath.Join(dir, m[1])
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		above, below, found := strings.Cut(string(before), m[2]+"\n")
		if !found {
			t.Fatalf("%s has no %s", m[1], m[2])
		}
		if err := os.WriteFile(path, []byte(above+m[2]+"\n"+ours.Replace(m[3])+below), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func metrics(t *testing.T, ops string) string {
	t.Helper()
	res, err := http.Get(ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
