package filessvc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// page reads a page of a list.
func page[T any](t *testing.T, a answer) (items []T, next string) {
	t.Helper()
	var body struct {
		Items      []T     `json:"items"`
		NextCursor *string `json:"next_cursor"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil || a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if body.NextCursor != nil {
		next = *body.NextCursor
	}
	return body.Items, next
}

func (p *person) replace(f file, content string, headers ...string) answer {
	p.w.t.Helper()
	return p.do(http.MethodPut, f.content(), strings.NewReader(content), append(headers, "Content-Type", "text/plain")...)
}

func TestVersions_ListReadAndRestore(t *testing.T) {
	w := newWorld(t, policyWith(`{versionsKept: 3}`))
	p := w.person()
	f := p.upload("a.txt", "text/plain", strings.NewReader("first"))
	p.replace(f, "second").file(t, 200)
	third := p.replace(f, "third").file(t, 200)
	versions := "/v1/files/" + f.ID + "/versions"

	items, next := page[file](t, p.get(versions+"?limit=2"))
	if len(items) != 2 || items[0].ETag != third.ETag || items[1].Version != 2 || next == "" {
		t.Fatalf("first page: %+v %q", items, next)
	}
	if items, next = page[file](t, p.get(versions+"?limit=2&cursor="+next)); len(items) != 1 || items[0].ETag != f.ETag || next != "" {
		t.Errorf("last page: %+v %q", items, next)
	}

	a := p.get(versions+"/1/content", "Range", "bytes=1-3")
	if a.status != http.StatusPartialContent || string(a.body) != "irs" || a.header.Get("ETag") != f.ETag {
		t.Errorf("range of a version: %d %q %v", a.status, a.body, a.header)
	}
	if a := p.get(versions+"/1/content", "If-None-Match", f.ETag); a.status != http.StatusNotModified {
		t.Errorf("not modified: %d", a.status)
	}
	p.do(http.MethodPost, versions+"/1/restore", nil, "If-Match", f.ETag).refused(t, "over a newer version", 412, "PRECONDITION_FAILED")
	back := p.do(http.MethodPost, versions+"/1/restore", nil, "If-Match", third.ETag).file(t, 200)
	if back.Version != 4 || back.SHA256 != f.SHA256 || back.ETag == f.ETag {
		t.Errorf("restored: %+v", back)
	}
	if a := p.get(f.content()); string(a.body) != "first" {
		t.Errorf("content is %q", a.body)
	}
	if u := p.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":16,`) {
		t.Errorf("usage is %s, want shared bytes to count once", u.body)
	}
}

func TestVersions_OnlyWhatIsThereAndMine(t *testing.T) {
	w := newWorld(t, policyWith(`{versionsKept: 1}`))
	p, other := w.person(), w.person()
	f := p.upload("a.txt", "text/plain", strings.NewReader("x"))
	versions := "/v1/files/" + f.ID + "/versions"
	for _, n := range []string{"0", "2", "-1", "01", "1e0", "9223372036854775808", "x", "%00"} {
		p.get(versions+"/"+n+"/content").refused(t, n, 404, "NOT_FOUND")
		p.do(http.MethodPost, versions+"/"+n+"/restore", nil).refused(t, "restore "+n, 404, "NOT_FOUND")
	}
	other.get(versions).refused(t, "another's list", 404, "NOT_FOUND")
	other.get(versions+"/1/content").refused(t, "another's content", 404, "NOT_FOUND")
	other.do(http.MethodPost, versions+"/1/restore", nil).refused(t, "another's restore", 404, "NOT_FOUND")
	p.get(versions+"?limit=101").refused(t, "limit", 400, "VALIDATION_ERROR")
	_, cursor := page[file](t, p.get("/v1/files?limit=1"))
	if cursor != "" {
		t.Fatal("one file, and a next page")
	}
	p.upload("b.txt", "text/plain", strings.NewReader("x"))
	_, cursor = page[file](t, p.get("/v1/files?limit=1"))
	p.get(versions+"?cursor="+cursor).refused(t, "a cursor of another list", 400, "VALIDATION_ERROR")
}

func TestTrash_ListRestoreAndEmpty(t *testing.T) {
	w := newWorld(t, policyWith(`{trashRetention: 24h}`))
	p, other := w.person(), w.person()
	a := p.upload("a.txt", "text/plain", strings.NewReader("aa"))
	b := p.upload("b.txt", "text/plain", strings.NewReader("b"))
	p.do(http.MethodPost, "/v1/trash/"+a.ID+"/restore", nil).refused(t, "not in the trash", 404, "NOT_FOUND")
	p.do(http.MethodDelete, "/v1/trash/"+a.ID, nil).refused(t, "not in the trash", 404, "NOT_FOUND")
	for _, f := range []file{a, b} {
		if got := p.do(http.MethodDelete, "/v1/files/"+f.ID, nil); got.status != 204 {
			t.Fatalf("delete: %d %s", got.status, got.body)
		}
	}
	type trashed struct {
		file
		DeletedAt time.Time `json:"deleted_at"`
		PurgeAt   time.Time `json:"purge_at"`
	}
	items, next := page[trashed](t, p.get("/v1/trash?limit=1"))
	if len(items) != 1 || items[0].ID != b.ID || next == "" {
		t.Fatalf("first page: %+v", items)
	}
	if it := items[0]; it.DeletedAt.IsZero() || it.PurgeAt.Sub(it.DeletedAt) != 24*time.Hour {
		t.Errorf("deleted %v, to be removed %v, want a day later, as policy says", it.DeletedAt, it.PurgeAt)
	}
	other.get("/v1/trash?cursor="+next).refused(t, "another's cursor", 400, "VALIDATION_ERROR")
	if items, next = page[trashed](t, p.get("/v1/trash?cursor="+next)); len(items) != 1 || items[0].ID != a.ID || next != "" {
		t.Errorf("last page: %+v", items)
	}
	other.do(http.MethodPost, "/v1/trash/"+a.ID+"/restore", nil).refused(t, "another's", 404, "NOT_FOUND")
	other.do(http.MethodDelete, "/v1/trash/"+a.ID, nil).refused(t, "another's", 404, "NOT_FOUND")

	if back := p.do(http.MethodPost, "/v1/trash/"+a.ID+"/restore", nil).file(t, 200); back.ETag != a.ETag {
		t.Errorf("restored: %+v", back)
	}
	if got := p.get(a.content()); string(got.body) != "aa" {
		t.Errorf("content after restore: %d %s", got.status, got.body)
	}
	if got := p.do(http.MethodDelete, "/v1/trash/"+b.ID, nil); got.status != 204 {
		t.Errorf("delete from trash: %d %s", got.status, got.body)
	}
	if items, _ := page[trashed](t, p.get("/v1/trash")); len(items) != 0 {
		t.Errorf("left: %+v", items)
	}
	if u := p.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":2,"files":1,`) {
		t.Errorf("usage is %s", u.body)
	}
}

func TestIfMatch_GuardsUpdateAndDelete(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", strings.NewReader("one"))
	now := p.replace(f, "two").file(t, 200)
	patch := func(tag string) answer {
		return p.do(http.MethodPatch, "/v1/files/"+f.ID, strings.NewReader(`{"name":"b"}`), "Content-Type", "application/json", "If-Match", tag)
	}
	patch(f.ETag).refused(t, "patch over a newer content", 412, "PRECONDITION_FAILED")
	patch("rubbish").refused(t, "patch with no tag", 412, "PRECONDITION_FAILED")
	patch(now.ETag).file(t, 200)
	for _, query := range []string{"", "?permanent=1"} {
		p.do(http.MethodDelete, "/v1/files/"+f.ID+query, nil, "If-Match", "W/"+now.ETag).refused(t, "delete by a weak tag", 412, "PRECONDITION_FAILED")
		p.do(http.MethodDelete, "/v1/files/"+f.ID+query, nil, "If-Match", f.ETag).refused(t, "delete over a newer content", 412, "PRECONDITION_FAILED")
	}
	if a := p.do(http.MethodDelete, "/v1/files/"+f.ID, nil, "If-Match", now.ETag); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
}
