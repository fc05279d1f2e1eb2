package run_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"cloakroom.dev/libs/run"
)

func TestDoor_SaysWhetherThereIsRoomAndNotWhy(t *testing.T) {
	var ill atomic.Bool
	door := run.NewDoor("files", func(context.Context) error {
		if ill.Load() {
			return errors.New("the disk of 10.0.0.7 is full")
		}
		return nil
	})
	h := door.Before(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the service") }))
	ask := func(method, path string, status int, says string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != status || !strings.Contains(w.Body.String(), says) || strings.Contains(w.Body.String(), "10.0.0.7") {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	ask("GET", "/readyz", 200, "ready")
	ask("POST", "/readyz", 200, "the service")
	ask("GET", "/readyz/", 200, "the service")
	ill.Store(true)
	ask("GET", "/readyz", 503, "not ready")
	ask("GET", "/v1/files", 200, "the service")
	ill.Store(false)
	ask("GET", "/readyz", 200, "ready")
	door.Drain()
	ask("HEAD", "/readyz", 503, "not ready")
	ask("GET", "/v1/files", 200, "the service") // what comes is served until the listener closes
}
