package edge

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// upgradeWriter hands the client's connection to the proxy when the service takes an upgrade.
type upgradeWriter struct {
	http.ResponseWriter
	x *exchange
}

// Unwrap is for http.ResponseController.
func (w *upgradeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack takes the connection out of HTTP: time limits end, and the registry knows it from now on.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.x.stopTimers()
	w.Header().Del("Connection") // no longer to be closed after this answer
	_ = conn.SetDeadline(time.Time{})
	return w.x.edge.tunnels.add(conn), rw, nil
}

// tunnels knows every upgraded connection: net/http has let go of them, so a drain would leave them behind.
type tunnels struct {
	mu     sync.Mutex
	open   map[*tunnel]struct{}
	closed bool
	empty  chan struct{} // closed while draining, once the last one is gone
	gauge  prometheus.Gauge
}

func newTunnels(gauge prometheus.Gauge) *tunnels {
	return &tunnels{open: map[*tunnel]struct{}{}, empty: make(chan struct{}), gauge: gauge}
}

// tunnel is one upgraded connection of a client.
type tunnel struct {
	net.Conn
	all  *tunnels
	once sync.Once
}

func (t *tunnels) add(conn net.Conn) net.Conn {
	c := &tunnel{Conn: conn, all: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[c] = struct{}{}
	t.gauge.Inc()
	return c
}

// Close forgets the connection and closes it.
func (c *tunnel) Close() error {
	c.once.Do(func() { c.all.remove(c) })
	return c.Conn.Close()
}

// CloseWrite passes the end of the service's stream on.
func (c *tunnel) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

func (t *tunnels) remove(c *tunnel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	t.gauge.Dec()
	if t.closed && len(t.open) == 0 {
		close(t.empty)
	}
}

// drain waits for the open connections to end by themselves and cuts them when ctx ends.
func (t *tunnels) drain(ctx context.Context) {
	t.mu.Lock()
	if t.closed || len(t.open) == 0 {
		t.mu.Unlock()
		return
	}
	t.closed = true
	t.mu.Unlock()
	select {
	case <-t.empty:
		return
	case <-ctx.Done():
	}
	t.mu.Lock()
	rest := make([]*tunnel, 0, len(t.open))
	for c := range t.open {
		rest = append(rest, c)
	}
	t.mu.Unlock()
	for _, c := range rest {
		_ = c.Close()
	}
}
