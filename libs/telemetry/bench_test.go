package telemetry_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/telemetry"
)

// BenchmarkLine is the access log's line of one request, made here and by slog.
func BenchmarkLine(b *testing.B) {
	ctx := problem.WithScope(context.Background(), asked{id: "01a1b2c3-d4e5-7f60-8a9b-0c1d2e3f4a5b"})
	for name, logger := range map[string]*slog.Logger{
		"ours": telemetry.NewLogger(io.Discard, slog.LevelInfo, "files-svc"),
		"slog": telemetry.NewSlogLogger(io.Discard, slog.LevelInfo, "files-svc"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
				r.AddAttrs(slog.String("method", "POST"), slog.String("route", "files.upload"), slog.String("path", "/v1/files"),
					slog.Int("status", 201), slog.Int64("bytes", 512), slog.Int64("duration_us", 2345), slog.String("client", "127.0.0.1"))
				_ = logger.Handler().Handle(ctx, r)
			}
		})
	}
}
