package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// wanted is how many clients come at once, as far as the system lets a process have that many open files.
const wanted = 10_000

// howMany is wanted, or as many as the limit of open files allows when a client costs a process that many of them.
func howMany(t *testing.T, each int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	raised := syscall.Rlimit{Cur: max(limit.Max, 65536), Max: max(limit.Max, 65536)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil { // what is started from now on inherits it
		return wanted
	}
	n := min(wanted, (int(limit.Max)-500)/each)
	if n < wanted {
		t.Logf("%d in place of %d: a process may have %d files open here", n, wanted, limit.Max)
	}
	return n
}

// caller is a client connection. It comes from one of many loopback addresses, since one address may not have them all, and
// with segments as a network has them, not of loopback's 64 KiB, so that the system's buffers are as they are out there.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
}

func call(ctx context.Context, base string, n int) (*caller, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%100))}, Control: func(_, _ string, c syscall.RawConn) error {
		var bad error
		err := c.Control(func(fd uintptr) {
			bad = errors.Join(syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400))
		})
		return errors.Join(err, bad)
	}}
	conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return nil, err
	}
	return &caller{conn: conn, in: bufio.NewReaderSize(conn, 512)}, nil
}

// get sends a GET and reads the answer up to its body.
func (c *caller) get(path, token string) (*http.Response, error) {
	_ = c.conn.SetDeadline(time.Now().Add(40 * time.Second))
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", path, token); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s", res.Status)
	}
	return res, err
}

// gather lets n clients come, some at a time, and keeps those for whom greet succeeded.
func gather(t *testing.T, base string, n int, greet func(n int, c *caller) error) []*caller {
	t.Helper()
	crowd := make([]*caller, n)
	var next, failed atomic.Int64
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				c, err := call(t.Context(), base, i)
				if err == nil {
					err = greet(i, c)
					crowd[i] = c
				}
				if err != nil && failed.Add(1) <= 3 {
					t.Errorf("client %d: %v", i, err)
				}
			}
		})
	}
	wait.Wait()
	t.Cleanup(func() { leave(crowd) })
	if failed.Load() > 0 {
		t.Fatalf("%d of %d clients were not served", failed.Load(), n)
	}
	return crowd
}

func leave(crowd []*caller) {
	for _, c := range crowd {
		if c != nil {
			_ = c.conn.Close()
		}
	}
}

// rss is the resident memory of a process.
func rss(t *testing.T, p *harness.Process) int64 {
	t.Helper()
	return harness.RSSOf(t, p.Pid())
}
