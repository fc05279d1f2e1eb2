package wire_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"cloakroom.dev/gateway/internal/adapter/edge/wire"
)

// callers accepts connections that come from the addresses, one after the other, then no more.
type callers struct {
	from []string
	open []*caller
}

type caller struct {
	net.Conn
	addr   net.Addr
	closed bool
}

func (c *caller) RemoteAddr() net.Addr { return c.addr }
func (c *caller) Close() error         { c.closed = true; return nil }

func (l *callers) Accept() (net.Conn, error) {
	if len(l.from) == 0 {
		return nil, net.ErrClosed
	}
	c := &caller{addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(l.from[0]), 7))}
	l.from, l.open = l.from[1:], append(l.open, c)
	return c, nil
}
func (*callers) Close() error   { return nil }
func (*callers) Addr() net.Addr { return nil }

func TestListen_OneAddressHasItsShare(t *testing.T) {
	refused := 0
	proxies := netip.MustParsePrefix("10.0.0.0/8")
	inner := &callers{from: []string{
		"192.0.2.1", "192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", // the third is one too many, and so is the fourth in disguise
		"192.0.2.2",
		"2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:3", // one customer's network
		"2001:db8:0:1::1",
		"10.1.2.3", "10.1.2.3", "10.1.2.3",
	}}
	l := wire.Listen(inner, wire.Limits{
		Connections: 100, PerAddress: 2, Proxy: proxies.Contains, Refused: func() { refused++ },
	})
	var accepted []string
	var first net.Conn
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if first == nil {
			first = c
		}
		accepted = append(accepted, c.RemoteAddr().(*net.TCPAddr).IP.String())
	}
	if len(accepted) != 9 || refused != 3 {
		t.Fatalf("%d refused, accepted %v", refused, accepted)
	}
	for i, c := range inner.open {
		if want := i == 2 || i == 3 || i == 7; c.closed != want {
			t.Errorf("connection %d from %v: closed is %v", i, c.addr, c.closed)
		}
	}
	_ = first.Close()
	_ = first.Close() // makes room for one, not for two
	inner.from = []string{"192.0.2.1", "192.0.2.1"}
	if _, err := l.Accept(); err != nil {
		t.Errorf("no room after a close: %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("closing twice made room for two")
	}
}
