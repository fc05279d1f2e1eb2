package token_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

func TestBind_IsCutByWhatConcernsIt(t *testing.T) {
	byKey := someone()
	byKey.SessionID, byKey.APIKeyID = "", "a-1"
	for _, c := range []struct {
		entry token.Entry
		p     principal.Principal
		want  fault.Kind
	}{
		{entry(9, token.KindSession, "s-1", time.Hour), someone(), fault.InvalidToken},
		{entry(9, token.KindSession, "s-1", -time.Hour), someone(), fault.InvalidToken}, // its tokens have expired; the request runs
		{entry(9, token.KindSession, "s-2", time.Hour), someone(), -1},
		{entry(9, token.KindAPIKey, "s-1", time.Hour), someone(), -1},
		{entry(9, token.KindAPIKey, "a-1", time.Hour), byKey, fault.InvalidToken},
		{entry(9, token.KindSession, "a-1", time.Hour), byKey, -1},
		{entry(9, token.KindUserDeleted, "u-1", time.Hour), someone(), fault.InvalidToken},
		{entry(9, token.KindSigningKey, "k-1", time.Hour), someone(), fault.InvalidToken},
		{entry(9, token.KindUserEpoch, "u-1", time.Hour), someone(), fault.TokenStale},
		{entry(5, token.KindUserEpoch, "u-1", time.Hour), someone(), -1},
		{entry(9, token.KindUserEpoch, "u-2", time.Hour), someone(), -1},
	} {
		t.Run(fmt.Sprintf("%s %s %d", c.entry.Kind, c.entry.ID, c.entry.Seq), func(t *testing.T) {
			v := token.NewView(token.ViewOptions{CutDelay: -1})
			ctx, done := v.Bind(t.Context(), c.p)
			defer done()
			if ctx.Err() != nil {
				t.Fatal(context.Cause(ctx))
			}
			v.Apply(c.entry)
			got := fault.Kind(-1)
			if ctx.Err() != nil {
				got = fault.KindOf(context.Cause(ctx))
			}
			if got != c.want {
				t.Errorf("cut with %v, want %v", got, c.want)
			}
		})
	}
}

func TestBind_LeavesTimeToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := token.NewView(token.ViewOptions{CutDelay: 500 * time.Millisecond})
		logout, done := v.Bind(t.Context(), someone())
		download, done2 := v.Bind(t.Context(), someone())
		defer done2()
		v.Apply(entry(9, token.KindSession, "s-1", time.Hour))
		time.Sleep(499 * time.Millisecond)
		synctest.Wait()
		if logout.Err() != nil || v.Check(someone()) == nil {
			t.Error("the logout was cut off its answer, or something new is let in")
		}
		done()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if fault.KindOf(context.Cause(download)) != fault.InvalidToken || !errors.Is(context.Cause(logout), context.Canceled) {
			t.Errorf("causes: %v, %v", context.Cause(download), context.Cause(logout))
		}
	})
}

func TestBind_OfTheRevokedIsCutAtOnce(t *testing.T) {
	v := token.NewView(token.ViewOptions{})
	v.Apply(entry(9, token.KindUserEpoch, "u-1", time.Hour))
	ctx, done := v.Bind(t.Context(), someone())
	defer done()
	if fault.KindOf(context.Cause(ctx)) != fault.TokenStale {
		t.Errorf("cause = %v", context.Cause(ctx))
	}
}

// TestBind_NoneSlipsThrough races binding with revoking: whoever was let in before the entry is cut by it.
func TestBind_NoneSlipsThrough(t *testing.T) {
	for range 200 {
		v := token.NewView(token.ViewOptions{CutDelay: -1})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if v.Check(someone()) != nil {
					return
				}
				ctx, done := v.Bind(t.Context(), someone())
				defer done()
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
					t.Error("slipped through")
				}
			})
		}
		wg.Go(func() { v.Apply(entry(9, token.KindSession, "s-1", time.Hour)) })
		wg.Wait()
	}
}

func TestBind_LeavesNothingBehind(t *testing.T) {
	reg := prometheus.NewRegistry()
	v := token.NewView(token.ViewOptions{Registerer: reg, CutDelay: -1})
	var dones []context.CancelFunc
	for i := range 2000 {
		p := principal.Principal{UserID: fmt.Sprintf("u-%d", i%10), SessionID: fmt.Sprintf("s-%d", i%100), ExpiresAt: time.Now().Add(time.Hour)}
		_, done := v.Bind(t.Context(), p)
		dones = append(dones, done)
	}
	if got := metric(t, reg, "cloakroom_revocation_bound_requests"); got != 2000 {
		t.Errorf("%v bound", got)
	}
	v.Apply(entry(1, token.KindSession, "s-7", time.Hour))
	v.Apply(entry(2, token.KindUserDeleted, "u-3", time.Hour))
	if got := metric(t, reg, "cloakroom_revocation_cut_requests_total"); got != 220 {
		t.Errorf("%v cut, want 20 of the session and 200 of the person", got)
	}
	for _, done := range dones {
		done()
		done() // harmless
	}
	if got := metric(t, reg, "cloakroom_revocation_bound_requests"); got != 0 {
		t.Errorf("%v bound at the end", got)
	}
}

// TestBind_AfterAGap: what was revoked and forgotten while nothing was heard can't be known, so requests whose token has
// expired meanwhile end.
func TestBind_AfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := token.NewView(token.ViewOptions{CutDelay: -1})
		v.Heard(1, time.Now())
		long := someone()
		long.ExpiresAt = time.Now().Add(time.Hour)
		expiring, done := v.Bind(t.Context(), someone())
		defer done()
		lasting, done2 := v.Bind(t.Context(), long)
		defer done2()
		for range 120 { // heartbeats go on: an expired token is no reason to end a download
			time.Sleep(time.Second)
			v.Heard(1, time.Now())
		}
		if expiring.Err() != nil {
			t.Error("cut without a gap")
		}
		time.Sleep(10 * time.Second)
		v.Heard(1, time.Now())
		synctest.Wait()
		if expiring.Err() == nil || lasting.Err() != nil {
			t.Errorf("after a gap: %v, %v", context.Cause(expiring), context.Cause(lasting))
		}
	})
}

func TestBearer(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    string
		kind    fault.Kind
	}{
		{[]string{"Bearer abc"}, "abc", -1}, {[]string{"bearer abc"}, "abc", -1}, {[]string{"BEARER a.b-c_d"}, "a.b-c_d", -1},
		{nil, "", fault.Unauthenticated}, {[]string{""}, "", fault.Unauthenticated}, {[]string{"Bearer"}, "", fault.Unauthenticated},
		{[]string{"Bearer "}, "", fault.Unauthenticated}, {[]string{"Bearer  abc"}, "", fault.Unauthenticated}, {[]string{"Basic abc"}, "", fault.Unauthenticated},
		{[]string{"Bearer abc, Bearer def"}, "", fault.Unauthenticated}, {[]string{"Bearer\tabc"}, "", fault.Unauthenticated},
		{[]string{"BearerX abc"}, "", fault.Unauthenticated}, {[]string{"abc"}, "", fault.Unauthenticated},
		{[]string{"Bearer abc", "Bearer abc"}, "", fault.Invalid}, {[]string{"Bearer abc", ""}, "", fault.Invalid},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?access_token=abc", nil)
		r.Header["Authorization"] = c.headers
		got, err := token.Bearer(r)
		kind := fault.Kind(-1)
		if err != nil {
			kind = fault.KindOf(err)
		}
		if got != c.want || kind != c.kind {
			t.Errorf("%q: %q, %v", c.headers, got, err)
		}
	}
}

func TestRequire(t *testing.T) {
	f := newFixture(t)
	h := f.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := principal.From(r.Context())
		_, _ = io.WriteString(w, p.UserID)
	}))
	for name, c := range map[string]struct {
		headers []string
		status  int
		body    string
	}{
		"good":      {[]string{"Bearer " + f.good()}, 200, tokentest.DefaultSubject},
		"none":      {nil, 401, `"code":"AUTH_ERROR"`},
		"nonsense":  {[]string{"Bearer nonsense"}, 401, `"code":"INVALID_TOKEN"`},
		"expired":   {[]string{"Bearer " + f.good("iat", 1, "exp", 2)}, 401, `"code":"TOKEN_EXPIRED"`},
		"two of it": {[]string{"Bearer " + f.good(), "Bearer " + f.good()}, 400, `"code":"VALIDATION_ERROR"`},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = c.headers
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%s: WWW-Authenticate is %q", name, w.Header().Get("WWW-Authenticate"))
		}
	}
}

// guarded serves handler behind Require on a real connection.
func guarded(t *testing.T, handler http.HandlerFunc) (f *fixture, addr string) {
	t.Helper()
	f = newFixture(t)
	server := httptest.NewServer(f.Require(handler))
	t.Cleanup(server.Close)
	return f, strings.TrimPrefix(server.URL, "http://")
}

func dial(t *testing.T, addr, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestGuard_CutsASlowUpload(t *testing.T) {
	ended := make(chan error, 1)
	reading := make(chan struct{})
	f, addr := guarded(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reading)
		_, err := io.Copy(io.Discard, r.Body)
		ended <- errors.Join(err, context.Cause(r.Context()))
	})
	conn := dial(t, addr, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nAuthorization: Bearer "+f.good()+"\r\n\r\nsome bytes")
	<-reading
	began := time.Now()
	f.view.Apply(entry(1, token.KindSession, tokentest.DefaultSession, time.Hour))
	if err := <-ended; err == nil || !errors.Is(err, fault.Of(fault.InvalidToken)) {
		t.Errorf("the handler ended with %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection ended with %v", err)
	}
}

func TestGuard_CutsADownloadToASlowReader(t *testing.T) {
	ended := make(chan error, 1)
	f, addr := guarded(t, func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				ended <- err
				return
			}
		}
	})
	conn := dial(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+f.good()+"\r\n\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the buffers of both ends fill up, and the handler hangs in Write
	began := time.Now()
	f.view.Apply(entry(1, token.KindUserDeleted, tokentest.DefaultSubject, time.Hour))
	<-ended
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestGuard_CutsAHijackedConnection, as a WebSocket's is.
func TestGuard_CutsAHijackedConnection(t *testing.T) {
	ended := make(chan error, 1)
	reading := make(chan struct{})
	f, addr := guarded(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		close(reading)
		_, err = conn.Read(make([]byte, 1))
		ended <- err
	})
	dial(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+f.good()+"\r\n\r\n")
	<-reading
	began := time.Now()
	f.view.Apply(entry(1, token.KindSigningKey, "kid-EdDSA", time.Hour))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestGuard_LetsALogoutAnswer: the request that revokes its own session is answered whole, and its connection serves on.
func TestGuard_LetsALogoutAnswer(t *testing.T) {
	var f *fixture
	f, addr := guarded(t, func(w http.ResponseWriter, _ *http.Request) {
		f.view.Apply(entry(1, token.KindSession, "mine", time.Hour))
		time.Sleep(20 * time.Millisecond)
		w.WriteHeader(http.StatusNoContent)
	})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		sid  string
		want int
	}{{"mine", 204}, {"mine", 401}, {"another", 204}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+f.good("sid", c.sid, "jti", c.sid))
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.sid, res.StatusCode, c.want)
		}
	}
}

// TestGuard_ACancelledHandlerStillAnswers: one that heeds its context has time for a problem document.
func TestGuard_ACancelledHandlerStillAnswers(t *testing.T) {
	waiting := make(chan struct{})
	f, addr := guarded(t, func(w http.ResponseWriter, r *http.Request) {
		close(waiting)
		<-r.Context().Done()
		http.Error(w, context.Cause(r.Context()).Error(), http.StatusUnauthorized)
	})
	conn := dial(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+f.good()+"\r\nConnection: close\r\n\r\n")
	<-waiting
	f.view.Apply(entry(1, token.KindSession, tokentest.DefaultSession, time.Hour))
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401") {
		t.Errorf("%q, %v", answer, err)
	}
}
