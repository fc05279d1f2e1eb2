package wire

import (
	"net"
	"net/netip"
	"sync"
)

// crowd counts the open connections of each client address, so that one address can't take all that there are, nor fill
// memory with half-sent heads. It holds no more entries than connections are open.
type crowd struct {
	most  int // 0: no bound
	proxy func(netip.Addr) bool

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// enter counts a connection and returns what ends it, or false when its address has as many as it may. Addresses that
// can't be told, as those of a socket file, and proxies are not counted.
func (c *crowd) enter(conn net.Conn) (leave func(), ok bool) {
	if c.most == 0 {
		return func() {}, true
	}
	tcp, isTCP := conn.RemoteAddr().(*net.TCPAddr)
	if !isTCP {
		return func() {}, true
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !addr.IsValid() || c.proxy != nil && c.proxy(addr) {
		return func() {}, true
	}
	whose := customer(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[whose] >= c.most {
		return nil, false
	}
	if c.open == nil {
		c.open = map[netip.Prefix]int{}
	}
	c.open[whose]++
	return func() { c.leave(whose) }, true
}

func (c *crowd) leave(whose netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[whose]--; c.open[whose] == 0 {
		delete(c.open, whose)
	}
}

// customer is the part of an address that one customer has: all of IPv4, the /64 of IPv6.
func customer(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // of a valid address it can't fail
	return p
}
