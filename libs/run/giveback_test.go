package run_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"cloakroom.dev/libs/run"
)

// What starting took is the machine's again soon, and not when the collector comes by in minutes.
func TestServe_GivesBackWhatStartingTook(t *testing.T) {
	taken := make([]byte, 64<<20)
	for i := 0; i < len(taken); i += 4 << 10 {
		taken[i] = 1
	}
	runtime.KeepAlive(taken)
	before := released()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run.Serve(ctx, run.ServeOptions{Log: slog.New(slog.DiscardHandler)}, nil) }()
	for end := time.Now().Add(20 * time.Second); released() < before+32<<20 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	if got := released(); got < before+32<<20 {
		t.Errorf("%d MiB were given back before, and %d after", before>>20, got>>20)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func released() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapReleased
}
