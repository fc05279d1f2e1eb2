package s3

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/secret"
)

// storeOf makes a client of a store that answers so.
func storeOf(t *testing.T, answer http.HandlerFunc) *Blobs {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	b, err := New(Options{
		Endpoint: server.URL, Region: "r", Bucket: "b", PathStyle: true, AccessKey: secret.NewString("a"), SecretKey: secret.NewString("s"),
		CallTimeout: 5 * time.Minute, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func until(t *testing.T, what string, want float64, is func() float64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); is() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %v, want %v", what, is(), want)
		}
	}
}

func TestClient_HoldsNoMoreConnectionsThanItMay(t *testing.T) {
	var open, most atomic.Int64
	release := make(chan struct{})
	b := storeOf(t, func(http.ResponseWriter, *http.Request) {
		for n := open.Add(1); ; {
			if seen := most.Load(); n <= seen || most.CompareAndSwap(seen, n) {
				break
			}
		}
		<-release
		open.Add(-1)
	})
	var group sync.WaitGroup
	for range maxConnections {
		for _, how := range [][]func(*s3.Options){nil, {b.patient}} {
			group.Go(func() {
				_ = b.call(t.Context(), "HeadBucket", func(ctx context.Context) error {
					_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.opts.Bucket}, how...)
					return err
				})
			})
		}
	}
	inFlight := func() float64 { return testutil.ToFloat64(b.metrics.inFlight) }
	until(t, "calls", 2*maxConnections, inFlight)
	until(t, "connections", maxConnections, func() float64 { return float64(open.Load()) })
	close(release)
	group.Wait()
	if n := most.Load(); n != maxConnections || inFlight() != 0 {
		t.Errorf("%d connections at once, %v calls in the end", n, inFlight())
	}
}

func TestOpen_CountsAnswersUntilTheyAreClosed(t *testing.T) {
	b := storeOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			_, _ = io.WriteString(w, "ten bytes.")
		}
	})
	src, err := b.Open(t.Context(), files.NewBlobID("0199d3f0-7a51-7c3e-9b1c-6f2a5d0e4b7a", 1), 10)
	if err != nil {
		t.Fatal(err)
	}
	inFlight := func() float64 { return testutil.ToFloat64(b.metrics.inFlight) }
	if _, err := src.Read(make([]byte, 3)); err != nil || inFlight() != 1 {
		t.Errorf("%v under way while an answer is read: %v", inFlight(), err)
	}
	if err := src.Close(); err != nil || inFlight() != 0 {
		t.Errorf("%v under way when it is closed: %v", inFlight(), err)
	}
	if _, err := b.Open(t.Context(), files.NewBlobID("0199d3f0-7a51-7c3e-9b1c-6f2a5d0e4b7a", 2), 11); err == nil || inFlight() != 0 {
		t.Errorf("%v under way after an object of another size: %v", inFlight(), err)
	}
}
