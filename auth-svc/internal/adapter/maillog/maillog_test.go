package maillog_test

import (
	"fmt"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/adapter/maillog"
	"cloakroom.dev/auth-svc/internal/identity"
)

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func open(t *testing.T) (m *maillog.Mailer, folder string) {
	folder = filepath.Join(t.TempDir(), "mail")
	m, err := maillog.New(folder, "Cloakroom <no-reply@example.org>")
	if err != nil {
		t.Fatal(err)
	}
	return m, folder
}

func files(t *testing.T, folder string) []string {
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSend_WritesAMessageThatAnyProgramReads(t *testing.T) {
	m, folder := open(t)
	err := m.Send(t.Context(), identity.Mail{ID: "abc", To: "ada@example.org", Subject: "Grüße", Text: "text: crm_abc", HTML: "<p>html</p>", At: start})
	if err != nil {
		t.Fatal(err)
	}
	names := files(t, folder)
	if len(names) != 1 || !strings.HasSuffix(names[0], "-abc.eml") {
		t.Fatalf("files %v", names)
	}
	if info, _ := os.Stat(names[0]); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	f, err := os.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	msg, err := mail.ReadMessage(f)
	if err != nil {
		t.Fatal(err)
	}
	if to, err := msg.Header.AddressList("To"); err != nil || to[0].Address != "ada@example.org" {
		t.Errorf("To %v, %v", to, err)
	}
	if id := msg.Header.Get("Message-ID"); id != "<abc@example.org>" {
		t.Errorf("Message-ID %s", id)
	}
}

func TestSend_RefusesWhatWouldBreakOut(t *testing.T) {
	m, folder := open(t)
	for _, bad := range []identity.Mail{
		{ID: "../x", To: "ada@example.org"}, {ID: "", To: "ada@example.org"}, {ID: "a", To: "ada@example.org\r\nBcc: eve@example.org"},
		{ID: "a", To: "ada@example.org, eve@example.org"}, {ID: "a", To: ""},
	} {
		if err := m.Send(t.Context(), bad); err == nil {
			t.Errorf("%+v was written", bad)
		}
	}
	if names := files(t, folder); len(names) != 0 {
		t.Errorf("files %v", names)
	}
}

func TestFolderAndPage_AreBoundedAndNewestFirst(t *testing.T) {
	m, folder := open(t)
	for i := range 210 {
		err := m.Send(t.Context(), identity.Mail{
			ID: fmt.Sprintf("id%03d", i), To: "ada@example.org", Subject: fmt.Sprintf("<b>mail %03d", i), Text: "x", HTML: "x", At: start.Add(time.Duration(i) * time.Second),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	names := files(t, folder)
	if len(names) != 200 || !strings.HasSuffix(names[0], "-id010.eml") {
		t.Errorf("%d files, the oldest %s", len(names), names[0])
	}
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequest("GET", "/-/mail", nil))
	page := rec.Body.String()
	newest, older := strings.Index(page, "&lt;b&gt;mail 209"), strings.Index(page, "&lt;b&gt;mail 208")
	if newest < 0 || older < newest || strings.Contains(page, "mail 009") || strings.Contains(page, "<b>mail") {
		t.Errorf("newest at %d, the one before at %d", newest, older)
	}
}

func TestPage_ShowsHostileValuesAsText(t *testing.T) {
	m, _ := open(t)
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequest("GET", "/-/mail", nil))
	if !strings.Contains(rec.Body.String(), "No mail has been sent since the start.") {
		t.Errorf("an empty folder: %s", rec.Body)
	}
	const hostile = `"><script>alert(1)</script></pre><a href="javascript:alert(1)">`
	err := m.Send(t.Context(), identity.Mail{ID: "a", To: `"<script>"@example.org`, Subject: hostile, Text: hostile, HTML: hostile, At: start})
	if err != nil {
		t.Fatal(err)
	}
	rec = httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequest("GET", "/-/mail", nil))
	page := rec.Body.String()
	if strings.Contains(page, "<script") || strings.Contains(page, "<a ") || strings.Count(page, "</pre>") != 1 || strings.Count(page, "&lt;script&gt;") != 3 {
		t.Errorf("the page is %s", page)
	}
}
