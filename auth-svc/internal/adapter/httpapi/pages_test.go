package httpapi

import (
	"net/http/httptest"
	"strings"
	"testing"

	"cloakroom.dev/libs/fault"
)

const hostileWords = `"><script>alert(1)</script><a href="javascript:alert(1)">`

// harmless holds a page to showing what it was given, as text.
func harmless(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	page := w.Body.String()
	if strings.Contains(page, "<script") || strings.Contains(page, "<a ") || strings.Contains(page, `""`) {
		t.Errorf("the page is %s", page)
	}
	if !strings.Contains(page, "&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;a href=&#34;javascript:alert(1)&#34;&gt;") {
		t.Errorf("what it was given is lost: %s", page)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": linkPolicy,
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestLinkPage_ShowsHostileValuesAsText(t *testing.T) {
	for name, view := range map[string]linkView{
		"token": {Token: hostileWords, Form: true}, "notice": {Notice: hostileWords},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if err := (&API{}).resetPage().write(w, 200, view); err != nil {
				t.Fatal(err)
			}
			harmless(t, w)
			if got := strings.Contains(w.Body.String(), "<form"); got != view.Form {
				t.Errorf("form %v", got)
			}
		})
	}
}

func TestSignInPage_ShowsHostileValuesAsText(t *testing.T) {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	if err := signInPage(w, r, fault.Validation(fault.Field{Field: hostileWords, Code: "UNKNOWN", Detail: "is not known"})); err != nil {
		t.Fatal(err)
	}
	harmless(t, w)
	if w.Code != 400 || !strings.Contains(w.Body.String(), `role="alert"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
