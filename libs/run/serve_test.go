package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/hop"
	"cloakroom.dev/libs/run"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func get(t *testing.T, l net.Listener, path string) (int, string) {
	t.Helper()
	res, err := http.Get("http://" + l.Addr().String() + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func TestServe_DrainKeepsServingThenFinishesWhatRuns(t *testing.T) {
	t.Parallel() // the delay is long enough for a busy machine
	public, opsListener := listen(t), listen(t)
	ops := run.NewOps(prometheus.NewRegistry())
	started, release, taskEnded := make(chan struct{}), make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/quick", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "quick") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		select {
		case <-taskEnded:
			t.Error("tasks ended before the last request")
		default:
		}
		_, _ = io.WriteString(w, "whole")
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		opts := run.ServeOptions{Log: slog.New(slog.DiscardHandler), Ops: ops, DrainDelay: 4 * time.Second}
		done <- run.Serve(ctx, opts, []run.Server{
			{Name: "public", Listener: public, Handler: mux}, {Name: "ops", Listener: opsListener, Handler: ops, Stage: run.OpsPort},
		}, func(ctx context.Context) error { <-ctx.Done(); close(taskEnded); return ctx.Err() })
	}()
	slow := make(chan string, 1)
	go func() { _, body := get(t, public, "/slow"); slow <- body }()
	<-started
	if status, _ := get(t, opsListener, "/readyz"); status != 200 {
		t.Errorf("readyz is %d before the drain", status)
	}
	stop()
	for status := 0; status != 503; time.Sleep(5 * time.Millisecond) {
		status, _ = get(t, opsListener, "/readyz")
	}
	if status, _ := get(t, public, "/quick"); status != 200 {
		t.Error("new requests are refused during the drain delay")
	}
	for status := 200; status == 200; time.Sleep(5 * time.Millisecond) { // until nobody is let in any more
		status, _ = get(t, public, "/quick")
	}
	close(release)
	if body := <-slow; body != "whole" {
		t.Errorf("the running request got %q", body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServe_EndlessAnswersSeeTheDrainAndFrontsGoFirst(t *testing.T) {
	front, back := listen(t), listen(t)
	streaming := make(chan struct{})
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		close(streaming)
		<-run.Draining(r.Context())
	})
	slow := make(chan struct{})
	calls := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(slow)
		time.Sleep(200 * time.Millisecond)
		status, _ := get(t, back, "/other")
		w.WriteHeader(status)
	})
	backMux := http.NewServeMux()
	backMux.Handle("/stream", stream)
	backMux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run.Serve(ctx, run.ServeOptions{Log: slog.New(slog.DiscardHandler), DrainTimeout: time.Minute}, []run.Server{
			{Name: "back", Listener: back, Handler: backMux, Stage: run.Back}, {Name: "front", Listener: front, Handler: calls},
		})
	}()
	go get(t, back, "/stream")
	<-streaming
	answered := make(chan int, 1)
	go func() { status, _ := get(t, front, "/"); answered <- status }()
	<-slow
	began := time.Now()
	stop()
	if status := <-answered; status != http.StatusNoContent {
		t.Errorf("the front could not reach the back while it drained: %d", status)
	}
	if err := <-done; err != nil || time.Since(began) > 20*time.Second {
		t.Errorf("drain took %v and returned %v", time.Since(began), err)
	}
}

// What can be interrupted behind a front ends at once, though the front waits for it.
func TestServe_WhatCanBeInterruptedBehindAFrontEndsFirst(t *testing.T) {
	front, back := listen(t), listen(t)
	begun := make(chan struct{})
	long := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-run.Ending(r.Context())
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	calls := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status, _ := get(t, back, "/")
		w.WriteHeader(status)
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run.Serve(ctx, run.ServeOptions{Log: slog.New(slog.DiscardHandler), DrainTimeout: time.Minute}, []run.Server{
			{Name: "back", Listener: back, Handler: long, Stage: run.Back}, {Name: "front", Listener: front, Handler: calls},
		})
	}()
	answered := make(chan int, 1)
	go func() { status, _ := get(t, front, "/"); answered <- status }()
	<-begun
	began := time.Now()
	stop()
	if status := <-answered; status != http.StatusServiceUnavailable {
		t.Errorf("got %d", status)
	}
	if err := <-done; err != nil || time.Since(began) > 20*time.Second {
		t.Errorf("drain took %v and returned %v", time.Since(began), err)
	}
}

func TestServe_FailingTaskEndsTheProcess(t *testing.T) {
	boom := errors.New("boom")
	err := run.Serve(t.Context(), run.ServeOptions{Log: slog.New(slog.DiscardHandler), DrainDelay: time.Hour},
		[]run.Server{{Name: "public", Listener: listen(t), Handler: http.NotFoundHandler()}},
		func(context.Context) error { return boom })
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

func TestOps_ReadySaysWhatIsMissingOnlyOnTheOpsPort(t *testing.T) {
	ops := run.NewOps(prometheus.NewRegistry())
	ops.Ready("keys", func(context.Context) error { return errors.New("no key yet from 10.0.0.7") })
	l := listen(t)
	srv := &http.Server{Handler: ops, ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	if status, body := get(t, l, "/readyz"); status != 503 || !strings.Contains(body, "no key yet") {
		t.Errorf("got %d %s", status, body)
	}
	ops.Handle("GET /public", http.HandlerFunc(ops.ServePublicReady))
	if status, body := get(t, l, "/public"); status != 503 || strings.Contains(body, "10.0.0.7") {
		t.Errorf("got %d %s", status, body)
	}
}

// A service that is told to stop while it starts has not failed. A command has: it is not at its end.
func TestDispatch_StoppedWhileStarting(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	canceled := fmt.Errorf("open database: %w", context.Canceled)
	for _, c := range []struct {
		serves bool
		err    error
		code   int
		says   string
	}{
		{true, canceled, run.ExitOK, ""},
		{true, errors.New("disk on fire"), run.ExitFailure, "prog do: disk on fire\n"},
		{false, canceled, run.ExitFailure, "prog do: stopped before its end; run it again\n"},
		{false, nil, run.ExitOK, ""}, // it had come to its end
	} {
		cmd := run.Command{Name: "do", UntilStopped: c.serves, Run: func(context.Context, []string, run.IO) error { stop(); return c.err }}
		var says strings.Builder
		code := run.Dispatch(ctx, "prog", "About.", []string{"do"}, run.IO{Stdout: io.Discard, Stderr: &says}, cmd)
		if code != c.code || says.String() != c.says {
			t.Errorf("%v, until stopped %v: exit code %d, %q; want %d, %q", c.err, c.serves, code, &says, c.code, c.says)
		}
	}
}

func TestDispatch_ExitCodesAndHelp(t *testing.T) {
	cmd := run.Command{Name: "do", Summary: "does", Run: func(_ context.Context, args []string, io run.IO) error {
		fs := run.Flags("do", "Does things.", io)
		fail := fs.Bool("fail", false, "fail on purpose")
		if err := run.ParseFlags(fs, args, 0, 1); err != nil {
			return err
		}
		if *fail {
			return errors.New("as you wished")
		}
		_, err := fmt.Fprint(io.Stdout, "did")
		return err
	}}
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"do", 0, "did", ""},
		{"do -fail", 1, "", "prog do: as you wished"},
		{"do -nope", 2, "", "see `prog do --help`"},
		{"do a b", 2, "", "got 2 arguments, want 0 to 1"},
		{"do --help", 0, "Does things.", ""},
		{"do --help", 0, "\n  --fail", ""},
		{"help", 0, "does", ""},
		{"help do", 0, "Does things.", ""},
		{"help undo", 2, "", `no command "undo"`},
		{"", 2, "", "Usage:"},
		{"undo", 2, "", `no command "undo"`},
		{"version -output json", 0, `"go":"go1`, ""},
		{"version -output xml", 2, "", "--output is text or json"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run.Dispatch(t.Context(), "prog", "About.", strings.Fields(c.args), run.IO{Stdout: &stdout, Stderr: &stderr}, cmd)
			if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("code %d\nstdout %s\nstderr %s", code, &stdout, &stderr)
			}
		})
	}
}

// TestServe_WaitsForWhatIsCalledInTheProcess: the front has been cut, and what it had called still works.
func TestServe_WaitsForWhatIsCalledInTheProcess(t *testing.T) {
	t.Parallel()
	inside, front := hop.Listen("service"), listen(t)
	started, seen, taskEnded := make(chan struct{}), make(chan bool, 1), make(chan struct{})
	service := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { // deaf: it does not see that its caller is cut
		close(started)
		time.Sleep(500 * time.Millisecond)
		select {
		case <-taskEnded:
			seen <- false
		default:
			seen <- true
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run.Serve(ctx, run.ServeOptions{Log: slog.New(slog.DiscardHandler), DrainTimeout: 300 * time.Millisecond}, []run.Server{
			{Name: "front", Listener: front, Stage: run.Front, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = inside.Call(w, r) })},
			{Name: "service", Listener: inside, Stage: run.Back, Handler: service},
		}, func(ctx context.Context) error {
			<-ctx.Done()
			close(taskEnded)
			return nil
		})
	}()
	go get(t, front, "/")
	<-started
	stop()
	if !<-seen {
		t.Error("tasks ended before the service had")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
