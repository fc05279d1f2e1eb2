package edge

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
)

// relay passes a request and its answer. It is what httputil.ReverseProxy does for a request that asks for no upgrade, without
// the copies that one makes: the client's header becomes the service's in place, since nobody may use the old one any more.
func (x *exchange) relay() {
	res, err := x.upstream.send(x, x.outgoing())
	if err != nil {
		x.fail(err)
		return
	}
	removeHopByHop(res.Header)
	if err := x.modify(res); err != nil {
		_ = res.Body.Close()
		x.fail(err)
		return
	}
	defer res.Body.Close()
	h := x.out.Header()
	add(h, res.Header)
	trailers := names(res.Trailer)
	if trailers != "" {
		h["Trailer"] = append(h["Trailer"], trailers)
	}
	x.out.WriteHeader(res.StatusCode)
	x.answer.flush = streams(res)
	if x.copyAnswer(res.Body) != nil {
		panic(http.ErrAbortHandler) // the client must see that the answer is not whole
	}
	if trailers != "" {
		_ = http.NewResponseController(&x.out).Flush() // in chunks, however short it is: there is no trailer behind a length
		add(h, res.Trailer)
	}
}

// outgoing is the request that the service gets.
func (x *exchange) outgoing() *http.Request {
	out := x.r.WithContext(&x.ctx)
	x.target = *x.r.URL
	out.URL, out.Close = &x.target, false
	if x.r.ContentLength == 0 {
		out.Body = nil
	}
	prepare(out.Header)
	x.rewrite(out)
	return out
}

// prepare takes out of a request's header what is not for the next hop, and what a client says of where it comes from. Whether
// trailers may come back is the one thing that the next hop is told of this one.
func prepare(h http.Header) {
	trailers := lists(h["Te"], "trailers")
	removeHopByHop(h)
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	for _, name := range forwarding {
		delete(h, name)
	}
}

var forwarding = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// hopByHop are headers about one connection (RFC 9110 §7.6.1), and some that were so once.
var hopByHop = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding",
	"Upgrade",
}

// removeHopByHop takes out what is about the connection that a message came by, and what it lists there.
func removeHopByHop(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// lists reports whether a header that is a list has an item, in any case.
func lists(values []string, item string) bool {
	for _, value := range values {
		for one := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(textproto.TrimString(one), item) {
				return true
			}
		}
	}
	return false
}

// add adds the values of one header to another's, which may share them from then on.
func add(to, from http.Header) {
	for name, values := range from {
		if have := to[name]; have != nil {
			values = append(have[:len(have):len(have)], values...)
		}
		to[name] = values
	}
}

// names is a list of the names of a trailer.
func names(trailer http.Header) string {
	if len(trailer) == 0 {
		return ""
	}
	list := make([]string, 0, len(trailer))
	for name := range trailer {
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}

// streams reports whether the client is to see the head of an answer at once, since its body may come much later.
func streams(res *http.Response) bool {
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return res.ContentLength < 0 || strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// copyAnswer copies the body as it comes; answer sees to it that what has come is passed before more is waited for.
func (x *exchange) copyAnswer(body io.Reader) error {
	buf := x.lender.Get()
	defer x.lender.Put(buf)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := x.out.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
	}
}
