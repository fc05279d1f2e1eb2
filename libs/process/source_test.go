package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/resourcetest"
	"cloakroom.dev/libs/run"
)

const (
	bootYAML   = "apiVersion: cloakroom.dev/v1alpha1\nkind: FilesConfig\nmetadata: {name: files}\nspec: {}\n"
	policyYAML = "apiVersion: cloakroom.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: default}\nspec: {}\n"
)

// elsewhere is a source that is no folder.
type elsewhere struct {
	*resourcetest.Source
	mu    sync.Mutex
	lacks error
}

func (e *elsewhere) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "elsewhere")
}
func (e *elsewhere) KeepStatus(string) error { return nil }
func (e *elsewhere) Patient() bool           { return true }

func (e *elsewhere) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (e *elsewhere) Ready(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lacks
}

// rig is a program that also reads far://, and what is there.
type rig struct {
	Program[*v1alpha1.FilesConfig]
	far   *elsewhere
	asked []string // kinds that far:// was asked for
}

func newRig(t *testing.T, documents ...string) *rig {
	r := &rig{far: &elsewhere{Source: resourcetest.NewSource(resourcetest.Snapshot(t, documents...))}}
	r.Program = Program[*v1alpha1.FilesConfig]{
		Name: "files-svc", Kinds: []string{v1alpha1.KindFilesConfig, v1alpha1.KindStoragePolicy},
		Schemes: []Scheme{{Name: "far", Hint: "PLACE", Open: func(_ string, opts SourceOptions) (Source, error) {
			r.asked = opts.Kinds
			return r.far, nil
		}}},
	}
	return r
}

func folderOf(t *testing.T, documents ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(strings.Join(documents, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSource_FolderAndElsewherePartByKind(t *testing.T) {
	r := newRig(t, policyYAML)
	for _, config := range [][]string{{folderOf(t, bootYAML), "far://x"}, {"far://x", folderOf(t, bootYAML)}} {
		source, err := r.source(config, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := source.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := resourcetest.Snapshot(t, bootYAML, policyYAML); got.Digest != want.Digest {
			t.Errorf("%v: digest %s, want that of both together", config, got.Digest)
		}
		if fmt.Sprint(r.asked) != "[StoragePolicy]" {
			t.Errorf("asked elsewhere for %v", r.asked)
		}
		if _, deps, err := r.Load(t.Context(), config, slog.New(slog.DiscardHandler)); err != nil || deps.Source == nil {
			t.Errorf("other commands can't read from both: %v", err)
		}
	}
}

func TestSource_RefusesWhatItCannotRead(t *testing.T) {
	r := newRig(t)
	for _, config := range [][]string{{"near://x"}, {"a", "b"}, {"far://x", "far://y"}, {"a", "far://x", "b"}} {
		if _, err := r.source(config, slog.New(slog.DiscardHandler), nil); !errors.Is(err, run.ErrUsage) || !strings.Contains(err.Error(), "DIR or far://PLACE") {
			t.Errorf("%v: %v", config, err)
		}
	}
}

func TestAwait_FolderWithoutBootObjectEndsAtOnce(t *testing.T) {
	r := newRig(t)
	source, err := r.source([]string{folderOf(t, policyYAML)}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.await(t.Context(), source, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "no accepted FilesConfig") {
		t.Errorf("%v", err)
	}
}

func TestAwait_LivesAndSaysWhatIsMissing(t *testing.T) {
	r := newRig(t, policyYAML)
	r.far.lacks = errors.New("CustomResourceDefinition x is not installed")
	address := freeAddress(t)
	r.Life = func(*v1alpha1.FilesConfig) Life {
		return Life{Ops: v1alpha1.Listener{Address: v1alpha1.Address(address)}}
	}
	got := make(chan *v1alpha1.FilesConfig, 1)
	go func() {
		boot, err := r.await(t.Context(), r.far, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Error(err)
		}
		got <- boot
	}()
	var status int
	var body string
	for deadline := time.Now().Add(time.Minute); status == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		status, body = get(address, "/readyz")
	}
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "CustomResourceDefinition x is not installed") {
		t.Errorf("/readyz %d %s", status, body)
	}
	if status, _ := get(address, "/livez"); status != http.StatusOK {
		t.Errorf("/livez %d", status)
	}
	if status, _ := get(address, "/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("/debug/pprof/ %d: it is reachable from everywhere here", status)
	}
	r.far.Set(resourcetest.Snapshot(t, bootYAML, policyYAML))
	if boot := <-got; boot == nil || boot.Name != "files" {
		t.Errorf("boot object %v", boot)
	}
	if l, err := net.Listen("tcp", address); err != nil {
		t.Errorf("the port is still taken: %v", err)
	} else {
		l.Close()
	}
}

func TestAwait_WaitsForWhatTheBootObjectNeeds(t *testing.T) {
	r := newRig(t, bootYAML)
	r.Needs = func(s *resource.Snapshot) []resource.Finding {
		if len(resource.All[*v1alpha1.StoragePolicy](s)) > 0 {
			return nil
		}
		return []resource.Finding{{Message: "there is no StoragePolicy"}}
	}
	if _, err := r.boot(t.Context(), r.far); err == nil || err.Error() != "there is no StoragePolicy" {
		t.Errorf("%v", err)
	}
	r.far.Set(resourcetest.Snapshot(t, bootYAML, policyYAML))
	if _, err := r.boot(t.Context(), r.far); err != nil {
		t.Error(err)
	}
}

func TestUsualOps_IsThePortOfTheSchemaOnEveryInterface(t *testing.T) {
	r := newRig(t)
	r.Life = func(boot *v1alpha1.FilesConfig) Life { return Life{Ops: boot.Spec.Listeners.Ops} }
	if got, ok := r.usualOps(t.Context()); !ok || got != ":9092" {
		t.Errorf("%q %v", got, ok)
	}
}

func get(address, path string) (status int, body string) {
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
