package edge

import (
	"net/http"
	"strings"

	"cloakroom.dev/libs/web"
)

// Cookies that hold credentials end at the gateway: a service gets the access token as a bearer, and has no business with
// the refresh token. What other cookies of the site say passes as it is.

// cookieNames are few.
type cookieNames []string

func (n cookieNames) with(name string) cookieNames {
	if name == "" || n.has(name) {
		return n
	}
	return append(n, name)
}

// has ignores letter case. Browsers don't, but a service behind might.
func (n cookieNames) has(name string) bool {
	for _, own := range n {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}

// authUpstream is who makes and takes the cookies of a session, and refreshPath where it takes them.
const (
	authUpstream = "auth"
	refreshPath  = "/v1/auth/refresh"
)

// withholdCookies removes credentials from the cookies that a service gets. Only the refresh itself gets the refresh
// token. path is the one at the service.
func (x *exchange) withholdCookies(h http.Header, path string) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	refreshing := x.upstream.name == authUpstream && path == refreshPath
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			name = strings.Trim(name, " \t")
			if pair == "" || (x.live.cookies.has(name) && (!refreshing || name != web.RefreshCookie)) {
				continue
			}
			kept = append(kept, pair)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	x.set(h, "Cookie", strings.Join(kept, "; "))
}

// withholdSetCookies removes cookies with the names of credentials from what a service answers, unless it is the one
// that makes them: nobody else may sign a person in.
func (x *exchange) withholdSetCookies(h http.Header) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 || x.upstream.name == authUpstream {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		if !x.live.cookies.has(strings.Trim(name, " \t")) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}
