package web

import (
	"net/http"
	"net/url"

	"cloakroom.dev/libs/fault"
)

// SessionModeHeader with the value SessionModeCookie asks for a browser session: tokens travel in cookies only. A page
// sets it at login; the gateway sets it on whatever it has authenticated by a cookie.
const (
	SessionModeHeader = "X-Session-Mode"
	SessionModeCookie = "cookie"
)

// The cookies of a browser session. A browser takes a cookie of such a name only from this very host, over HTTPS (or
// from localhost), for all paths: no other host of the site can plant one.
const (
	AccessCookie  = "__Host-access"
	RefreshCookie = "__Host-refresh"
)

// errForeignPage tells nothing that the page doesn't know.
var errForeignPage = fault.New(fault.Forbidden, "this call must come from a page of this site")

// CheckOrigin is the cross-origin check of a call whose credential a browser adds by itself. h is the header of the
// request, host the name people reach us by, and trusted may admit further origins; it is not asked about none. The
// method is the caller's business. Unlike net/http's own check, a request that says nothing of its origin is refused:
// every browser that keeps our cookies says it.
func CheckOrigin(h http.Header, host string, trusted func(origin string) bool) error {
	origins, sites := h["Origin"], h["Sec-Fetch-Site"]
	if len(origins) > 1 || len(sites) > 1 || (h.Get("Origin") == "" && h.Get("Sec-Fetch-Site") == "") {
		return errForeignPage
	}
	if origin := h.Get("Origin"); origin != "" && trusted(origin) {
		return nil
	}
	asked := http.Request{Method: http.MethodPost, Header: h, Host: host, URL: &url.URL{}}
	if crossOrigin.Check(&asked) != nil {
		return errForeignPage
	}
	return nil
}

// crossOrigin has neither exceptions nor state.
var crossOrigin = http.NewCrossOriginProtection()

// ChangesNothing reports whether a request only reads, so that it may come from any page: a method that is safe, and no
// connection that goes on afterwards.
func ChangesNothing(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return len(r.Header["Upgrade"]) == 0
	}
	return false
}
