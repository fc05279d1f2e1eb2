package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/telemetry"
)

func TestNewLogger_NeverPrintsSecrets(t *testing.T) {
	const jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
	for _, c := range []struct {
		name   string
		attr   slog.Attr
		secret string
	}{
		{"by name", slog.String("password", "hunter2"), "hunter2"},
		{"by name in another case", slog.String("Authorization", "Basic aHVudGVyMg"), "aHVudGVyMg"},
		{"a JWT in a text", slog.String("note", "got "+jwt+" there"), "c2lnbmF0dXJl"},
		{"a refresh token in an error", slog.Any("error", errors.New("parse crr_AbCdEfGhIjKl: bad")), "AbCdEfGhIjKl"},
		{"an API key in a group", slog.Group("g", slog.String("x", "crk_AbCdEfGhIjKl")), "AbCdEfGhIjKl"},
		{"a link in a path", slog.String("path", "/l/crl_AbCdEfGhIjKl"), "AbCdEfGhIjKl"},
		{"a link in a mail", slog.String("x", "https://a.example/auth/links/verify-email?token=crm_AbCdEfGhIjKl"), "AbCdEfGhIjKl"},
		{"a secret.String", slog.Any("x", secret.NewString("hunter2")), "hunter2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			telemetry.NewLogger(&out, slog.LevelInfo, "test").LogAttrs(t.Context(), slog.LevelInfo, "fact", c.attr)
			if strings.Contains(out.String(), c.secret) || !strings.Contains(out.String(), "[redacted]") {
				t.Errorf("printed %s", &out)
			}
		})
	}
}

func TestNewTracing_WithoutEndpointIsOff(t *testing.T) {
	p, stop, err := telemetry.NewTracing(t.Context(), telemetry.TracingOptions{Service: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, span := p.Tracer("x").Start(t.Context(), "y")
	if span.IsRecording() || stop(t.Context()) != nil {
		t.Error("tracing is on without an endpoint")
	}
}
