package filessvc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

type filePage struct {
	Items      []file  `json:"items"`
	NextCursor *string `json:"next_cursor"`
	Page       int     `json:"page"`
	PageSize   int     `json:"page_size"`
	Total      int64   `json:"total"`
}

func (p *person) list(query string) (l filePage) {
	p.w.t.Helper()
	a := p.get("/v1/files?" + query)
	if err := json.Unmarshal(a.body, &l); err != nil || a.status != 200 {
		p.w.t.Fatalf("%s: got %d %s", query, a.status, a.body)
	}
	return l
}

func (l filePage) names() string {
	var names []string
	for _, f := range l.Items {
		names = append(names, f.Name)
	}
	return strings.Join(names, " ")
}

func TestList_CursorsSeeEachStableFileOnce(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	var want []string
	for i := range 25 {
		want = append(want, p.upload(fmt.Sprintf("f%02d", i), "text/plain", strings.NewReader(strings.Repeat("x", i%5))).ID)
	}
	for _, sort := range []string{"created_at", "-created_at", "name", "-name", "size", "-size"} {
		var got []string
		query := "limit=4&sort=" + sort
		for extra := 0; ; extra++ {
			l := p.list(query)
			for _, f := range l.Items {
				if !strings.HasPrefix(f.Name, "extra") {
					got = append(got, f.ID)
				}
			}
			if l.NextCursor == nil {
				break
			}
			p.upload(fmt.Sprintf("extra%d", extra), "text/plain", strings.NewReader("x")) // comes in between
			query = "limit=4&sort=" + sort + "&cursor=" + *l.NextCursor
		}
		slices.Sort(got)
		if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: got %d files, want %d once each", sort, len(got), len(want))
		}
	}
}

func TestList_PagesFiltersAndOrders(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for i, name := range []string{"b.txt", "a.png", "C.txt"} {
		contentType := "text/plain"
		if strings.HasSuffix(name, ".png") {
			contentType = "image/png"
		}
		p.upload(name, contentType, strings.NewReader(strings.Repeat("x", 3-i)))
	}
	for query, want := range map[string]string{
		"":                                    "C.txt a.png b.txt",
		"sort=created_at":                     "b.txt a.png C.txt",
		"sort=name":                           "a.png b.txt C.txt",
		"sort=-size":                          "b.txt a.png C.txt",
		"q=TXT&sort=name":                     "b.txt C.txt",
		"content_type=image/*":                "a.png",
		"content_type=*/*&sort=name":          "a.png b.txt C.txt",
		"content_type=text/plain&sort=name":   "b.txt C.txt",
		"created_after=2099-01-01T00:00:00Z":  "",
		"created_before=2099-01-01T00:00:00Z": "C.txt a.png b.txt",
		"page=2&page_size=2&sort=name":        "C.txt",
		"page=9":                              "",
	} {
		l := p.list(query)
		if l.names() != want {
			t.Errorf("%q lists %q, want %q", query, l.names(), want)
		}
		if strings.Contains(query, "page=") && l.Total != 3 {
			t.Errorf("%q: total is %d", query, l.Total)
		}
	}
}

func TestList_BadQuestions(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for range 3 {
		p.upload("a", "text/plain", strings.NewReader("x"))
	}
	cursor := *p.list("limit=1").NextCursor
	tampered := []byte(cursor)
	tampered[len(tampered)/2] ^= 1
	other := w.person()
	for _, c := range []struct {
		says  string
		p     *person
		query string
	}{
		{"limit of none", p, "limit=0"},
		{"limit of many", p, "limit=101"},
		{"limit of nonsense", p, "limit=x"},
		{"page of none", p, "page=0"},
		{"page size of many", p, "page_size=101"},
		{"page and cursor", p, "page=1&cursor=" + cursor},
		{"page and limit", p, "page=1&limit=2"},
		{"unknown order", p, "sort=owner"},
		{"unknown parameter", p, "owner=x"},
		{"twice", p, "limit=1&limit=2"},
		{"no time", p, "created_after=yesterday"},
		{"empty cursor", p, "cursor="},
		{"made-up cursor", p, "cursor=aGVsbG8"},
		{"tampered cursor", p, "limit=1&cursor=" + url.QueryEscape(string(tampered))},
		{"long cursor", p, "cursor=" + strings.Repeat("x", 5000)},
		{"cursor of another order", p, "sort=name&cursor=" + cursor},
		{"cursor of other filters", p, "q=a&cursor=" + cursor},
		{"cursor of another person", other, "cursor=" + cursor},
	} {
		c.p.get("/v1/files?"+c.query).refused(t, c.says, 400, "VALIDATION_ERROR")
	}
}

func TestMetadata_UpdateReplaceDelete(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", strings.NewReader("one"))
	patch := func(body string) file {
		t.Helper()
		return p.do(http.MethodPatch, "/v1/files/"+f.ID, strings.NewReader(body), "Content-Type", "application/json").file(t, 200)
	}
	if g := patch(`{"name":"Ünïcødé.md","metadata":{"k":"v"},"expires_at":"2099-01-01T00:00:00Z"}`); g.Name != "Ünïcødé.md" ||
		g.Extension != "md" || g.Metadata["k"] != "v" || g.ExpiresAt == nil || g.ETag != f.ETag || g.Version != 1 {
		t.Errorf("got %+v", g)
	}
	if g := patch(`{"expires_at":null}`); g.ExpiresAt != nil || g.Metadata["k"] != "v" || g.Name != "Ünïcødé.md" {
		t.Errorf("got %+v", g)
	}
	put := func(body string, headers ...string) answer {
		return p.do(http.MethodPut, f.content(), strings.NewReader(body), append(headers, "Content-Type", "text/markdown")...)
	}
	two := put("two", "If-Match", f.ETag).file(t, 200)
	if two.Version != 2 || two.ID != f.ID || two.ContentType != "text/markdown" || two.ETag == f.ETag || two.Name != "Ünïcødé.md" {
		t.Errorf("got %+v", two)
	}
	put("late", "If-Match", f.ETag).refused(t, "an old tag", 412, "PRECONDITION_FAILED")
	put("late", "If-Match", "W/"+two.ETag).refused(t, "a weak tag", 412, "PRECONDITION_FAILED")
	put("late", "If-Match", "nonsense").refused(t, "no tag", 412, "PRECONDITION_FAILED")
	put("late", "If-None-Match", "*").refused(t, "if none", 412, "PRECONDITION_FAILED")
	put("late", "If-None-Match", `"x"`).refused(t, "if none of these", 400, "VALIDATION_ERROR")
	put("late", "If-Unmodified-Since", "Sat, 21 Nov 2026 10:30:15 GMT").refused(t, "by date", 400, "VALIDATION_ERROR")
	put("ab", "Content-Range", "bytes 0-1/3").refused(t, "a part", 400, "VALIDATION_ERROR")
	put("late", "Repr-Digest", "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:").refused(t, "a digest", 400, "DIGEST_MISMATCH")
	if a := p.get(f.content()); string(a.body) != "two" {
		t.Errorf("the content is %q", a.body)
	}
	put("three", "If-Match", "*").file(t, 200)
	if a := p.do(http.MethodDelete, "/v1/files/"+f.ID, nil); a.status != 204 {
		t.Errorf("delete: got %d", a.status)
	}
	p.do(http.MethodDelete, "/v1/files/"+f.ID, nil).refused(t, "a second delete", 404, "NOT_FOUND")
	put("four").refused(t, "replace in the trash", 404, "NOT_FOUND")
	if a := p.do(http.MethodDelete, "/v1/files/"+f.ID+"?permanent=1", nil); a.status != 204 {
		t.Errorf("permanent delete out of the trash: got %d %s", a.status, a.body)
	}
	p.do(http.MethodDelete, "/v1/files/"+f.ID+"?permanent=perhaps", nil).refused(t, "permanent", 400, "VALIDATION_ERROR")
}

// Two replaces under one If-Match: one wins.
func TestReplace_OneOfTwoWins(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", strings.NewReader("0"))
	for round := range 10 {
		results := make(chan answer, 4)
		for i := range 4 {
			go func() {
				results <- p.do(http.MethodPut, f.content(), strings.NewReader(fmt.Sprint("body", round, i)), "If-Match", f.ETag, "Content-Type", "text/plain")
			}()
		}
		won := 0
		for range 4 {
			switch a := <-results; a.status {
			case 200:
				won++
				f = a.file(t, 200)
			case 412:
			default:
				t.Errorf("got %d %s, %v", a.status, a.body, a.err)
			}
		}
		if won != 1 {
			t.Fatalf("%d replaces won", won)
		}
	}
}

// What is no text names nothing, and a store that can't take it is not asked: PostgreSQL fails on a NUL.
func TestHostile_WhatIsNoTextIsRefusedOrNotThere(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	p.upload("a", "text/plain", reader("x"))
	for _, query := range []string{"q=%00", "q=%ff", "content_type=%00", "%ff=1", "cursor=%00"} {
		p.rawGet("/v1/files?"+query).refused(t, query, 400, "VALIDATION_ERROR")
	}
	p.rawGet("/v1/files/archive?ids=%ff").refused(t, "archive", 400, "VALIDATION_ERROR")
	for _, path := range []string{"/v1/files/%ff", "/v1/files/%00", "/v1/files/a%ff/content", "/v1/uploads/%00", "/v1/trash/%ff"} {
		p.rawGet(path).refused(t, path, 404, "NOT_FOUND")
	}
}

func TestLists_TakeNoLimitOfZero(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a", "text/plain", reader("x"))
	for _, path := range []string{"/v1/files", "/v1/trash", "/v1/files/changes", "/v1/files/" + f.ID + "/versions"} {
		for _, limit := range []string{"0", "-1", "101"} {
			p.get(path+"?limit="+limit).refused(t, path, 400, "VALIDATION_ERROR")
		}
		if a := p.get(path + "?limit=1"); a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// The moment that is 0 in a row is a moment all the same.
func TestList_CreatedBefore1970(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	p.upload("a", "text/plain", reader("x"))
	for query, want := range map[string]int{"created_before": 0, "created_after": 1} {
		if got := p.list(query + "=1970-01-01T00:00:00Z"); len(got.Items) != want {
			t.Errorf("%s: %d files, want %d", query, len(got.Items), want)
		}
	}
}
