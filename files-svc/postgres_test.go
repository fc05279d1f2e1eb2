package filessvc

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/resourcetest"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/token/tokentest"
)

var emptyDatabase = pgtest.NewTemplate(nil)

// onPostgres is where a service on a database of its own finds it, and a folder of resources that says so.
func onPostgres(t *testing.T, dir string) (store v1alpha1.Store, config string) {
	t.Helper()
	dsn := filepath.Join(dir, "dsn")
	if err := os.WriteFile(dsn, []byte(emptyDatabase.New(t).Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	yaml := strings.NewReplacer("store: {sqlite: {path: files.db}}", "store: {postgres: {dsn: {file: "+dsn+"}, migrate: Command}}",
		"path: blobs", "path: "+dir+"/blobs").Replace(configYAML)
	return v1alpha1.Store{Postgres: &v1alpha1.PostgresStore{
		DSN: v1alpha1.SecretRef{File: "dsn"}, MaxConnections: 8, StatementTimeout: "5s", AcquireTimeout: "2s", Migrate: v1alpha1.MigrateCommand,
	}}, configDir(t, yaml, policyYAML)
}

// A service that was told not to migrate does not start on a schema that is behind, and looks at nothing there; after the
// command it serves, and the commands that take a config work on the store it names.
func TestPostgres_ServesWhatWasMigratedByCommand(t *testing.T) {
	dir := t.TempDir()
	store, config := onPostgres(t, dir)
	issuer := tokentest.New(t)
	on := func(c *Config) { c.Boot.Spec.Store = store }

	if code, _, errs := command(t, t.Context(), "webhook", "list", "--config", config); code == run.ExitOK || !strings.Contains(errs, postgres.ErrBehind.Error()) {
		t.Errorf("webhook list of an empty database: %d %s", code, errs)
	}
	boot, err := resource.One[*v1alpha1.FilesConfig](resourcetest.Snapshot(t, configYAML, policyYAML))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Boot: boot, BaseDir: dir}
	on(&cfg)
	if rows, err := openCatalogue(t.Context(), cfg, Deps{Log: slog.New(slog.DiscardHandler)}, toServe); !errors.Is(err, postgres.ErrBehind) {
		t.Fatalf("a start on an empty database: %v, %v", rows, err)
	}
	for range 2 {
		if code, _, errs := command(t, t.Context(), "migrate", "--config", config); code != run.ExitOK {
			t.Fatalf("migrate: %d %s", code, errs)
		}
	}
	w := newWorldIn(t, dir, issuer, on)
	p := w.person()
	f := p.upload("one", "text/plain", reader("one"))
	for _, args := range [][]string{{"scrub"}, {"verify-backup"}, {"webhook", "list"}} {
		if code, _, errs := command(t, t.Context(), append(args, "--config", config)...); code != run.ExitOK {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	w.stop()
	p.w = newWorldIn(t, dir, issuer, on)
	if a := p.get(f.content()); a.status != http.StatusOK || string(a.body) != "one" {
		t.Errorf("after a restart: %d %s", a.status, a.body)
	}
}

// Another process that has the same rows may work on an upload: this one waits until that has let go of it, or is gone.
func TestPostgres_AnUploadOfAnotherProcessIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	store, config := onPostgres(t, dir)
	if code, _, errs := command(t, t.Context(), "migrate", "--config", config); code != run.ExitOK {
		t.Fatalf("migrate: %d %s", code, errs)
	}
	dsn, err := os.ReadFile(filepath.Join(dir, "dsn"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := postgres.Open(t.Context(), secret.NewString(string(dsn)), postgres.Options{Name: "files", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()

	p := newWorldIn(t, dir, tokentest.New(t), func(c *Config) { c.Boot.Spec.Store = store }).person()
	at := p.newTus(5)
	const held = 1500 * time.Millisecond
	began := time.Now()
	err = rows.InTx(t.Context(), func(tx *postgres.Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO upload_holds (upload, holder, until, wanted) VALUES ($1, 'another', clock_timestamp() + $2, false)",
			path.Base(at), held)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := p.tus(http.MethodPatch, at, []byte("bytes"), "Upload-Offset", "0"); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if took := time.Since(began); took < held-100*time.Millisecond {
		t.Errorf("did not wait for the other process: %v", took)
	}
}
