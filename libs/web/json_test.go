package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/web"
)

type input struct {
	ID    string            `path:"id"`
	Limit int               `query:"limit"`
	Wait  *bool             `query:"wait"`
	Match string            `header:"If-Match"`
	Email string            `json:"email"`
	Age   *int64            `json:"age"`
	Tags  []string          `json:"tags"`
	Inner struct{ A bool }  `json:"inner"`
	Meta  map[string]string `json:"meta"`
}

func (in input) Validate() []fault.Field {
	if in.Email == "" {
		return []fault.Field{{Field: "email", Code: "REQUIRED", Detail: "give an email"}}
	}
	return nil
}

func call(t *testing.T, method, target, contentType, body string) (*httptest.ResponseRecorder, *input) {
	t.Helper()
	var got *input
	m := web.NewMux()
	m.Handle(method, "/things/{id}", "things", web.JSON(func(_ context.Context, in input) (web.NoContent, error) {
		got = &in
		return web.NoContent{}, nil
	}))
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	web.Edge(m, web.EdgeOptions{Listener: "test"}).ServeHTTP(w, r)
	return w, got
}

func TestJSON_FillsEveryPart(t *testing.T) {
	w, got := call(t, "POST", "/things/a%20b?limit=5&wait=1", "application/json; charset=utf-8",
		`{"email":"a@b.c","age":7,"tags":["x","y"],"meta":{"k":"v"}}`)
	if w.Code != 204 || got == nil {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	age, wait := int64(7), true
	want := input{
		ID: "a b", Limit: 5, Wait: &wait, Email: "a@b.c", Age: &age, Tags: []string{"x", "y"}, Meta: map[string]string{"k": "v"},
	}
	if d := cmp.Diff(want, *got); d != "" {
		t.Error(d)
	}
}

// A body can be wrong in thousands of places. Told one by one they would be an answer of many times its size.
func TestJSON_TellsSoManyWrongFieldsAndNoMore(t *testing.T) {
	w, _ := call(t, "POST", "/things/a", "application/json", `{"tags":[`+strings.Repeat("1,", 15_000)+`1]}`)
	if w.Code != 400 || w.Body.Len() > 64<<10 {
		t.Errorf("status %d, %d bytes", w.Code, w.Body.Len())
	}
	if !strings.Contains(w.Body.String(), `"tags[0]"`) || !strings.Contains(w.Body.String(), `"TOO_MANY"`) {
		t.Errorf("got %.300s", w.Body)
	}
}

func TestJSON_RefusesWhatItDoesNotKnowExactly(t *testing.T) {
	const ok = "application/json"
	deep := strings.Repeat(`{"inner":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	for _, c := range []struct {
		name, target, contentType, body string
		status                          int
		fields                          string
	}{
		{"unknown field", "/things/1", ok, `{"email":"a","role":"admin"}`, 400, "role UNKNOWN"},
		{"case variant", "/things/1", ok, `{"Email":"a"}`, 400, "Email UNKNOWN,email REQUIRED"},
		{"duplicate key", "/things/1", ok, `{"email":"a","email":"b"}`, 400, "email DUPLICATE"},
		{"wrong types are listed together", "/things/1?limit=x", ok, `{"email":1,"age":"7","tags":[1],"inner":[]}`, 400,
			"limit INVALID,email TYPE,age TYPE,tags[0] TYPE,inner TYPE"},
		{"a float is no whole number", "/things/1", ok, `{"email":"a","age":1.5}`, 400, "age TYPE"},
		{"a number past 64 bits", "/things/1", ok, `{"email":"a","age":1e400}`, 400, "age TYPE"},
		{"a key three times is told of once", "/things/1", ok, `{"email":"a","email":1,"email":"b"}`, 400, "email DUPLICATE"},
		{"in the order in which they came", "/things/1?z=1&limit=x&a=1&z=2", ok, `{"tags":1,"role":"x","age":"7","email":"a"}`, 400,
			"z UNKNOWN,limit INVALID,a UNKNOWN,tags TYPE,role UNKNOWN,age TYPE"},
		{"nested duplicate", "/things/1", ok, `{"email":"a","meta":{"k":"1","k":"2"}}`, 400, "meta.k DUPLICATE"},
		{"missing field of no body", "/things/1", "", ``, 400, "email REQUIRED"},
		{"unknown query", "/things/1?token=x", ok, `{"email":"a"}`, 400, "token UNKNOWN"},
		{"query given twice", "/things/1?limit=1&limit=2", ok, `{"email":"a"}`, 400, "limit INVALID"},
		{"an array", "/things/1", ok, `[]`, 400, ""},
		{"null", "/things/1", ok, `null`, 400, ""},
		{"two values", "/things/1", ok, `{"email":"a"}{}`, 400, ""},
		{"cut short", "/things/1", ok, `{"email":"a"`, 400, ""},
		{"broken UTF-8", "/things/1", ok, "{\"email\":\"\xff\"}", 400, ""},
		{"lone surrogate", "/things/1", ok, `{"email":"\ud800"}`, 400, ""},
		{"ten thousand deep", "/things/1", ok, deep, 400, ""},
		{"form", "/things/1", "application/x-www-form-urlencoded", `email=a`, 415, ""},
		{"text", "/things/1", "text/plain", `{"email":"a"}`, 415, ""},
		{"other charset", "/things/1", "application/json; charset=utf-16", `{"email":"a"}`, 415, ""},
		{"too large", "/things/1", ok, `{"email":"` + strings.Repeat("a", 1<<20) + `"}`, 413, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, got := call(t, "POST", c.target, c.contentType, c.body)
			if got != nil {
				t.Fatal("the handler was called")
			}
			var doc problem.Document
			if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
				t.Fatalf("no problem document: %s", w.Body)
			}
			var fields []string
			for _, f := range doc.Errors {
				fields = append(fields, f.Field+" "+f.Code)
			}
			if w.Code != c.status || strings.Join(fields, ",") != c.fields {
				t.Errorf("got %d %v, want %d %s", w.Code, fields, c.status, c.fields)
			}
			if doc.Instance == "" || doc.Instance != w.Header().Get("X-Request-Id") {
				t.Errorf("instance %q is not the request's id", doc.Instance)
			}
		})
	}
}

// Rules behind the handler add to a refusal, and make none.
func TestJSON_NamesWhatElseIsWrong(t *testing.T) {
	asked := 0
	h := web.JSON(func(context.Context, input) (web.NoContent, error) { return web.NoContent{}, nil },
		func(_ context.Context, in input) error {
			asked++
			return fault.Validation(fault.Field{Field: "age", Code: "RANGE"}, fault.Field{Field: "role", Code: "RULE"}, fault.Field{Field: "meta.k", Code: "RULE"})
		})
	for body, want := range map[string]string{
		`{"email":"a","age":1}`:                           "",
		`{"meta":{"k":"v"},"role":1,"age":1,"email":"a"}`: "meta.k RULE,role UNKNOWN,age RANGE",
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var doc problem.Document
		_ = json.Unmarshal(w.Body.Bytes(), &doc)
		var fields []string
		for _, f := range doc.Errors {
			fields = append(fields, f.Field+" "+f.Code)
		}
		if got := strings.Join(fields, ","); got != want || (w.Code == 204) != (want == "") {
			t.Errorf("%s: got %d %s, want %s", body, w.Code, got, want)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestJSON_TakesEscapedPairsOfSurrogates(t *testing.T) {
	w, got := call(t, "POST", "/things/1", "application/json", `{"email":"\ud83d\ude00 \\ud800"}`)
	if w.Code != 204 || got.Email != `😀 \ud800` {
		t.Errorf("got %d %+v", w.Code, got)
	}
}

type created struct {
	Name string   `json:"name"`
	At   web.Time `json:"at"`
}

func (created) StatusCode() int       { return http.StatusCreated }
func (created) Headers(h http.Header) { h.Set("Location", "/x") }
func handled[T any](out T) http.Handler {
	return web.JSON(func(context.Context, struct{}) (T, error) { return out, nil })
}

func TestJSON_WritesStatusHeadersAndTimes(t *testing.T) {
	w := httptest.NewRecorder()
	handled(created{Name: "n"}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	want := `{"name":"n","at":"0001-01-01T00:00:00.000000Z"}` + "\n"
	if w.Code != 201 || w.Header().Get("Location") != "/x" || w.Body.String() != want {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"email":"a"}`, `{"email":"\ud800"}`, `{"meta":{"a":"b"}}`, `[[[[`, `{"tags":[]}`} {
		f.Add(s)
	}
	h := web.JSON(func(_ context.Context, in input) (web.NoContent, error) { return web.NoContent{}, nil })
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 204 && body != "" && !json.Valid([]byte(body)) {
			t.Errorf("took what is no JSON: %q", body)
		}
		if w.Code != 204 && w.Code != 400 && w.Code != 413 {
			t.Errorf("answered %d to %q", w.Code, body)
		}
	})
}

func TestJSON_ManySmallValuesAreRefusedEarly(t *testing.T) {
	w, _ := call(t, "POST", "/things/a", "application/json", `{"email":"a","tags":[`+strings.Repeat("1,", 500_000)+`1]}`)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "more than 20000 values") {
		t.Errorf("got %d %.300s", w.Code, w.Body)
	}
	w, _ = call(t, "POST", "/things/a", "application/json", `{"email":"a","meta":{`+strings.Repeat(`"a":"b",`, 1000)+`"c":"d"}}`)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "TOO_MANY") {
		t.Errorf("got %d %.300s", w.Code, w.Body)
	}
}

func TestMux_AQueryThatCantBeReadWholeIsRefused(t *testing.T) {
	for _, query := range []string{"limit=5;wait=1", "limit=5&wait=%zz", "limit=5&%", ";", "wait=1&limit=5;"} {
		w, got := call(t, "POST", "/things/a?"+query, "application/json", `{"email":"a"}`)
		if w.Code != 400 || got != nil || !strings.Contains(w.Body.String(), `"VALIDATION_ERROR"`) {
			t.Errorf("%s: got %d %s", query, w.Code, w.Body)
		}
	}
	if w, _ := call(t, "POST", "/things/a?limit=5&wait=1", "application/json", `{"email":"a"}`); w.Code != 204 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w, _ := call(t, "POST", "/nothing?a;b", "application/json", ""); w.Code != 404 {
		t.Errorf("a path that is not there answered %d", w.Code)
	}
}
