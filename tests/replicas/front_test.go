package replicas

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// front is what stands before the gateways: it asks each whether it is ready, as a load balancer does, and sends every request
// to the next that is. Nobody sticks to a gateway.
type front struct {
	doors []door
	next  atomic.Int64
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// door is a gateway as clients reach it.
type door struct {
	name, base string
	open       *atomic.Bool
}

// asks is how often a gateway is asked, and how long it may take to answer.
const asks = 100 * time.Millisecond

func newFront(c *cluster) *front {
	ctx, stop := context.WithCancel(context.Background())
	f := &front{stop: stop}
	for _, name := range gateways {
		f.doors = append(f.doors, door{name, "http://" + net.JoinHostPort(c.addressOf(name), "8080"), &atomic.Bool{}})
	}
	for _, d := range f.doors {
		d.open.Store(true)
		f.done.Go(func() {
			for ctx.Err() == nil {
				d.open.Store(answers(d.base + "/readyz"))
				time.Sleep(asks)
			}
		})
	}
	return f
}

func (f *front) close() {
	f.stop()
	f.done.Wait()
}

// base is where the next request goes. With nobody ready it goes to somebody all the same.
func (f *front) base() string {
	for range f.doors {
		if d := f.doors[int(f.next.Add(1))%len(f.doors)]; d.open.Load() {
			return d.base
		}
	}
	return f.doors[0].base
}

// anyone is a client without a session.
func (f *front) anyone(t testing.TB) *harness.Client {
	t.Helper()
	return harness.NewClient(t, f.doors[0].base)
}

// via is the same client at the next gateway.
func (f *front) via(c *harness.Client) *harness.Client { return at(c, f.base()) }

// at is the same client at this gateway.
func at(c *harness.Client, base string) *harness.Client {
	moved := *c
	moved.Base = base
	return &moved
}

var prober = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func answers(url string) bool {
	res, err := prober.Get(url)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}
