package argon2

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The tests' own program is one that can be started as a helper.
func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

func newApart(t *testing.T) *Hasher {
	t.Helper()
	h := newHasher(t, Options{Params: quick, Running: 2})
	if !h.Apart(slog.New(slog.DiscardHandler)) {
		t.Fatal("this program can't be started as a helper")
	}
	t.Cleanup(h.helpers.close)
	return h
}

func TestHelpers_HashAndCheckLikeTheProcessItself(t *testing.T) {
	apart, here := newApart(t), newHasher(t, Options{Params: quick})
	for _, password := range []string{"correct horse", "", "no \xff UTF-8", strings.Repeat("long ", 800)} {
		made, err := apart.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		if match, _, err := here.Verify(t.Context(), password, made); err != nil || !match {
			t.Errorf("%.20q hashed apart does not match here: %v", password, err)
		}
		if match, _, err := apart.Verify(t.Context(), password, made); err != nil || !match {
			t.Errorf("%.20q hashed apart does not match apart: %v", password, err)
		}
		if match, _, err := apart.Verify(t.Context(), password+"x", made); err != nil || match {
			t.Errorf("something else than %.20q matches: %v", password, err)
		}
	}
	const bcrypt = "$2b$04$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"
	if match, _, err := apart.Verify(t.Context(), "x", bcrypt); err != nil || match {
		t.Errorf("a foreign hash apart: %v, %v", match, err)
	}
	if got := testutil.ToFloat64(apart.metrics.helpers); got != 1 {
		t.Errorf("one after the other wants one helper, there are %v", got)
	}
}

// A helper's environment would show the service's secrets to whoever can look at processes; its priority is what it is for.
func TestHelpers_AreBareAndYield(t *testing.T) {
	apart := newApart(t)
	if _, err := apart.Hash(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	process := apart.helpers.idle[0].Cmd.Process.Pid
	// The kernel tells 20 minus the nice value.
	if kernel, err := syscall.Getpriority(syscall.PRIO_PROCESS, process); err != nil || kernel != 1 {
		t.Errorf("priority %d, %v; want the lowest", 20-kernel, err)
	}
	if environ := apart.helpers.idle[0].Cmd.Env; environ == nil || len(environ) != 0 {
		t.Errorf("the helper's environment is %v", environ)
	}
}

func TestHelpers_OneThatDiedIsReplaced(t *testing.T) {
	apart := newApart(t)
	made, err := apart.Hash(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := apart.helpers.idle[0].Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if match, _, err := apart.Verify(t.Context(), "x", made); err != nil || !match {
		t.Errorf("after a helper died: %v, %v", match, err)
	}
	if got := testutil.ToFloat64(apart.metrics.helpers); got != 1 {
		t.Errorf("%v helpers, want 1", got)
	}
}

func TestHelpers_EndWhenNobodyNeedsThem(t *testing.T) {
	apart := newApart(t)
	if _, err := apart.Hash(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	process := apart.helpers.idle[0].Cmd.Process
	apart.helpers.retire(apart.helpers.idle[0])
	if got := testutil.ToFloat64(apart.metrics.helpers); got != 0 {
		t.Errorf("%v helpers, want none", got)
	}
	if err := process.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("the process is still there: %v", err)
	}
	if _, err := apart.Hash(t.Context(), "x"); err != nil {
		t.Errorf("a new one is started when needed: %v", err)
	}
}

func TestHelpers_AtMostAsManyAsTheGateLetsWork(t *testing.T) {
	apart := newApart(t)
	done := make(chan error)
	for range 8 {
		go func() {
			_, err := apart.Hash(t.Context(), "x")
			done <- err
		}()
	}
	for range 8 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("a hash does not come back")
		}
	}
	if got := testutil.ToFloat64(apart.metrics.helpers); got < 1 || got > 2 {
		t.Errorf("%v helpers with a gate that lets two work", got)
	}
}
