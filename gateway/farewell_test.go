package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
	"cloakroom.dev/libs/web"
)

// ownRoutes are calls to the auth service beside those of basics.
const ownRoutes = `
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: own}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /own}}]
    auth: {tokenPolicyRef: {name: default}}
    timeouts: {request: 0s, responseHeader: 0s}
    backends: [{name: auth}]
`

// farewell is a world whose services revoke the session that asks, and answer when the gateway has cut what runs under it.
func farewell(t *testing.T, answer http.HandlerFunc) *world {
	w := start(t, setup{resources: []string{basics, ownRoutes}})
	handle := func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.revokeAndOutlast("s-own")
		answer(rw, r)
	}
	w.auth.serve(handle)
	w.files.serve(handle)
	return w
}

// revokeAndOutlast returns when a request of the session that was running has been cut, or would have been.
func (w *world) revokeAndOutlast(session string) {
	w.issuer.Revoke(token.KindSession, session)
	eventually(w.t, "the gateway hears of it", func() bool { return w.metric("cloakroom_revocation_cut_requests_total") > 0 })
	// A request that is cut has 300 ms to answer and 200 more to end by itself; one that is not, 3 s, and a busy machine needs of them.
	time.Sleep(600 * time.Millisecond)
}

func marked(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set(web.CallerEndedHeader, "1")
	_, _ = io.WriteString(rw, "done")
}

// TestFarewell_WhatEndsItsOwnSessionIsAnswered: a call that succeeds by ending the session it came with says so, however
// long the word takes to spread; the connection lives on, and nobody outside sees how the gateway knew.
func TestFarewell_WhatEndsItsOwnSessionIsAnswered(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"without a body": "", "with one": "a body"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := farewell(t, marked)
			raw := w.issuer.Mint(tokentest.Session("s-own"))
			got := w.do(http.MethodPost, "/own/session", body, bearer(raw))
			w.want(got, http.StatusOK, "")
			if got.body != "done" || got.header.Get(web.CallerEndedHeader) != "" || got.header.Get("Connection") == "close" {
				t.Errorf("%q, %v", got.body, got.header)
			}
			w.want(w.do(http.MethodPost, "/own/session", "", bearer(raw)), http.StatusUnauthorized, "INVALID_TOKEN")
		})
	}
}

// TestFarewell_NothingElseOfTheSessionIsAnswered: neither an answer that doesn't say it is the end of its caller, nor
// one of another service that says so, nor one of a request that only reads.
func TestFarewell_NothingElseOfTheSessionIsAnswered(t *testing.T) {
	t.Parallel()
	unmarked := func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "done") }
	for name, c := range map[string]struct {
		method, path string
		answer       http.HandlerFunc
	}{
		"not marked":      {"DELETE", "/own/session", unmarked},
		"another service": {"DELETE", "/closed/x", marked},
		"only reads":      {"GET", "/own/session", marked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := farewell(t, c.answer)
			got := w.do(c.method, c.path, "", bearer(w.issuer.Mint(tokentest.Session("s-own"))))
			w.want(got, http.StatusUnauthorized, "INVALID_TOKEN")
			if strings.Contains(got.body, "done") || got.header.Get(web.CallerEndedHeader) != "" {
				t.Errorf("%q, %v", got.body, got.header)
			}
		})
	}
}

// TestFarewell_IsNotWaitedForLong: a service that does not answer keeps no revoked request.
func TestFarewell_IsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	let := make(chan struct{})
	w := farewell(t, func(http.ResponseWriter, *http.Request) { <-let })
	defer close(let)
	w.want(w.do(http.MethodDelete, "/own/session", "", bearer(w.issuer.Mint(tokentest.Session("s-own")))), http.StatusUnauthorized, "INVALID_TOKEN")
}

// TestFarewell_IsNoTransfer: what has not come whole by the time of the cut is cut, and so is an answer that goes on.
func TestFarewell_IsNoTransfer(t *testing.T) {
	t.Parallel()
	w := start(t, setup{resources: []string{basics, ownRoutes}})
	gone := make(chan struct{}, 2)
	w.auth.serve(func(rw http.ResponseWriter, r *http.Request) {
		defer func() { gone <- struct{}{} }()
		rw.Header().Set(web.CallerEndedHeader, "1")
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		for r.Context().Err() == nil {
			_, _ = io.WriteString(rw, "more")
			_ = http.NewResponseController(rw).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	for _, request := range []string{"PUT /own/x HTTP/1.1\r\nContent-Length: 100\r\n", "POST /own/x HTTP/1.1\r\n"} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "%sHost: a\r\n%s\r\n\r\n", request, bearer(w.issuer.Mint(tokentest.Session("s-own"))))
		go func() { _, _ = io.Copy(io.Discard, c) }()
	}
	eventually(t, "both run", func() bool { return w.auth.count() == 2 })
	w.issuer.Revoke(token.KindSession, "s-own")
	for range 2 {
		select {
		case <-gone:
		case <-time.After(patience):
			t.Fatal("the service still works for a revoked session")
		}
	}
}
