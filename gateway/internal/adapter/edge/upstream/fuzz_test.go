package upstream

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// FuzzAnswer holds our reading of an answer against net/http's: we may refuse more, but what we take must mean the same,
// from the status to the last byte of the body, and to the first byte behind it.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nokmore",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n2;x=y\r\nok\r\n0A\r\n0123456789\r\n0\r\nX-A: b\r\n\r\nmore",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nx: \t y \r\nX: z\r\n\r\n",
		"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		ours, err := readAnswer(text, method)
		if err != nil {
			return
		}
		theirs, err := theirAnswer(text, method)
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		if ours.closes { // we may close more
			theirs.closes = true
		}
		if head { // what is announced of a body that does not come means nothing
			delete(ours.header, "Trailer")
			delete(theirs.header, "Trailer")
			theirs.trailer = nil
		}
		for _, r := range []*reading{ours, theirs} {
			if len(r.trailer) == 0 {
				r.trailer = nil
			}
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("we read\n%+v\nnet/http reads\n%+v", ours, theirs)
		}
	})
}

// reading is what an answer says.
type reading struct {
	status          int
	text            string
	length          int64
	header, trailer http.Header
	body, behind    string
	closes          bool
}

// readAnswer reads text as an exchange does.
func readAnswer(text, method string) (*reading, error) {
	in := bufio.NewReaderSize(strings.NewReader(text), readBytes)
	raw, err := readHead(in, nil)
	if err != nil {
		return nil, err
	}
	h, err := parseHead(string(raw))
	if err != nil {
		return nil, err
	}
	length, err := h.frame(method)
	if err != nil {
		return nil, err
	}
	if h.status < 200 {
		return nil, errors.New("informational")
	}
	r := &reading{status: h.status, text: h.text, length: length, header: h.header, closes: !h.persists()}
	if length == 0 && method == http.MethodHead {
		r.length = declared(h.header)
	}
	if length != 0 {
		b := reader{in: in, left: length}
		if length == chunked {
			if b.trailer, err = announced(h.header); err != nil {
				return nil, err
			}
			b.left, b.chunks = 0, true
		}
		body, err := io.ReadAll(&b)
		if err != nil {
			return nil, err
		}
		r.body, r.trailer = string(body), b.trailer
	}
	rest, _ := io.ReadAll(in)
	r.behind = string(rest)
	return r, nil
}

// theirAnswer reads text as net/http's client does.
func theirAnswer(text, method string) (*reading, error) {
	in := bufio.NewReaderSize(strings.NewReader(text), readBytes)
	res, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	trailer := res.Trailer
	for name := range trailer { // we keep those that were announced; net/http all
		if announcedIn(text, name) {
			continue
		}
		delete(trailer, name)
	}
	rest, _ := io.ReadAll(in)
	return &reading{res.StatusCode, res.Status, res.ContentLength, res.Header, trailer, string(body), string(rest), res.Close}, nil
}

// announcedIn reports whether a Trailer header names it.
func announcedIn(text, name string) bool {
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n") {
		field, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(field, "Trailer") && lists([]string{value}, name) {
			return true
		}
	}
	return false
}
