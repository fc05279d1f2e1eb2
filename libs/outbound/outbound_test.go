package outbound_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/outbound"
	"pgregory.net/rapid"
)

func TestPermits(t *testing.T) {
	type options = outbound.Options
	private := options{AllowPrivate: true}
	named := options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("169.254.1.0/24")}}
	for _, c := range []struct {
		addr string
		by   options
		want bool
	}{
		{"93.184.216.34", options{}, true}, {"2606:4700::1111", options{}, true},
		{"10.1.2.3", options{}, false}, {"172.31.0.1", options{}, false}, {"192.168.1.1", options{}, false},
		{"100.64.0.1", options{}, false}, {"127.0.0.1", options{}, false}, {"127.9.9.9", options{}, false}, {"::1", options{}, false},
		{"fd12::1", options{}, false}, {"::ffff:127.0.0.1", options{}, false}, {"::ffff:10.0.0.1", options{}, false},
		{"64:ff9b::7f00:1", options{}, false}, {"2002:7f00:1::", options{}, false}, {"::127.0.0.1", options{}, false},
		{"64:ff9b::a9fe:a9fe", private, false}, {"64:ff9b::5db8:d822", options{}, true},
		{"0.0.0.0", options{}, false}, {"::", options{}, false}, {"255.255.255.255", options{}, false}, {"224.0.0.1", options{}, false},
		{"169.254.169.254", options{}, false}, {"fe80::1%eth0", options{}, false}, {"fd00:ec2::254", private, false},
		{"168.63.129.16", private, false}, {"100.100.100.200", private, false}, {"192.0.0.192", private, false},
		{"10.1.2.3", private, true}, {"127.0.0.1", private, true}, {"::1", private, true}, {"fd12::1", private, true},
		{"169.254.169.254", private, false}, {"0.0.0.0", private, false}, {"fe80::1", private, false},
		{"169.254.1.9", named, true}, {"169.254.169.254", named, false}, {"::ffff:169.254.1.9", named, true},
	} {
		if got := c.by.Permits(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("Permits(%s) with %+v = %v, want %v", c.addr, c.by, got, c.want)
		}
	}
	if (options{}).Permits(netip.Addr{}) {
		t.Error("no address at all is permitted")
	}
}

// However an IPv4 address is dressed as IPv6, it is judged as itself.
func TestPermits_ADressedAddressIsJudgedAsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
		o := outbound.Options{AllowPrivate: rapid.Bool().Draw(t, "allow private")}
		four := plain.As4()
		nat64 := netip.MustParseAddr("64:ff9b::").As16()
		copy(nat64[12:], four[:])
		for _, dressed := range []netip.Addr{netip.AddrFrom16(plain.As16()), netip.AddrFrom16(nat64)} {
			if o.Permits(dressed) != o.Permits(plain) {
				t.Fatalf("%s and %s are judged differently", dressed, plain)
			}
		}
	})
}

func TestClient_RefusesPrivateAddressesWhenDialling(t *testing.T) {
	touched := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched = true }))
	defer srv.Close()
	byName := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1) // a name that leads inside: what rebinding ends in
	for _, url := range []string{srv.URL, byName, "http://169.254.169.254/latest/meta-data", "http://[::ffff:127.0.0.1]:1/"} {
		res, err := outbound.Client(outbound.Options{Timeout: 2 * time.Second}).Get(url)
		if err == nil {
			_ = res.Body.Close()
		}
		if !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("GET %s: %v, want ErrForbidden", url, err)
		}
	}
	if touched {
		t.Error("a request came through")
	}
}

func TestClient_Redirects(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}))
	defer srv.Close()
	inside := srv.URL + "/?to=http%3A%2F%2F169.254.169.254%2F"

	res, err := outbound.Client(outbound.Options{AllowPrivate: true}).Get(inside)
	if err != nil || res.StatusCode != http.StatusFound {
		t.Fatalf("without following: %v, %v; want the 302 itself", res, err)
	}
	_ = res.Body.Close()
	following := outbound.Options{AllowPrivate: true, MaxRedirects: 3, Timeout: 2 * time.Second}
	if _, err := outbound.Client(following).Get(inside); !errors.Is(err, outbound.ErrForbidden) {
		t.Errorf("following to the metadata address: %v, want ErrForbidden", err)
	}
	if _, err := outbound.Client(following).Get(srv.URL + "/?to=%2F%3Fto%3D%2F"); err == nil {
		t.Error("an endless chain of redirects ended well")
	}
}

func TestClient_RedirectNeverLeavesHTTPS(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the plain server was asked") }))
	defer plain.Close()
	srv := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	pool := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := outbound.Client(outbound.Options{AllowPrivate: true, MaxRedirects: 3, RootCAs: pool})
	if _, err := c.Post(srv.URL, "text/plain", strings.NewReader("secret")); !errors.Is(err, outbound.ErrForbidden) {
		t.Errorf("https to http: %v, want ErrForbidden", err)
	}
}

func TestClient_IgnoresTheProxyOfTheEnvironment(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	_, err := outbound.Client(outbound.Options{Timeout: time.Second}).Get("http://169.254.169.254/")
	if !errors.Is(err, outbound.ErrForbidden) {
		t.Errorf("with a proxy set: %v, want ErrForbidden", err)
	}
}

func TestClient_AnswersAreBounded(t *testing.T) {
	zipped := &bytes.Buffer{}
	z := gzip.NewWriter(zipped)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exact":
			_, _ = w.Write(make([]byte, 1000))
		case "/announced":
			_, _ = w.Write(make([]byte, 1001))
		case "/chunked":
			for range 3 {
				_, _ = w.Write(make([]byte, 500))
				w.(http.Flusher).Flush()
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		}
	}))
	defer srv.Close()
	c := outbound.Client(outbound.Options{AllowPrivate: true, MaxAnswerBytes: 1000})
	for path, want := range map[string]error{"/exact": nil, "/announced": outbound.ErrTooLarge, "/chunked": outbound.ErrTooLarge, "/bomb": outbound.ErrTooLarge} {
		res, err := c.Get(srv.URL + path)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestClient_HasADeadlineForTheBodyToo(t *testing.T) {
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-done
	}))
	defer srv.Close()
	defer close(done)
	res, err := outbound.Client(outbound.Options{AllowPrivate: true, Timeout: 100 * time.Millisecond}).Get(srv.URL)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("an answer without an end was waited for")
	}
}
