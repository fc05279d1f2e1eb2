package filessvc

import (
	"net/http"
	"strings"
	"testing"
)

// Two clients that both mean to make a file of one name: the resumable one is told as the plain one is, at its beginning or its end.
func TestUploads_OnlyANewName(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	const none, name = "If-None-Match", "filename Yi50eHQ=" // b.txt
	at := p.newTus(1, "Upload-Metadata", name, none, "*")
	p.upload("b.txt", "text/plain", reader("x"))
	p.tus(http.MethodPatch, at, []byte("y"), "Upload-Offset", "0").refused(t, "the name was taken meanwhile", 412, "PRECONDITION_FAILED")
	p.tus(http.MethodPost, "/v1/uploads", nil, "Upload-Length", "1", "Upload-Metadata", name, none, "*").refused(t, "tus", 412, "PRECONDITION_FAILED")
	p.do(http.MethodPost, "/v1/uploads", reader("y"), "Upload-Complete", "?1", "Content-Disposition", `attachment; filename="b.txt"`, none, "*").
		refused(t, "draft", 412, "PRECONDITION_FAILED")
	if got := p.list("q=b.txt"); len(got.Items) != 1 {
		t.Errorf("%d files of one name", len(got.Items))
	}
}

// Who sends a condition must not believe that it was asked.
func TestHostile_ConditionsWithoutMeaningAreRefused(t *testing.T) {
	w := newWorld(t, policyWith(`{trashRetention: 1h}`))
	p := w.person()
	f := p.upload("a", "text/plain", reader("x"))
	gone := p.upload("gone", "text/plain", reader("x"))
	p.do(http.MethodDelete, "/v1/files/"+gone.ID, nil)
	const past = "Mon, 01 Jan 2001 00:00:00 GMT"
	for _, c := range []struct {
		method, path, header, value string
		status                      int
	}{
		{"POST", "/v1/files", "If-Match", f.ETag, 400}, {"POST", "/v1/files", "If-Unmodified-Since", past, 400},
		{"PATCH", "/v1/files/" + f.ID, "If-None-Match", "*", 412}, {"PATCH", "/v1/files/" + f.ID, "If-None-Match", f.ETag, 400},
		{"PATCH", "/v1/files/" + f.ID, "If-Unmodified-Since", past, 400}, {"DELETE", "/v1/files/" + f.ID, "If-Unmodified-Since", past, 400},
		{"DELETE", "/v1/files/" + f.ID, "If-None-Match", "*", 412}, {"PUT", f.content(), "If-None-Match", "*", 412},
		{"DELETE", "/v1/trash/" + gone.ID, "If-Match", `"other"`, 400}, {"DELETE", "/v1/trash/" + gone.ID, "If-None-Match", "*", 400},
		{"POST", "/v1/trash/" + gone.ID + "/restore", "If-Match", `"other"`, 400}, {"POST", "/v1/trash/" + gone.ID + "/restore", "If-Unmodified-Since", past, 400},
	} {
		body, kind := reader("y"), "text/plain"
		if c.method == http.MethodPatch {
			body, kind = reader(`{"name":"b"}`), "application/json"
		}
		a := p.do(c.method, c.path, body, "Content-Type", kind, "Content-Disposition", `attachment; filename="z"`, c.header, c.value)
		if a.status != c.status {
			t.Errorf("%s %s with %s: %s: got %d %s, want %d", c.method, c.path, c.header, c.value, a.status, a.body, c.status)
		}
	}
	p.tus(http.MethodPost, "/v1/uploads", nil, "Upload-Length", "1", "Idempotency-Key", "k").refused(t, "a key", 400, "VALIDATION_ERROR")
	if got := p.list(""); got.names() != "a" {
		t.Errorf("now there is %q", got.names())
	}
	if a := p.get("/v1/trash"); !strings.Contains(string(a.body), gone.ID) {
		t.Errorf("the trash holds %s", a.body)
	}
}
