package hop_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/hop"
)

type key struct{}

// TestCall_HandsTheRequestOver: by a context of the service's own, of which the caller's is only the end.
func TestCall_HandsTheRequestOver(t *testing.T) {
	l := hop.Listen("service")
	l.Handle(context.WithValue(t.Context(), key{}, "the service's"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_, _ = io.WriteString(w, r.Context().Value(key{}).(string))
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "the caller's"), 50*time.Millisecond)
	defer cancel()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("body of "))
	if err := l.Call(w, r); err != nil || w.Body.String() != "body of the service's" {
		t.Errorf("%q %v", w.Body, err)
	}
}

// TestCall_WaitsForAHandler as a dial waits for a server, and no longer than its caller.
func TestCall_WaitsForAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := hop.Listen("service")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := l.Call(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		go func() {
			time.Sleep(time.Minute)
			l.Handle(t.Context(), http.NotFoundHandler())
		}()
		w := httptest.NewRecorder()
		if err := l.Call(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)); err != nil || w.Code != http.StatusNotFound {
			t.Errorf("%d %v", w.Code, err)
		}
	})
}

// TestCall_EndsWithTheListener: what runs is waited for, and cut when it takes too long; what comes later is refused.
func TestCall_EndsWithTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := hop.Listen("service")
		l.Handle(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		}))
		call := func() <-chan error {
			done := make(chan error, 1)
			go func() {
				done <- l.Call(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			}()
			synctest.Wait()
			return done
		}
		began := time.Now()
		first, second := call(), call()
		_ = l.Close()
		if err := <-call(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("one that comes later: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Finish(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := errors.Join(<-first, <-second, l.Finish(t.Context())); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
