package edge

import (
	"net/http"
	"net/netip"
	"strings"
)

// strip removes what a client must not bring: identity headers on every route, forwarding headers, and names that read
// like one of the gateway's own to a server that takes other characters for hyphens. It changes the client's header in
// place: nobody may see the old one again. What a client lists in Connection is removed by the proxy, before the
// gateway's own headers are set, so a client can't have those removed.
func (x *exchange) strip() {
	x.https = x.r.TLS != nil || (x.edge.trustsPeer(x.r) && lastValue(x.r.Header["X-Forwarded-Proto"]) == "https")
	hygiene := x.live.table.Hygiene()
	for name := range x.r.Header {
		if hygiene.Identity(name) || hygiene.Forwarding(name) || aliasesOwn(name) {
			delete(x.r.Header, name)
		}
	}
	delete(x.r.Header, "Traceparent") // web.Edge has linked to it; what services continue begins here
	delete(x.r.Header, "Tracestate")
	if up := x.r.Header["Upgrade"]; up != nil && !x.webSocket() {
		delete(x.r.Header, "Upgrade") // h2c above all: behind an upgrade nothing is checked any more
	}
}

// ownNames are headers whose meaning the gateway vouches for.
var ownNames = map[string]bool{
	"authorization": true, "cookie": true, "x-api-key": true, "x-request-id": true, "traceparent": true, "tracestate": true,
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "upgrade": true, "te": true,
	"trailer": true, "expect": true, "content-type": true, "if-match": true,
}

// aliasesOwn reports whether a name is another spelling of one of ownNames: X_API_Key, which CGI makes equal to X-API-Key.
func aliasesOwn(name string) bool {
	odd := strings.IndexFunc(name, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
	if odd < 0 {
		return false
	}
	folded := strings.Map(func(c rune) rune {
		switch {
		case c >= 'A' && c <= 'Z':
			return c | 0x20
		case (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'):
			return c
		}
		return '-'
	}, name)
	return ownNames[folded]
}

// webSocket reports whether the request asks for the one upgrade that is passed on.
func (x *exchange) webSocket() bool {
	up := x.r.Header["Upgrade"]
	return len(up) == 1 && strings.EqualFold(up[0], "websocket") && x.r.Method == http.MethodGet && x.r.ContentLength == 0
}

// trustsPeer reports whether the peer is a proxy whose word on the client's scheme is taken.
func (e *Edge) trustsPeer(r *http.Request) bool {
	if e.trust.Hops > 0 {
		return true
	}
	if len(e.trust.CIDRs) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	for _, network := range e.trust.CIDRs {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// lastValue is what the nearest proxy wrote.
func lastValue(values []string) string {
	if len(values) == 0 {
		return ""
	}
	last := values[len(values)-1]
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		last = last[i+1:]
	}
	return strings.ToLower(strings.TrimSpace(last))
}
