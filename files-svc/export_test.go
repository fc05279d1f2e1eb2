package filessvc

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/libs/token/tokentest"
)

const accountJSON = `{"exported_at":"2026-01-02T03:04:05Z","user":{"username":"ada"},"last_login_at":null,"effective_permissions":[],"sessions":[],
"api_keys":[],"came_from":[],"identities":[],"factors":[],"recovery_codes_left":0,"history":[]}` + "\n"

// newExportWorld starts a service whose auth service answers for accounts as told.
func newExportWorld(t *testing.T, account http.HandlerFunc, documents ...string) *world {
	issuer := tokentest.New(t)
	mux := http.NewServeMux()
	mux.Handle("/", issuer)
	mux.HandleFunc("GET /internal/v1/export", account)
	auth := httptest.NewServer(mux)
	t.Cleanup(auth.Close)
	return newWorldIn(t, t.TempDir(), issuer, func(c *Config) { c.AuthURL = auth.URL }, documents...)
}

func ada(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, accountJSON) }

func TestExport_AsksInTheCallersName(t *testing.T) {
	var got http.Header
	w := newExportWorld(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		ada(w, r)
	})
	p := w.person()
	if a := p.get("/v1/users/me/export", "X-Forwarded-For", "192.0.2.7"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if !strings.HasPrefix(got.Get("Authorization"), "Bearer ") || got.Get("X-Forwarded-For") != "192.0.2.7" || got.Get("X-Request-Id") == "" {
		t.Errorf("the auth service is asked with %v", got)
	}
}

func TestExport_DamageIsListedAndNotPacked(t *testing.T) {
	w := newExportWorld(t, ada)
	p := w.person()
	damaged := p.upload("damaged", "text/plain", reader(strings.Repeat("x", 200_000)))
	flipBit(t, w.blobFiles()[0], 3)
	p.get(damaged.content())
	whole := p.upload("whole", "text/plain", reader("whole"))
	eventually(t, "in quarantine", func() error {
		if got := fmt.Sprint(p.flaw(damaged)); got != "[corrupt corrupt]" {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
	a := p.get("/v1/users/me/export?files=1")
	if a.status != 200 || a.err != nil {
		t.Fatalf("%d %v", a.status, a.err)
	}
	names, contents := unpack(t, a.body)
	if len(names) != 2 || contents["files/"+whole.ID+"/whole"] != "whole" {
		t.Errorf("packed: %q", names)
	}
	var doc struct {
		Files []struct{ ID, Path, Flaw string }
	}
	if err := json.Unmarshal([]byte(contents["export.json"]), &doc); err != nil || len(doc.Files) != 2 || doc.Files[0].Flaw != "corrupt" || doc.Files[0].Path != "" {
		t.Errorf("%v: %+v", err, doc)
	}
}

// Older versions and the trash are packed like the rest, and are no more kept back by one that is damaged.
func TestExport_OlderVersionsArePackedButForDamagedOnes(t *testing.T) {
	w := newExportWorld(t, ada, policyWith(`{versionsKept: 3, trashRetention: 1h}`))
	p := w.person()
	f := p.upload("a", "text/plain", reader(strings.Repeat("x", 200_000)))
	flipBit(t, w.blobFiles()[0], 3)
	p.get(f.content())
	eventually(t, "in quarantine", func() error {
		if got := fmt.Sprint(p.flaw(f)); got != "[corrupt corrupt]" {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
	p.replace(f, "second").file(t, 200)
	p.replace(f, "third").file(t, 200)
	gone := p.upload("b", "text/plain", reader("b1"))
	p.replace(gone, "b2").file(t, 200)
	p.do(http.MethodDelete, "/v1/files/"+gone.ID, nil)

	type version struct {
		Version    int
		Flaw, Path string
	}
	type exported struct {
		ID, Path string
		Older    []version `json:"older_versions"`
	}
	var listed, packed struct{ Files, Trash []exported }
	if err := json.Unmarshal(p.get("/v1/users/me/export").body, &listed); err != nil {
		t.Fatal(err)
	}
	a := p.get("/v1/users/me/export?files=1")
	if a.status != 200 || a.err != nil {
		t.Fatalf("%d %v", a.status, a.err)
	}
	names, contents := unpack(t, a.body)
	if err := json.Unmarshal([]byte(contents["export.json"]), &packed); err != nil {
		t.Fatal(err)
	}
	file, trash := "files/"+f.ID, "trash/"+gone.ID
	wantFiles := []exported{{f.ID, file + "/a", []version{{2, "", file + "/versions/2/a"}, {1, "corrupt", ""}}}}
	wantTrash := []exported{{gone.ID, trash + "/b", []version{{1, "", trash + "/versions/1/b"}}}}
	if diff := cmp.Diff(wantFiles, packed.Files) + cmp.Diff(wantTrash, packed.Trash); diff != "" {
		t.Error(diff)
	}
	if len(listed.Files) != 1 || len(listed.Files[0].Older) != 2 || listed.Files[0].Path+listed.Files[0].Older[0].Path != "" || len(listed.Trash[0].Older) != 1 {
		t.Errorf("without contents: %+v", listed)
	}
	got := fmt.Sprint(len(names), contents[file+"/a"], contents[file+"/versions/2/a"], contents[trash+"/b"], contents[trash+"/versions/1/b"])
	if got != fmt.Sprint(5, "third", "second", "b2", "b1") {
		t.Errorf("packed %q: %s", names, got)
	}
	if items, _ := page[version](t, p.get("/v1/files/"+f.ID+"/versions")); len(items) != 3 || items[2].Flaw != "corrupt" || items[1].Flaw != "" {
		t.Errorf("the list of versions: %+v", items)
	}
}

// A name must not take the place of a folder, in any case: whoever unpacks would lose what is in one of the two.
func TestHostile_ExportOfAFileNamedLikeAFolder(t *testing.T) {
	w := newExportWorld(t, ada, policyWith(`{versionsKept: 1}`))
	p := w.person()
	for _, name := range []string{"versions", "VERSIONS", "verſions", "versions."} {
		p.replace(p.upload(name, "text/plain", reader("one")), "two").file(t, 200)
	}
	names, _ := unpack(t, p.get("/v1/users/me/export?files=1").body)
	if len(names) != 9 {
		t.Errorf("packed %q", names)
	}
	for _, file := range names {
		for _, other := range names {
			if strings.HasPrefix(strings.ToUpper(other), strings.ToUpper(file)+"/") {
				t.Errorf("%q is a file, and the folder of %q", file, other)
			}
		}
	}
}

// What the document tells of is packed as it was then, whatever its owner does meanwhile.
func TestExport_PacksWhatItsDocumentTells(t *testing.T) {
	w := newExportWorld(t, ada, policyWith(`{trashRetention: 1h}`))
	p := w.person()
	restored := p.upload("restored", "text/plain", reader("restored"))
	p.do(http.MethodDelete, "/v1/files/"+restored.ID, nil)
	large := make([]byte, 24<<20) // more than lies between us and somebody who doesn't read
	_, _ = rand.Read(large)
	p.upload("large", "application/octet-stream", bytes.NewReader(large))
	for range 100 { // a page
		p.upload("small", "text/plain", reader("small"))
	}
	replaced := p.upload("replaced", "text/plain", reader("old"))
	trashed := p.upload("trashed", "text/plain", reader("trashed"))

	res, err := http.DefaultClient.Do(p.request(http.MethodGet, "/v1/users/me/export?files=1", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw := make([]byte, 1<<20)
	if _, err := io.ReadFull(res.Body, raw); err != nil {
		t.Fatal(err)
	}
	p.do(http.MethodPost, "/v1/trash/"+restored.ID+"/restore", nil).file(t, 200)
	p.replace(replaced, "new").file(t, 200)
	p.do(http.MethodDelete, "/v1/files/"+trashed.ID, nil)
	p.upload("late", "text/plain", reader("late"))
	rest, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}

	_, contents := unpack(t, append(raw, rest...))
	type exported struct{ SHA256, Path string }
	var doc struct{ Files, Trash []exported }
	if err := json.Unmarshal([]byte(contents["export.json"]), &doc); err != nil {
		t.Fatal(err)
	}
	told := append(doc.Files, doc.Trash...)
	if len(told) != 104 || len(contents) != 105 {
		t.Errorf("the document tells of %d contents, and %d are packed", len(told), len(contents)-1)
	}
	for _, f := range told {
		if sum := sha256.Sum256([]byte(contents[f.Path])); hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("%q has not the content the document tells of", f.Path)
		}
	}
}

func TestHostile_ExportThatBreaksOffIsNoDocument(t *testing.T) {
	for name, account := range map[string]http.HandlerFunc{
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(" ", 40<<10)+accountJSON[:200])
			panic(http.ErrAbortHandler)
		},
		"half":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, accountJSON[:200]) },
		"empty": func(http.ResponseWriter, *http.Request) {},
	} {
		w := newExportWorld(t, account)
		w.http = http.DefaultClient // what comes isn't in the contract
		for _, query := range []string{"", "?files=1"} {
			if a := w.person().get("/v1/users/me/export" + query); a.err == nil && a.status == 200 {
				t.Errorf("%s%s: came whole: %q", name, query, a.body)
			}
		}
	}
}

func TestExport_Refusals(t *testing.T) {
	status := 200
	w := newExportWorld(t, func(w http.ResponseWriter, r *http.Request) {
		if w.WriteHeader(status); status == 200 {
			ada(w, r)
		}
	})
	p := w.person()
	for _, query := range []string{"?files=0", "?files=1&files=1", "?files", "?user_id=x"} {
		p.get("/v1/users/me/export"+query).refused(t, query, 400, "VALIDATION_ERROR")
	}
	for said, want := range map[int]int{401: 401, 403: 403, 404: 503, 500: 503, 503: 503} {
		status = said
		if a := p.get("/v1/users/me/export"); a.status != want {
			t.Errorf("the auth service says %d: %d, want %d", said, a.status, want)
		}
	}
	w.person("files:create:self").get("/v1/users/me/export").refused(t, "no right to read files", 403, "FORBIDDEN")
}

// What has expired and is not in the trash yet is held still.
func TestExport_HasWhatHasJustExpired(t *testing.T) {
	w := newExportWorld(t, ada, policyWith(`{trashRetention: 1h}`))
	p := w.person()
	expires := time.Now().Add(1500 * time.Millisecond)
	body, kind := formOf(t, "f", "text/plain", []byte("held"), "expires_at", expires.UTC().Format(time.RFC3339Nano))
	f := p.do(http.MethodPost, "/v1/files", body, "Content-Type", kind).file(t, 201)
	time.Sleep(time.Until(expires) + 100*time.Millisecond)
	if a := p.get("/v1/files/" + f.ID); a.status != 404 {
		t.Fatalf("it has not expired: %d", a.status)
	}
	_, contents := unpack(t, p.get("/v1/users/me/export?files=1").body)
	if got := contents["files/"+f.ID+"/f"] + contents["trash/"+f.ID+"/f"]; got != "held" {
		t.Errorf("packed is %q", contents)
	}
}
