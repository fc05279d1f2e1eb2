package docs

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/redistest"
	"cloakroom.dev/libs/s3test"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/tests/harness"
)

// replicated is the page's part on stores that replicas share.
const replicated = "PostgreSQL and a bucket"

// The page's commands for a database and a bucket are followed from the copies through the loss of both to the restored service: files of every
// kind are read back, what had ended has ended for good, and what came between the two copies does no harm.
func TestRecovery_OfADatabaseAndABucket(t *testing.T) {
	b, dir := s3test.Container(t), t.TempDir()
	dsn := pgtest.NewTemplate(nil).New(t)
	data := filepath.Join(dir, ".data")
	config := ourStores(t, b, redistest.New(t), tracedTo(t))
	for name, value := range map[string]string{"DSN": dsn.Reveal(), "DATABASE": dsn.Reveal(), "S3_ACCESS_KEY": b.AccessKey.Reveal(), "S3_SECRET_KEY": b.SecretKey.Reveal()} {
		t.Setenv(name, value)
	}
	s := harness.StartIn(t, data, "CONFIG_DIR="+config)
	if err := os.CopyFS(filepath.Join(data, "config"), os.DirFS(config)); err != nil {
		t.Fatal(err)
	}
	p := openPage(t, dir, "recovery.md")
	tools := t.TempDir()
	pgtest.Tools(t, dsn, tools)
	p.programs = tools + ":" + p.programs

	ada := harness.NewClient(t, s.Public).SignUp()
	large := bytes.Repeat([]byte("a large file has parts\n"), 300_000)
	files := map[string][]byte{ada.Upload("small", []byte("small")).Is(201).File().ID: []byte("small"), ada.Upload("large", large).Is(201).File().ID: large}
	ended := harness.NewClient(t, s.Public).LogIn(ada.User.Username, harness.Password)
	ended.Do("DELETE", "/v1/auth/sessions/"+ended.Session.SessionID+"?wait=1", nil).Is(200)
	exemplars(t, s.Ops)

	p.run(replicated)
	ada.Upload("between", []byte("came after the dump, before the copy of the bucket")).Is(201)
	elsewhere := bucketBeside(t, b)
	copyAll(t, b, elsewhere)
	ada.Upload("after", []byte("came after both")).Is(201)
	stop(t, s)

	destroy(t, dsn, b)
	copyAll(t, elsewhere, b)
	if out := p.run(replicated); !strings.Contains(out, "2 right, 0 corrupt, 0 missing") || !strings.Contains(out, "; 1 unknown key") {
		t.Errorf("of two files, and bytes that no row of the dump knows, it says\n%s", out)
	}
	s.Run()
	back := reach(t, s, ada)
	back.Refresh().Is(200) // the session of before goes on
	for id, want := range files {
		if got := back.Do("GET", "/v1/files/"+id+"/content", nil).Is(http.StatusOK); !bytes.Equal(got.Body, want) {
			t.Errorf("%s is read back as %d bytes, want %d", id, len(got.Body), len(want))
		}
	}
	stays := reach(t, s, ended)
	stays.Do("GET", "/v1/files", nil).Is(401)
	stays.Refresh().Is(401)
	again := harness.NewClient(t, s.Public).LogIn(ada.User.Username, harness.Password)
	again.Do("DELETE", "/v1/auth/sessions/"+again.Session.SessionID+"?wait=1", nil).Is(200)
	again.Do("GET", "/v1/files", nil).Is(401) // the restored log is written to, and heard
	back.Upload("onwards", []byte("and written again")).Is(201)
}

// exemplars looks for traces on the times of both stores, as a scraper gets them.
func exemplars(t *testing.T, ops string) {
	t.Helper()
	req, err := http.NewRequest("GET", ops+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cloakroom_postgres_transaction_seconds", "cloakroom_files_s3_call_seconds", "cloakroom_gateway_limiter_store_seconds"} {
		if !regexp.MustCompile(name + `_bucket\{.*\} \d+ # \{trace_id="[0-9a-f]{32}"\}`).MatchString(text.String()) {
			t.Errorf("no bucket of %s has an exemplar", name)
		}
	}
}

// tracedTo has every service keep its traces, and tell them to somebody who listens to none.
func tracedTo(t *testing.T) func(yaml string) string {
	t.Helper()
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(collector.Close)
	boot := regexp.MustCompile(`(?s)(kind: (?:Auth|Files|Gateway)Config\n.*?\nspec:\n)`)
	return func(yaml string) string {
		return boot.ReplaceAllString(yaml, "${1}  telemetry: {otlpEndpoint: \""+collector.URL+"\"}\n")
	}
}

// bucketBeside makes a second bucket in the same store.
func bucketBeside(t *testing.T, b s3test.Bucket) s3test.Bucket {
	t.Helper()
	b.Name += "-elsewhere"
	if _, err := b.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b.Name}); err != nil {
		t.Fatal(err)
	}
	return b
}

// copyAll does what the tools the page names do: key by key, by the store's own copying, with what is known of each object.
func copyAll(t *testing.T, from, to s3test.Bucket) {
	t.Helper()
	for _, key := range from.Keys(t) {
		_, err := from.Client().CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &to.Name, Key: &key, CopySource: aws.String(from.Name + "/" + key)})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// destroy loses everything in both stores.
func destroy(t *testing.T, dsn secret.String, b s3test.Bucket) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `DROP SCHEMA auth, files CASCADE`); err != nil {
		t.Fatal(err)
	}
	keys := b.Keys(t)
	for _, key := range keys {
		if _, err := b.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b.Name, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	if len(keys) < 3 || len(b.Keys(t)) > 0 {
		t.Fatalf("there were %d keys, and now there are %d", len(keys), len(b.Keys(t)))
	}
}
