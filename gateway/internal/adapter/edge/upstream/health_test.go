package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"
)

// TestTold_WhoIsBelievedWhen: two addresses, of which one hears its questions.
func TestTold_WhoIsBelievedWhen(t *testing.T) {
	for name, tc := range map[string]struct {
		says []condition
		ends string
	}{
		"not asked yet":             {nil, "up"},
		"ready":                     {[]condition{isUp}, "up"},
		"silent once":               {[]condition{isUp, isDown}, "up"},
		"silent now and then":       {[]condition{isUp, isDown, isUp, isDown, isUp, isDown}, "up"},
		"silent twice":              {[]condition{isUp, isDown, isDown}, "down"},
		"says so itself":            {[]condition{isUp, isUnready}, "unready"},
		"drains, then is gone":      {[]condition{isUp, isUnready, isDown, isDown}, "down"},
		"back once":                 {[]condition{isDown, isDown, isUp}, "down"},
		"back twice":                {[]condition{isDown, isDown, isUp, isUp}, "up"},
		"flaps":                     {[]condition{isUnready, isUp, isUnready, isUp, isUnready, isUp}, "unready"},
		"from nothing to not ready": {[]condition{isDown, isDown, isUnready}, "unready"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{Health: Health{DownAfter: 2, UpAfter: 2}}, a, b)
			for _, said := range tc.says {
				s.b.told(s.b.all[0], said, "", time.Now())
			}
			if got := s.state(a); got != tc.ends {
				t.Errorf("%s, want %s", got, tc.ends)
			}
			for range 20 {
				_, _ = s.send("GET", nil)
			}
			if used := s.count(a) > 0; used != (tc.ends == "up") {
				t.Errorf("%d requests", s.count(a))
			}
		})
	}
}

func TestTold_TheLastHope(t *testing.T) {
	s := serve(t, Options{Health: Health{DownAfter: 1, UpAfter: 5}}, a, b)
	one, other := s.b.all[0], s.b.all[1]
	s.b.told(one, isDown, "", time.Now())
	s.b.told(other, isUnready, "", time.Now())
	if _, err := s.send("GET", nil); err != nil || s.count(b) != 1 {
		t.Errorf("one that answers at all was not asked: %v", err)
	}
	s.b.told(other, isDown, "", time.Now())
	began := time.Now()
	if _, err := s.send("GET", nil); !errors.Is(err, fault.Of(fault.Unavailable)) || time.Since(began) > 20*time.Second {
		t.Errorf("nobody is there: %v after %v", err, time.Since(began))
	}
	s.b.told(one, isUp, "", time.Now()) // once is enough where there is nobody else
	if _, err := s.send("GET", nil); err != nil || s.count(a) != 1 {
		t.Errorf("the first sign of life was not enough: %v", err)
	}
}

// names plays a name server.
type names struct {
	mu   sync.Mutex
	says map[string][]string
}

func (n *names) set(name string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.says[name] = addrs
}

func (n *names) lookup(_ context.Context, name string) (list []netip.Addr, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, text := range n.says[name] {
		list = append(list, netip.MustParseAddr(text))
	}
	if len(list) == 0 {
		err = errors.New("no such name")
	}
	return list, err
}

func TestRun_ANameIsAllThatItStandsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &names{says: map[string][]string{"files": {"10.0.0.2", "10.0.0.1", "::ffff:10.0.0.1", "fd00::1"}}}
		s := serve(t, Options{Lookup: dns.lookup, Ejection: Ejection{Failures: 1, Time: time.Hour, MaxTime: time.Hour}}, "files:80", "10.0.0.9:80")
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.b.Run(ctx) })
		synctest.Wait()
		addresses := func() (list []string) {
			for _, st := range s.b.Status() {
				list = append(list, st.Address)
			}
			return list
		}
		expect := func(when string, want ...string) {
			t.Helper()
			if got := addresses(); !slices.Equal(got, want) {
				t.Errorf("%s: %v", when, got)
			}
		}
		expect("at first", "http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.9:80")
		s.b.failed(s.b.all[0], "a test")
		dns.set("files", "10.0.0.1", "10.0.0.3")
		time.Sleep(resolveEvery)
		synctest.Wait()
		expect("one was replaced", "http://10.0.0.1:80", "http://10.0.0.3:80", "http://10.0.0.9:80")
		if s.state(a) != "ejected" {
			t.Error("what was known of an address that stays is forgotten")
		}
		dns.set("files")
		time.Sleep(resolveEvery)
		synctest.Wait()
		expect("the name server is ill", "http://10.0.0.1:80", "http://10.0.0.3:80", "http://10.0.0.9:80")
		dns.set("files", "fd00::1")
		time.Sleep(resolveEvery)
		synctest.Wait()
		expect("only the newer kind", "http://[fd00::1]:80", "http://10.0.0.9:80")
		stop()
		running.Wait()
	})
}

// A service whose certificate only the pool's configuration knows is asked with that as well.
func TestCheck_AsksWithTheCertificatesOfThePool(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	defer srv.Close()
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	to, _ := url.Parse(srv.URL)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	at := &endpoint{base: to, host: to.Host}
	for want, known := range map[condition]*tls.Config{isUp: {RootCAs: roots, MinVersion: tls.VersionTLS12}, isDown: nil} {
		if said, why := check(t.Context(), newChecker(Health{Timeout: 10 * time.Second, TLS: known}, at, nil), at); said != want {
			t.Errorf("%v, want %v: %s", said, want, why)
		}
	}
}
