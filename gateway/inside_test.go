package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
	"cloakroom.dev/libs/web"
)

// The tests of this file hold for services behind a connection and for those of the same process (TestInside_KeepsEveryPromise);
// what could go wrong without a connection between is what they are about.

// TestService_MayAnswerBeforeItHasTheBody: at once, to a client that stalls and to one in full flight.
func TestService_MayAnswerBeforeItHasTheBody(t *testing.T) {
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  limits: {maxBodyBytes: 1Gi}\n"})
	w.files.answer(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(rw, "big")
	})
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhello")
	_ = conn.SetReadDeadline(time.Now().Add(soon))
	all, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 413 ") || !strings.Contains(string(all), "Connection: close") || !strings.Contains(string(all), "big") {
		t.Errorf("%q %v", all, err)
	}
	body := make([]byte, 16<<20)
	for range 10 {
		res, err := client.Post("http://"+w.addr+"/open", "", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			continue
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != 413 || string(text) != "big" {
			t.Errorf("%d %q %v", res.StatusCode, text, err)
		}
	}
}

// TestService_BreaksOff: before its answer it is 502, and behind its head the client must see that there should be more.
func TestService_BreaksOff(t *testing.T) {
	w := start(t, setup{})
	w.files.answer(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/open/begun" {
			_, _ = io.WriteString(rw, "begun")
			_ = http.NewResponseController(rw).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	w.want(w.do(http.MethodPost, "/open/not", "body"), 502, "UNAVAILABLE")
	res, err := client.Get("http://" + w.addr + "/open/begun")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err == nil || res.StatusCode != 200 || !strings.HasPrefix("begun", string(text)) {
		t.Errorf("%d %q %v", res.StatusCode, text, err)
	}
	if n := w.metric("cloakroom_gateway_upstream_errors_total", "kind=broken"); n != 2 {
		t.Errorf("%v broke off", n)
	}
	w.files.answer(func(http.ResponseWriter, *http.Request) {})
	w.want(w.get("/open"), 200, "")
	eventually(t, "no request is with the service any more", func() bool { return w.metric("cloakroom_gateway_upstream_requests") == 0 })
}

const briefRoute = `
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: brief}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /brief}}]
    auth: {anonymous: {reason: a test of time limits}}
    timeouts: {request: 300ms}
    backends: [{name: files}]
`

// TestService_ThatIsDeafHoldsNobody: it sees neither that its time is over nor that its caller is revoked. Who asked is told all the
// same, whole, and what it says afterwards reaches nobody.
func TestService_ThatIsDeafHoldsNobody(t *testing.T) {
	w := start(t, setup{resources: []string{basics, briefRoute}})
	let, has, done := make(chan struct{}), make(chan struct{}, 2), make(chan error, 2)
	w.files.answer(func(rw http.ResponseWriter, _ *http.Request) {
		has <- struct{}{}
		<-let
		_, err := io.WriteString(rw, "too late")
		if err == nil {
			err = http.NewResponseController(rw).Flush()
		}
		done <- err
	})
	session := "s-deaf"
	raw := w.issuer.Mint(tokentest.Session(session))
	w.want(w.get("/brief"), 504, "UNAVAILABLE")
	<-has
	answers := make(chan answer, 1)
	go func() { answers <- w.do(http.MethodPost, "/closed", "body", "Authorization: Bearer "+raw) }()
	<-has
	w.issuer.Revoke(token.KindSession, session)
	w.want(<-answers, 401, "INVALID_TOKEN")
	close(let)
	for range 2 {
		select {
		case <-done:
		case <-time.After(soon):
			t.Fatal("the service is still held")
		}
	}
}

// TestService_SaysNothingMoreToWhoIsRevoked: what it had said by then was not all, and the client sees that.
func TestService_SaysNothingMoreToWhoIsRevoked(t *testing.T) {
	w := start(t, setup{})
	begun := make(chan struct{})
	w.files.answer(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, "begun, ")
		_ = http.NewResponseController(rw).Flush()
		close(begun)
		<-r.Context().Done()
		_, _ = io.WriteString(rw, "and a secret")
	})
	raw := w.issuer.Mint(tokentest.Session("s-cut"))
	go func() {
		<-begun
		w.issuer.Revoke(token.KindSession, "s-cut")
	}()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.addr+"/closed", nil)
	r.Header.Set("Authorization", "Bearer "+raw)
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err == nil || string(text) != "begun, " {
		t.Errorf("%q %v", text, err)
	}
}

// TestService_SeesARequestOfItsOwn: nothing of what the gateway knows of a request is in its context, and its header is nobody else's.
func TestService_SeesARequestOfItsOwn(t *testing.T) {
	w := start(t, setup{})
	w.files.answer(func(rw http.ResponseWriter, r *http.Request) {
		_, known := principal.From(r.Context())
		switch host, _, err := net.SplitHostPort(r.RemoteAddr); {
		case known:
			t.Error("the caller is in the service's context")
		case err != nil || !net.ParseIP(host).IsLoopback():
			t.Errorf("the request comes from %q", r.RemoteAddr)
		case r.TLS != nil || r.Header.Get("X-Hop") != "" || r.Header.Get("Connection") != "":
			t.Errorf("%v", r.Header)
		case r.RequestURI != r.URL.RequestURI() || r.URL.Host != "" || r.Proto != "HTTP/1.1":
			t.Errorf("%q %v %q", r.RequestURI, r.URL, r.Proto)
		}
		web.SetRoute(r.Context(), "of the service")
		clear(r.Header)
		rw.Header().Set("Connection", "x-own")
		rw.Header().Set("X-Own", "1")
		rw.Header().Set(web.RequestIDHeader, "forged")
	})
	a := w.get("/closed/a%20b;c?x=1&z=%20", "Authorization: Bearer "+w.issuer.Mint(), "Connection: x-hop", "X-Hop: 1")
	w.want(a, 200, "")
	if a.header.Get("X-Own") != "" || a.header.Get(web.RequestIDHeader) == "forged" {
		t.Errorf("%v", a.header)
	}
	if strings.Contains(w.logs.String(), `"route":"of the service"`) {
		t.Error("the service's word is in the gateway's log")
	}
}

// TestService_BoundsReadsOfItsBody: its deadline ends a read, with the error a connection gives, and is nobody's afterwards.
func TestService_BoundsReadsOfItsBody(t *testing.T) {
	w := start(t, setup{})
	read := make(chan error, 1)
	w.files.answer(func(rw http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(rw)
		_ = control.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := io.Copy(io.Discard, r.Body)
		_ = control.SetReadDeadline(time.Now().Add(-time.Second)) // as web.Edge bounds what net/http reads behind an answer
		read <- err
		rw.WriteHeader(http.StatusRequestTimeout)
	})
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(soon))
	_, _ = io.WriteString(conn, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 408 {
		t.Fatalf("%v %v", res, err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the service read %v", err)
	}
}

// TestService_HearsThatItsClientHasGone, while it waits for something else.
func TestService_HearsThatItsClientHasGone(t *testing.T) {
	w := start(t, setup{})
	ended := make(chan error, 1)
	w.files.serve(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	})
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET /open HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the service has the request", func() bool { return w.files.count() == 1 })
	_ = conn.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(soon):
		t.Fatal("the service has not heard")
	}
}

// TestService_HearsThatABodyBrokeOff as it would from a client of its own.
func TestService_HearsThatABodyBrokeOff(t *testing.T) {
	w := start(t, setup{})
	read := make(chan error, 1)
	w.files.answer(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		read <- err
	})
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell")
	_ = conn.Close()
	select {
	case err := <-read:
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	case <-time.After(soon):
		t.Fatal("the service has not heard")
	}
}
