package filessvc

import (
	"encoding/json"
	"net/http"
	"testing"
)

type changes struct {
	Items []struct {
		Kind   string `json:"kind"`
		FileID string `json:"file_id"`
		LinkID string `json:"link_id"`
	} `json:"items"`
	NextCursor string `json:"next_cursor"`
	More       bool   `json:"more"`
}

func (p *person) changes(query string) (c changes) {
	p.w.t.Helper()
	a := p.get("/v1/files/changes" + query)
	if err := json.Unmarshal(a.body, &c); err != nil || a.status != http.StatusOK {
		p.w.t.Fatalf("got %d %s", a.status, a.body)
	}
	return c
}

func TestChanges_TellWhatHappenedInOrder(t *testing.T) {
	w := newWorld(t)
	p, other := w.person(), w.person()
	p.upload("before", "text/plain", reader("x"))
	start := p.changes("")
	if len(start.Items) != 0 || start.More {
		t.Fatalf("start: %+v", start)
	}
	f := p.upload("a", "text/plain", reader("x"))
	other.upload("theirs", "text/plain", reader("x"))
	p.replace(f, "y").file(t, 200)
	l := p.link(f, `{"expires_in": 60}`)
	p.do(http.MethodDelete, "/v1/files/"+f.ID, nil)
	p.do(http.MethodPost, "/v1/trash/"+f.ID+"/restore", nil)
	p.do(http.MethodDelete, "/v1/files/"+f.ID+"?permanent=1", nil)

	want := []string{"file.created", "file.replaced", "link.created", "file.trashed", "file.restored", "file.deleted"}
	var got []string
	cursor := start.NextCursor
	for more := true; more; {
		page := p.changes("?limit=2&cursor=" + cursor)
		for _, item := range page.Items {
			got = append(got, item.Kind)
			if item.FileID != f.ID || (item.Kind == "link.created") != (item.LinkID == l.ID) {
				t.Errorf("item %+v", item)
			}
		}
		cursor, more = page.NextCursor, page.More
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if again := p.changes("?cursor=" + cursor); len(again.Items) != 0 {
		t.Errorf("read again: %+v", again)
	}
	other.get("/v1/files/changes?cursor="+cursor).refused(t, "another's cursor", 400, "VALIDATION_ERROR")
	p.get("/v1/files/changes?cursor=x").refused(t, "no cursor", 400, "VALIDATION_ERROR")
}
