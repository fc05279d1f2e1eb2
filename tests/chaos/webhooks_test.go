package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// inbox is a receiver that fails now and then, and remembers what it has acknowledged.
type inbox struct {
	mu      sync.Mutex
	files   map[string]int // file id -> messages that it exists
	refused map[string]int // file id -> how many messages have been
	calls   int
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var told struct {
		Type string
		Data struct {
			FileID string `json:"file_id"`
		}
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &told) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond) // so that kills find messages on their way
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls++; b.calls%17 == 0 && b.refused[told.Data.FileID] < 2 { // after a third refusal it would wait for longer than the test does
		b.refused[told.Data.FileID]++
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	b.files[told.Data.FileID]++
}

func (b *inbox) missing(ids []string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if b.files[id] == 0 {
			n++
		}
	}
	return n
}

// wait returns when all have been told of, or none more for half a minute: a quick machine has more to tell than a minute is enough
// for.
func (b *inbox) wait(ids []string) {
	left, since := b.missing(ids), time.Now()
	for left > 0 && time.Since(since) < 30*time.Second {
		time.Sleep(50 * time.Millisecond)
		if n := b.missing(ids); n < left {
			left, since = n, time.Now()
		}
	}
}

// TestKill_EveryUploadIsToldOfAndNoneThatFailed kills the stack between commits and messages, and asks the receiver.
func TestKill_EveryUploadIsToldOfAndNoneThatFailed(t *testing.T) {
	box := &inbox{files: map[string]int{}, refused: map[string]int{}}
	srv := httptest.NewServer(box)
	defer srv.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_"+strings.Repeat("YWFh", 8)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t,
		harness.Replace(t, "\nkind: FilesConfig\nmetadata:\n  name: files\nspec:\n", "\nkind: FilesConfig\nmetadata:\n  name: files\nspec:\n"+
			"  webhooks:\n  - {name: a, url: \""+srv.URL+"\", secretRef: {file: "+secret+"}, allowPrivateAddresses: true, events: [file.created]}\n"),
		harness.Replace(t, "    limit: 3000\n", "    limit: 1000000\n"),
	))
	ada := harness.NewClient(t, s.Public).SignUp()
	const rounds = 6
	for round := range rounds {
		stop := make(chan struct{})
		var group sync.WaitGroup
		for n := range 4 {
			group.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					name := fmt.Sprintf("r%d-%d-%d", round, n, i)
					body := strings.NewReader(name)
					if i%5 == 4 { // one that must fail
						ada.Try("POST", "/v1/files", body, harness.Raw(name), harness.Header("Repr-Digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"))
						continue
					}
					ada.Try("POST", "/v1/files", body, harness.Raw(name))
				}
			})
		}
		time.Sleep(time.Duration(200+rand.IntN(500)) * time.Millisecond)
		s.Kill()
		close(stop)
		group.Wait()
		s.Run()
		ada.Base = s.Public
		ada.Refresh().Is(200)
	}
	w := &worker{Client: ada}
	var ids []string
	for _, f := range w.list() {
		ids = append(ids, f.ID)
	}
	box.wait(ids)
	box.mu.Lock()
	defer box.mu.Unlock()
	repeated := 0
	for _, n := range box.files {
		repeated += n - 1
	}
	t.Logf("%d kills, %d files, told of %d, %d repetitions, %d calls", rounds, len(ids), len(box.files), repeated, box.calls)
	there := map[string]bool{}
	for _, id := range ids {
		if there[id] = true; box.files[id] == 0 {
			t.Errorf("nobody was told of %s", id)
		}
	}
	for id := range box.files {
		if !there[id] {
			t.Errorf("told of %q, which is not there", id)
		}
	}
	if len(ids) == 0 {
		t.Error("the kills came before anything was stored")
	}
}
