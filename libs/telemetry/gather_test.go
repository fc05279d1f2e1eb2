package telemetry_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/telemetry"
)

// writes is what was written, write by write.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

func (w *writes) sizes() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sizes []int
	for _, text := range w.all {
		sizes = append(sizes, len(text))
	}
	return sizes
}

func (w *writes) is(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Join(w.all, "|") != strings.Join(want, "|") {
		t.Errorf("written was %q, want %q", w.all, want)
	}
}

func TestGathered_TheFirstAtOnceOthersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writes{}
		g := telemetry.Gather(w)
		for _, line := range []string{"a", "b", "c"} {
			if _, err := io.WriteString(g, line); err != nil {
				t.Fatal(err)
			}
		}
		w.is(t, "a")
		time.Sleep(6 * time.Millisecond)
		w.is(t, "a", "bc")
		_, _ = io.WriteString(g, "d") // within 5 ms of the last write
		w.is(t, "a", "bc")
		time.Sleep(5 * time.Millisecond)
		w.is(t, "a", "bc", "d")
		time.Sleep(10 * time.Millisecond)
		_, _ = io.WriteString(g, "e")
		w.is(t, "a", "bc", "d", "e")
		time.Sleep(10 * time.Millisecond) // the timer has ended before the test does
	})
}

func TestGathered_FlushLeavesNothing(t *testing.T) {
	w := &writes{}
	g := telemetry.Gather(w)
	_, _ = io.WriteString(g, "a")
	_, _ = io.WriteString(g, "b")
	if err := g.Flush(); err != nil {
		t.Fatal(err)
	}
	w.is(t, "a", "b")
}

// A pipe takes 4 KiB whole, whoever else writes to it.
func TestGathered_WritesWholeLinesOf4KiBAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writes{}
		g := telemetry.Gather(w)
		_, _ = io.WriteString(g, "a")
		for range 6 {
			_, _ = g.Write(make([]byte, 1500))
		}
		_, _ = g.Write(make([]byte, 1<<20)) // a line that is longer
		_, _ = io.WriteString(g, "b")
		time.Sleep(20 * time.Millisecond)
		if got, want := w.sizes(), []int{1, 3000, 3000, 3000, 1 << 20, 1}; !slices.Equal(got, want) {
			t.Errorf("written were %d, want %d", got, want)
		}
	})
}

func TestGathered_CloseLeavesNothingAndKeepsNothing(t *testing.T) {
	w := &writes{}
	g := telemetry.Gather(w)
	_, _ = io.WriteString(g, "a")
	_, _ = io.WriteString(g, "b")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(g, "c")
	w.is(t, "a", "b", "c")
}

func TestGathered_WarningsDontWait(t *testing.T) {
	var w bytes.Buffer
	log := telemetry.NewLogger(telemetry.Gather(&w), slog.LevelInfo, "s")
	for _, say := range []func(string, ...any){log.Info, log.Info, log.Warn} {
		say("x")
	}
	if n := strings.Count(w.String(), "\n"); n != 3 {
		t.Errorf("after a warning %d of 3 lines are written", n)
	}
	log.Info("x")
	log.Error("x", "error", errors.New("with an attribute that slog writes"))
	if n := strings.Count(w.String(), "\n"); n != 5 {
		t.Errorf("after an error %d of 5 lines are written", n)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestGathered_TellsWhoCanStillBeTold(t *testing.T) {
	g := telemetry.Gather(broken{})
	if _, err := io.WriteString(g, "a"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the write said %v", err)
	}
	if _, err := io.WriteString(g, "b"); err != nil {
		t.Errorf("what is only kept said %v", err)
	}
	if err := g.Flush(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the flush said %v", err)
	}
}
