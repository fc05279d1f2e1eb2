package s3test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Fault is what happens to one request. The zero value is that it is passed on and answered.
type Fault struct {
	Status  int           // answer with this status and Code, and pass nothing on
	Code    string        // of the answer
	Flip    bool          // change a byte of the request's body on its way
	Forget  []string      // headers of the request that are lost on their way
	Lost    bool          // pass it on, and reset the connection instead of answering
	Delay   time.Duration // before anything else
	Passing func()        // called behind Delay, before the request is passed on
	Cut     int64         // reset the connection after this many bytes of the answer's body; 0: none
	Short   int64         // leave out this many bytes at the end of the answer's body, and say so in its length
	Answer  []byte        // in place of the answer's body
	Headers http.Header   // set on the answer
}

// Liar is a store as judge would have it. Change judge while requests run with Judge.
type Liar struct {
	Bucket
	behind string

	mu    sync.Mutex
	judge func(r *http.Request) Fault
	asked map[string]int
}

// Lie puts a proxy in front of a bucket. The store behind must not mind changed requests when they are to be changed: the
// one in process does not look at signatures.
func Lie(t testing.TB, b Bucket) *Liar {
	t.Helper()
	l := &Liar{Bucket: b, behind: b.Endpoint, asked: map[string]int{}}
	server := httptest.NewServer(l)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	l.Endpoint = server.URL
	return l
}

// Judge sets what decides about requests; nil is honest.
func (l *Liar) Judge(judge func(r *http.Request) Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judge, l.asked = judge, map[string]int{}
}

// Asked is how many requests of a method came since Judge.
func (l *Liar) Asked(method string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[method]
}

func (l *Liar) faultOf(r *http.Request) Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[r.Method]++
	if l.judge == nil {
		return Fault{}
	}
	return l.judge(r)
}

// ServeHTTP implements http.Handler.
func (l *Liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := l.faultOf(r)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	select {
	case <-time.After(f.Delay):
	case <-r.Context().Done():
		return
	}
	if f.Passing != nil {
		f.Passing()
	}
	if f.Status != 0 {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(f.Status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>made up</Message></Error>", f.Code)
		return
	}
	resp, err := l.pass(r, body, f)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	if f.Lost {
		_, _ = io.Copy(io.Discard, resp.Body) // the store has done all of it
		panic(http.ErrAbortHandler)
	}
	answer(w, resp, f)
}

// pass gives the request to the store behind. Its Host stays: it is signed.
func (l *Liar) pass(r *http.Request, body []byte, f Fault) (*http.Response, error) {
	if f.Flip && len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, l.behind+r.URL.RequestURI(), bytes.NewReader(body)) //nolint:gosec // a proxy of the tests: where to is its own
	if err != nil {
		return nil, err
	}
	out.Header, out.Host, out.ContentLength = r.Header.Clone(), r.Host, r.ContentLength
	for _, name := range f.Forget {
		out.Header.Del(name)
	}
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return http.DefaultTransport.RoundTrip(out)
}

func answer(w http.ResponseWriter, resp *http.Response, f Fault) {
	body, length := io.Reader(resp.Body), resp.ContentLength
	if f.Answer != nil {
		body, length = bytes.NewReader(f.Answer), int64(len(f.Answer))
	}
	length -= f.Short
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	for name, values := range f.Headers {
		w.Header()[name] = values
	}
	if length >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
		body = io.LimitReader(body, length)
	}
	w.WriteHeader(resp.StatusCode)
	if f.Cut == 0 {
		_, _ = io.Copy(w, body) // who has gone has gone
		return
	}
	_, _ = io.CopyN(w, body, f.Cut)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
