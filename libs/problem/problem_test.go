package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
)

func TestOf_EveryKindHasItsOwnRow(t *testing.T) {
	for kind := fault.Internal + 1; kind <= fault.Unavailable; kind++ {
		status, code := problem.Of(kind)
		if code == "INTERNAL_ERROR" || status == http.StatusInternalServerError {
			t.Errorf("kind %d is missing from the table", kind)
		}
	}
}

func TestWrite_HidesCausesAndSaysWhenToComeBack(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.7: password=hunter2")
	for _, c := range []struct {
		name        string
		err         error
		status      int
		code, retry string
	}{
		{"a plain error is an internal error", cause, 500, "INTERNAL_ERROR", ""},
		{"an internal fault says no more than a plain error", fault.Wrap(fault.Internal, "secret detail", cause), 500, "INTERNAL_ERROR", ""},
		{"a wrapped fault keeps its kind", fmt.Errorf("list: %w", fault.New(fault.NotFound, "no such file")), 404, "NOT_FOUND", ""},
		{"overload says when to come back", fault.Retry(fault.Overloaded, "busy", 1500*time.Millisecond), 503, "OVERLOADED", "2"},
		{"unavailable without a time says a second", fault.Wrap(fault.Unavailable, "store away", cause), 503, "UNAVAILABLE", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			problem.Write(w, httptest.NewRequest("GET", "/x", nil), c.err)
			var doc problem.Document
			if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
			if w.Code != c.status || doc.Status != c.status || doc.Code != c.code {
				t.Errorf("got %d %+v, want %d %s", w.Code, doc, c.status, c.code)
			}
			if got := w.Header().Get("Retry-After"); got != c.retry {
				t.Errorf("Retry-After is %q, want %q", got, c.retry)
			}
			if strings.Contains(w.Body.String(), "hunter2") || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the cause reached the client: %s", w.Body)
			}
		})
	}
}

// A request line alone has room for ten thousand unknown parameters.
func TestFrom_TellsSoManyFieldsAndNoMore(t *testing.T) {
	fields := make([]fault.Field, 10_000)
	doc := problem.From(httptest.NewRequest(http.MethodGet, "/", nil), fault.Validation(fields...))
	if len(doc.Errors) != 101 || doc.Errors[100].Code != "TOO_MANY" {
		t.Errorf("%d fields, the last %+v", len(doc.Errors), doc.Errors[len(doc.Errors)-1])
	}
}

func TestWrite_DropsHeadersOfTheSuccessThatDidNotCome(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"x"`)
	w.Header().Set("Content-Disposition", "attachment")
	problem.Write(w, httptest.NewRequest("GET", "/x", nil), fault.New(fault.Unauthenticated, "no token"))
	if w.Header().Get("ETag") != "" || w.Header().Get("Content-Disposition") != "" {
		t.Errorf("headers of a success stayed: %v", w.Header())
	}
	if w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Error("a 401 must name the scheme")
	}
}

// foreign is a scope of a request whose refusals have this shape; nil is the usual one.
type foreign struct{ shape problem.Shape }

func (foreign) RequestID() string      { return "r-1" }
func (foreign) Logger() *slog.Logger   { return slog.New(slog.DiscardHandler) }
func (f foreign) Shape() problem.Shape { return f.shape }

func TestWrite_AnswersInTheShapeOfTheScope(t *testing.T) {
	shape := func(_ *http.Request, doc problem.Document, err error) problem.Refusal {
		return problem.Refusal{Status: 418, ContentType: "text/x-shape", Body: []byte(doc.Code + " " + doc.Detail)}
	}
	refused := func(shape problem.Shape) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		problem.Write(w, r.WithContext(problem.WithScope(r.Context(), foreign{shape})), fault.Retry(fault.RateLimited, "slow down", 3*time.Second))
		return w
	}
	w := refused(shape)
	if w.Code != 418 || w.Header().Get("Content-Type") != "text/x-shape" || w.Body.String() != "RATE_LIMIT_EXCEEDED slow down" {
		t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w.Header().Get("Retry-After") != "3" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers that hold in every shape are missing: %v", w.Header())
	}
	if w = refused(nil); w.Header().Get("Content-Type") != problem.ContentType {
		t.Errorf("without a shape it is %v", w.Header())
	}
}
