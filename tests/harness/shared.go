package harness

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
)

// shared is the stack that those tests of a package use which need nothing but a gateway and people of their own. Starting
// one takes most of a second of a core, which is more than most of these tests.
var shared struct {
	sync.Mutex
	stack *Stack
	users int
}

// Shared is a client of the package's shared stack, which runs as it comes, until Main ends it. Each test comes from
// an address of its own, so that what is counted by address is counted for it alone, and each makes people of its own. A test that changes or
// stops what it runs on, or looks at all there is, starts its own. With $CLOAKROOM_TEST_URL it is a client of that gateway instead.
func Shared(t testing.TB) *Client {
	t.Helper()
	if c := elsewhere(t); c != nil {
		return c
	}
	if runtime.GOOS != "linux" { // elsewhere only 127.0.0.1 is there to come from
		return NewClient(t, Start(t).Public)
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.stack == nil {
		dir, err := os.MkdirTemp("", "cloakroom-shared-")
		if err != nil {
			t.Fatal(err)
		}
		first := &Stack{Dir: dir, t: t}
		first.Run()
		shared.stack = first // not before it runs: the next test would take what there is none of
	}
	shared.users++
	s := shared.stack
	before := len(s.Output())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the shared stack printed:\n%s", tail(s.Output()[before:], 6<<10))
		}
	})
	c := NewClient(t, s.Public)
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 77, byte(shared.users>>8), byte(shared.users))}}
	c.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return from.DialContext(ctx, network, address)
	}
	return c
}

// Main runs a package's tests and ends what they shared. Call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if s := shared.stack; s != nil {
		if err := s.end(); err != nil {
			fmt.Fprintf(os.Stderr, "the shared stack did not end well: %v\n%s\n", err, tail(s.Output(), 6<<10))
			code = max(code, 1)
		}
		_ = os.RemoveAll(s.Dir)
	}
	os.Exit(code)
}
