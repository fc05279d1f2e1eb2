package brevo_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/brevo"
	"cloakroom.dev/auth-svc/internal/identity"
)

var letter = identity.Mail{
	ID: "0193445c-6f2e-7c1a-9f3e-2f6d1f0a7b11", To: "ada@example.org", Subject: "Hello", Text: "text", HTML: "<p>html</p>", At: time.Now(),
}

func mailer(t *testing.T, base string, private bool) *brevo.Mailer {
	t.Helper()
	m, err := brevo.New(brevo.Options{
		BaseURL: base, Key: secret.NewString("the key"), From: "Cloakroom <no-reply@example.org>", AllowPrivateAddresses: private,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSend_SpeaksTheAPI(t *testing.T) {
	var got map[string]any
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.Path != "/v3/smtp/email" || r.Header.Get("api-key") != "the key" || json.Unmarshal(raw, &got) != nil {
			t.Errorf("%s %s %s", r.Method, r.URL, raw)
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer api.Close()
	if err := mailer(t, api.URL, true).Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	sender, _ := got["sender"].(map[string]any)
	if sender["email"] != "no-reply@example.org" || got["subject"] != "Hello" || got["htmlContent"] != "<p>html</p>" || got["textContent"] != "text" {
		t.Errorf("sent %v", got)
	}
}

func TestSend_TellsWhatIsWorthAnotherAttempt(t *testing.T) {
	status := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"code": "invalid_parameter", "message": "ada@example.org is not valid"}`)
	}))
	defer api.Close()
	m := mailer(t, api.URL, true)
	for code, lasting := range map[int]bool{400: true, 422: true, 401: false, 402: false, 429: false, 500: false, 503: false} {
		status = code
		err := m.Send(t.Context(), letter)
		if err == nil || errors.Is(err, fault.Of(fault.Invalid)) != lasting {
			t.Errorf("%d: %v", code, err)
		}
		if strings.Contains(err.Error(), "ada@") || strings.Contains(err.Error(), "the key") {
			t.Errorf("%d: the error tells too much: %v", code, err)
		}
	}
}

func TestSend_NeverToAPrivateAddressNorAfterARedirect(t *testing.T) {
	called := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer inside.Close()
	for _, base := range []string{inside.URL, strings.Replace(inside.URL, "127.0.0.1", "localhost", 1), "http://[::1]:1", "http://10.0.0.1:1", "http://169.254.169.254", "http://[::ffff:127.0.0.1]:1", "http://100.64.0.1:1", "http://0.0.0.0:1"} {
		if err := mailer(t, base, false).Send(t.Context(), letter); err == nil || !strings.Contains(err.Error(), "not a public address") {
			t.Errorf("%s: %v", base, err)
		}
	}
	front := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	if err := mailer(t, front.URL, true).Send(t.Context(), letter); err == nil {
		t.Error("a redirect counts as sent")
	}
	if called {
		t.Error("the mail has gone inside")
	}
}
