package edge

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// roundTrip answers for a service.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// headers are those that matter to a proxy, and some that do not.
func headers(rt *rapid.T, name string) http.Header {
	names := rapid.SampledFrom([]string{
		"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-One", "X-Two", "Content-Type", "Accept", "Vary",
	})
	items := rapid.SampledFrom([]string{"x-one", "X-Two", "close", "keep-alive", "", "accept", "trailers", "TRAILERS;q=1", "gzip", "forwarded", "te"})
	h := http.Header{"User-Agent": {"test"}}
	for range rapid.IntRange(0, 8).Draw(rt, name) {
		list := rapid.SliceOfN(items, 1, 3).Draw(rt, "list")
		key := names.Draw(rt, "header")
		h[key] = append(h[key], strings.Join(list, rapid.SampledFrom([]string{",", ", ", " ,\t"}).Draw(rt, "comma")))
	}
	return h
}

// TestRelay_PassesTheHeadersThatHTTPUtilPasses holds both directions to httputil.ReverseProxy.
func TestRelay_PassesTheHeadersThatHTTPUtilPasses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		asked, given := headers(rt, "asked"), headers(rt, "given")
		own := http.Header{"X-One": {"own"}, "Vary": {"Origin"}}
		var sent http.Header
		proxy := httputil.ReverseProxy{
			Rewrite: func(*httputil.ProxyRequest) {},
			Transport: roundTrip(func(r *http.Request) *http.Response {
				sent = r.Header.Clone()
				return &http.Response{StatusCode: http.StatusOK, Header: given.Clone(), Body: http.NoBody, Request: r}
			}),
		}
		r := httptest.NewRequest(http.MethodGet, "http://a.example/x", nil)
		r.Header = asked.Clone()
		w := httptest.NewRecorder()
		maps.Copy(w.Header(), own.Clone())
		proxy.ServeHTTP(w, r)

		prepare(asked)
		if !reflect.DeepEqual(asked, sent) {
			rt.Fatalf("to the service: %v, by httputil: %v", asked, sent)
		}
		removeHopByHop(given)
		add(own, given)
		if !reflect.DeepEqual(own, w.Header()) {
			rt.Fatalf("to the client: %v, by httputil: %v", own, w.Header())
		}
	})
}

// TestRelay_NothingOfABodyIsReadOnceTheExchangeIsOver: its connection may be another request's by then.
func TestRelay_NothingOfABodyIsReadOnceTheExchangeIsOver(t *testing.T) {
	body := io.NopCloser(strings.NewReader("late"))
	u := &upload{x: &exchange{ended: true}, ReadCloser: body}
	_ = u.Close()
	if n, err := u.Read(make([]byte, 4)); n != 0 || err == nil {
		t.Errorf("read %d, %v", n, err)
	}
	if rest, _ := io.ReadAll(body); string(rest) != "late" {
		t.Errorf("%q is left", rest)
	}
}

// TestRelay_StreamsAreShownAtOnce: a client sees the head of a stream before there is anything in it.
func TestRelay_StreamsAreShownAtOnce(t *testing.T) {
	var got []bool
	for _, res := range []*http.Response{
		{ContentLength: -1},
		{ContentLength: 5, Header: http.Header{"Content-Type": {"Text/Event-Stream ;charset=utf-8"}}},
		{ContentLength: 5, Header: http.Header{"Content-Type": {"text/plain"}}},
		{ContentLength: 0},
	} {
		got = append(got, streams(res))
	}
	if want := []bool{true, true, false, false}; !slices.Equal(got, want) {
		t.Error(got)
	}
}
