package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxForwarded bounds how much of an X-Forwarded-For chain is looked at. Longer ones are made by attackers.
const maxForwarded = 32

// TrustedProxies says whose X-Forwarded-For is believed. The zero value trusts nobody: the client is the peer.
type TrustedProxies struct {
	CIDRs []netip.Prefix // believe a chain as far as its proxies are in these networks
	Hops  int            // believe exactly so many proxies in front of us, whatever their address
}

// Client returns the address of the client. Entries that are no addresses end the chain: what is left of them could
// have been written by anybody.
func (t TrustedProxies) Client(r *http.Request) netip.Addr {
	peer := parseAddr(r.RemoteAddr)
	if t.Hops == 0 && len(t.CIDRs) == 0 {
		return peer
	}
	client := peer
	chain := forwarded(r)
	for hop := 1; ; hop++ {
		if !t.trusts(client, hop) || len(chain) == 0 {
			return client
		}
		next := parseAddr(strings.TrimSpace(chain[len(chain)-1]))
		if !next.IsValid() {
			return client
		}
		client, chain = next, chain[:len(chain)-1]
	}
}

// Trusts reports whether a direct peer may be a proxy, which speaks for many clients.
func (t TrustedProxies) Trusts(peer netip.Addr) bool { return t.trusts(peer.Unmap().WithZone(""), 1) }

func (t TrustedProxies) trusts(addr netip.Addr, hop int) bool {
	if t.Hops > 0 {
		return hop <= t.Hops
	}
	for _, p := range t.CIDRs {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func forwarded(r *http.Request) []string {
	values := r.Header["X-Forwarded-For"]
	if len(values) == 0 {
		return nil
	}
	chain := strings.Split(strings.Join(values, ","), ",")
	return chain[max(0, len(chain)-maxForwarded):]
}

// parseAddr takes an address with or without a port. IPv4 inside IPv6 becomes IPv4, so that one client has one key.
func parseAddr(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap().WithZone("")
	}
	return netip.Addr{}
}
