package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// framing of a request's body (RFC 9112 §6).
const chunked = -1 // instead of a length

// bodyLength is how long r's body is, or chunked. A body that is there without a length is sent in chunks.
func bodyLength(r *http.Request) int64 {
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		return 0
	case r.ContentLength > 0:
		return r.ContentLength
	default:
		return chunked
	}
}

// sendable refuses what could be read as something else once it is written: a request that carries another in a header.
func sendable(r *http.Request) error {
	switch {
	case r.URL == nil || r.Header == nil:
		return errors.New("a request without URL or header")
	case !isToken(r.Method) || r.Method == http.MethodConnect:
		return fmt.Errorf("method %q can't be sent", r.Method)
	case !isVisible(hostOf(r)):
		return fmt.Errorf("host %q can't be sent", hostOf(r))
	case !isVisible(r.URL.RequestURI()):
		return errors.New("the path can't be sent")
	}
	for name, values := range r.Header {
		if !isToken(name) {
			return fmt.Errorf("header %q can't be sent", name)
		}
		for _, value := range values {
			if !isFieldValue(value) {
				return fmt.Errorf("a value of header %s can't be sent", name)
			}
		}
	}
	return nil
}

func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// appendHead writes the request's head. What frames the body is told from the request, never from its headers.
func appendHead(b []byte, r *http.Request) []byte {
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, hostOf(r)...)
	b = append(b, "\r\n"...)
	for name, values := range r.Header {
		if framesMessage(name) {
			continue
		}
		for _, value := range values {
			if value == "" && name == "User-Agent" {
				continue // how net/http is told to send none
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	switch n := bodyLength(r); {
	case n == chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case n > 0, r.Method == http.MethodPost, r.Method == http.MethodPut, r.Method == http.MethodPatch:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, n, 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// framesMessage reports whether a header is written from the request's fields.
func framesMessage(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return false
}

// asksToContinue reports whether the body is to wait for the service's word (RFC 9110 §10.1.1).
func asksToContinue(r *http.Request) bool {
	expect := r.Header["Expect"]
	return len(expect) > 0 && foldedEqual(expect[0], "100-continue")
}

// repeatable reports whether executing a request twice means the same as once (RFC 9110 §9.2.2). That is not so for one that
// demands a state which the first may have changed.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	case http.MethodPut, http.MethodDelete:
		return r.Header["If-Match"] == nil && r.Header["If-None-Match"] == nil && r.Header["If-Unmodified-Since"] == nil
	default:
		return false
	}
}
