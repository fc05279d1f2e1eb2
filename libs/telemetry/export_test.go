package telemetry

import (
	"io"
	"log/slog"
)

// NewSlogLogger is NewLogger without lines of our own.
func NewSlogLogger(w io.Writer, level slog.Leveler, service string) *slog.Logger {
	out := &output{to: w}
	return slog.New(contextHandler{Handler: slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}), out: out}).With("service", service)
}
