package upstream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"
)

// service plays the addresses of one upstream.
type service struct {
	t  *testing.T
	b  *Balancer
	mu sync.Mutex
	do map[string]func(*http.Request) (*http.Response, error) // by address; without one it answers 200
	at map[string][]string                                    // method and body of each request, by address
}

type played struct {
	s    *service
	host string
}

func (p played) Close() {}

func (p played) Stats() Stats { return Stats{Waited: 1} }

func (p played) RoundTrip(r *http.Request) (*http.Response, error) {
	p.s.mu.Lock()
	do := p.s.do[p.host]
	p.s.at[p.host] = append(p.s.at[p.host], r.Method)
	p.s.mu.Unlock()
	if do != nil {
		return do(r)
	}
	return answer(200, ""), nil
}

func answer(status int, kind string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: http.NoBody}
}

func serve(t *testing.T, opts Options, hosts ...string) *service {
	t.Helper()
	s := &service{t: t, do: map[string]func(*http.Request) (*http.Response, error){}, at: map[string][]string{}}
	for _, h := range hosts {
		opts.URLs = append(opts.URLs, &url.URL{Scheme: "http", Host: h})
	}
	opts.Name, opts.Log = "files", slog.New(slog.DiscardHandler)
	opts.Connect = func(base *url.URL) Conn { return played{s, base.Host} }
	var err error
	if s.b, err = New(opts); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *service) play(host string, do func(*http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do[host] = do
}

func (s *service) count(host string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at[host])
}

// send sends a request and ends it.
func (s *service) send(method string, body io.Reader, headers ...string) (*http.Response, error) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://gateway/x", body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		r.Header.Set(h, "x")
	}
	var p Place
	defer p.Done()
	return s.b.Send(r, &p, 2)
}

func (s *service) state(host string) string {
	for _, st := range s.b.Status() {
		if strings.HasSuffix(st.Address, host) {
			return st.State
		}
	}
	return "gone"
}

func refuses(*http.Request) (*http.Response, error) {
	return nil, &NotSentError{errors.New("connection refused")}
}

func breaksOff(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

// readsFirst fails once it has seen something of the body.
func readsFirst(r *http.Request) (*http.Response, error) {
	_, _ = r.Body.Read(make([]byte, 1))
	return nil, io.ErrUnexpectedEOF
}

const a, b, c = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"

var plenty = Budget{Percent: 100, MinPerSecond: 1000}

func TestSend_TheOneWithLessToDo(t *testing.T) {
	s := serve(t, Options{}, a, b)
	var held Place
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gateway/x", nil)
	if _, err := s.b.Send(r, &held, 0); err != nil {
		t.Fatal(err)
	}
	slow := held.Address()
	for range 50 {
		_, _ = s.send("GET", nil)
	}
	if n := s.count(slow); n != 1 {
		t.Errorf("%d requests to the one that is slow", n)
	}
	held.Done()
	held.Done()
	for range 50 {
		_, _ = s.send("GET", nil)
	}
	if n := s.count(slow); n < 5 {
		t.Errorf("%d requests to the one that is free again", n)
	}
	if n := s.b.inFlight.Load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// TestSend_WhatMayGoTwice: one address fails in some way, the other one is well.
func TestSend_WhatMayGoTwice(t *testing.T) {
	for name, tc := range map[string]struct {
		method, header string
		body           bool
		fails          func(*http.Request) (*http.Response, error)
		again          bool
	}{
		"a read":                                 {"GET", "", false, breaksOff, true},
		"a deletion":                             {"DELETE", "", false, breaksOff, true},
		"a replacement not begun":                {"PUT", "", true, breaksOff, true},
		"a replacement begun":                    {"PUT", "", true, readsFirst, false},
		"a replacement of a certain version":     {"PUT", "If-Match", false, breaksOff, false},
		"a creation":                             {"POST", "", true, breaksOff, false},
		"a creation without a body":              {"POST", "", false, breaksOff, false},
		"a part of an upload":                    {"PATCH", "", true, breaksOff, false},
		"a creation that was not sent":           {"POST", "", true, refuses, true},
		"a part of an upload that was not sent":  {"PATCH", "", true, refuses, true},
		"a creation with its key, maybe arrived": {"POST", "Idempotency-Key", true, breaksOff, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{Budget: plenty}, a, b)
			s.play(a, tc.fails)
			var got string
			s.play(b, func(r *http.Request) (*http.Response, error) {
				if r.Body != nil {
					text, _ := io.ReadAll(r.Body)
					got = string(text)
				}
				return answer(200, ""), nil
			})
			failed := 0
			for range 200 {
				var body io.Reader
				if tc.body {
					body = strings.NewReader("whole")
				}
				headers := []string{}
				if tc.header != "" {
					headers = append(headers, tc.header)
				}
				if _, err := s.send(tc.method, body, headers...); err != nil {
					failed++
				} else if tc.body && got != "whole" {
					t.Fatalf("the other one got %q", got)
				}
			}
			first, second := s.count(a), s.count(b)
			if first < 50 || tc.again != (failed == 0) || !tc.again && (failed != first || first+second != 200) {
				t.Errorf("sent %d and %d times, %d failed", first, second, failed)
			}
		})
	}
}

func TestSend_ABodyThatWentElsewhereCanNotBeReadByWhoeverComesLate(t *testing.T) {
	s := serve(t, Options{Budget: plenty}, a, b)
	var late io.Reader
	for _, host := range []string{a, b} {
		s.play(host, func(r *http.Request) (*http.Response, error) {
			if late == nil {
				late = r.Body
				return refuses(r)
			}
			if n, err := late.Read(make([]byte, 9)); n != 0 || err == nil {
				t.Errorf("the first try has read %d bytes: %v", n, err)
			}
			text, _ := io.ReadAll(r.Body)
			if string(text) != "whole" {
				t.Errorf("the second try got %q", text)
			}
			return answer(200, ""), nil
		})
	}
	if _, err := s.send("POST", strings.NewReader("whole")); err != nil {
		t.Fatal(err)
	}
}

func TestBudget_NoRetryStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, Options{Budget: Budget{Percent: 20, MinPerSecond: 1}}, a, b, c)
		for _, host := range []string{a, b, c} {
			s.play(host, refuses)
		}
		for range 100 {
			for range 10 {
				_, _ = s.send("GET", nil)
			}
			time.Sleep(100 * time.Millisecond)
		}
		// 1000 requests in ten seconds: 200 by their number, and ten besides.
		if n := s.count(a) + s.count(b) + s.count(c) - 1000; n < 150 || n > 210 {
			t.Errorf("%d sent again", n)
		}
		time.Sleep(time.Minute)
		if left := s.b.budget.balance(time.Now()); left != 10 {
			t.Errorf("after a while %d are left", left)
		}
	})
}

func TestSend_OneTooManyIsToldAtOnce(t *testing.T) {
	s := serve(t, Options{MaxRequests: 2}, a)
	places := make([]Place, 3)
	for i := range places {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gateway/x", nil)
		_, err := s.b.Send(r, &places[i], 0)
		if busy := errors.Is(err, fault.Of(fault.Overloaded)); busy != (i == 2) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	places[0].Done()
	if _, err := s.send("GET", nil); err != nil {
		t.Error(err)
	}
}

func TestEjection_TwiceAsLongEachTimeAndNeverTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, Options{Budget: plenty, Ejection: Ejection{Failures: 5, Time: time.Second, MaxTime: 3 * time.Second}}, a, b)
		s.play(a, breaksOff)
		until := func(state string) {
			for s.state(a) != state {
				_, _ = s.send("GET", nil)
			}
		}
		until("ejected")
		if n := s.count(a); n != 5 {
			t.Errorf("ejected after %d failures", n)
		}
		for _, lasts := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
			before := s.count(a)
			time.Sleep(lasts - time.Millisecond)
			for range 20 {
				if _, err := s.send("POST", nil); err != nil {
					t.Fatal(err)
				}
			}
			if s.count(a) != before {
				t.Errorf("used within %v", lasts)
			}
			time.Sleep(time.Millisecond)
			until("ejected")
			if n := s.count(a) - before; n != 1 {
				t.Errorf("%d chances after %v", n, lasts)
			}
		}
		s.play(b, breaksOff)
		for range 50 {
			_, _ = s.send("GET", nil)
		}
		if s.state(b) != "up" {
			t.Error("the last one was ejected")
		}
		s.play(a, nil)
		s.play(b, nil)
		time.Sleep(10 * time.Second)
		for range 50 {
			if _, err := s.send("POST", nil); err != nil {
				t.Fatal(err)
			}
		}
		if s.count(a) == 0 || s.state(a) != "up" {
			t.Error("it does not come back")
		}
	})
}

// TestEjection_OnlyForWhatTheAddressDid: none of these may ever take an address away from everybody.
func TestEjection_OnlyForWhatTheAddressDid(t *testing.T) {
	problem := answer(503, "application/problem+json")
	later := answer(503, "text/plain")
	later.Header.Set("Retry-After", "1")
	for name, tc := range map[string]struct {
		do     func(*http.Request) (*http.Response, error)
		ejects bool
	}{
		"the service is overloaded":           {func(*http.Request) (*http.Response, error) { return problem, nil }, false},
		"it says when to come back":           {func(*http.Request) (*http.Response, error) { return later, nil }, false},
		"it fails":                            {func(*http.Request) (*http.Response, error) { return answer(500, "text/plain"), nil }, false},
		"a proxy in front has lost it":        {func(*http.Request) (*http.Response, error) { return answer(502, "text/html; charset=x"), nil }, true},
		"the client's body breaks off":        {readsFirst, false},
		"there is no connection":              {refuses, true},
		"the service breaks off":              {breaksOff, true},
		"the client leaves":                   {leaves(context.Canceled), false},
		"the caller is revoked":               {leaves(fault.New(fault.InvalidToken, "revoked")), false},
		"the service does not answer in time": {leaves(fault.New(fault.UpstreamTimeout, "slow")), true},
		"the client keeps its body back":      {waitsForBody, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{Ejection: Ejection{Failures: 5, Time: time.Hour, MaxTime: time.Hour}}, a, b)
			s.play(a, tc.do)
			for range 50 {
				ctx, cancel := context.WithCancelCause(t.Context())
				var body io.Reader
				switch name {
				case "the client's body breaks off":
					body = broken{}
				case "the client keeps its body back":
					slow := &silent{reads: make(chan struct{}), end: make(chan struct{})}
					defer close(slow.end)
					body = slow
				}
				r, _ := http.NewRequestWithContext(context.WithValue(ctx, cancelKey{}, cancel), http.MethodPost, "http://gateway/x", body)
				var p Place
				_, _ = s.b.Send(r, &p, 2)
				p.Done()
				cancel(nil)
			}
			if got := s.state(a) == "ejected"; got != tc.ejects {
				t.Errorf("ejected: %v", got)
			}
		})
	}
}

type cancelKey struct{}

// leaves ends the request's context while the service thinks.
func leaves(cause error) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		r.Context().Value(cancelKey{}).(context.CancelCauseFunc)(cause)
		return nil, r.Context().Err()
	}
}

// waitsForBody is sent a head, and nothing behind it until the request's time is over.
func waitsForBody(r *http.Request) (*http.Response, error) {
	go func() { _, _ = r.Body.Read(make([]byte, 1)) }()
	<-r.Body.(*requestBody).ReadCloser.(interface{ begun() <-chan struct{} }).begun()
	return leaves(fault.New(fault.UpstreamTimeout, "the request took too long"))(r)
}

// silent is a body that does not come.
type silent struct{ reads, end chan struct{} }

func (s *silent) Read([]byte) (int, error) {
	close(s.reads)
	<-s.end
	return 0, io.EOF
}

func (s *silent) Close() error { return nil }

func (s *silent) begun() <-chan struct{} { return s.reads }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the client has gone") }

func TestEjection_AnAnswerThatBreaksOffCounts(t *testing.T) {
	s := serve(t, Options{Ejection: Ejection{Failures: 3, Time: time.Hour, MaxTime: time.Hour}}, a, b)
	broke := 0
	for range 100 {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gateway/x", nil)
		var p Place
		_, _ = s.b.Send(r, &p, 0)
		if p.Address() == a {
			p.Broke()
			p.Broke() // once is enough
			broke++
		}
		p.Done()
	}
	if broke != 3 || s.state(a) != "ejected" {
		t.Errorf("%s after %d", s.state(a), broke)
	}
}
