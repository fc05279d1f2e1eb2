package outbound

import "net/netip"

// near are the networks that only someone inside can reach: AllowPrivate opens them.
var near = prefixes(
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
	"100.64.0.0/10",          // carrier-grade NAT, used inside clouds too
	"127.0.0.0/8", "::1/128", // this machine
	"fc00::/7",                   // unique local
	"198.18.0.0/15", "fec0::/10", // benchmarks; site-local, long deprecated and still routed here and there
)

// never are the addresses that no setting but AllowCIDRs opens: what lends credentials of the machine to whoever asks, and what
// is no single host.
var never = prefixes(
	"169.254.0.0/16", "fe80::/10", // link-local, the home of the metadata services
	"100.100.100.200/32", "168.63.129.16/32", "192.0.0.0/24", "fd00:ec2::/32", "fd20:ce::254/128", // the other homes of metadata
	"0.0.0.0/8", "::/128", // "this host" is dialled as loopback
	"224.0.0.0/4", "ff00::/8", "240.0.0.0/4", // multicast, reserved, broadcast
	"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20", "100::/64", // documentation, discard
	"192.88.99.0/24", "2001::/32", "64:ff9b:1::/48", "5f00::/16", // relays and tunnels that end somewhere we can't see
)

// translated are the IPv6 networks that carry an IPv4 address, and the byte at which it stands: the inner address is judged too.
var translated = []struct {
	net netip.Prefix
	at  int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible
}

// Permits says whether these options allow a connection to the address.
func (o Options) Permits(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid():
		return false
	case within(o.AllowCIDRs, addr):
		return true
	case within(never, addr):
		return false
	case within(near, addr):
		return o.AllowPrivate
	}
	for _, t := range translated {
		if t.net.Contains(addr) {
			return o.Permits(inner(addr, t.at))
		}
	}
	return true
}

// inner reads the IPv4 address that stands at byte `at` of an IPv6 address.
func inner(addr netip.Addr, at int) netip.Addr {
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[at : at+4]))
}

func within(nets []netip.Prefix, addr netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}
