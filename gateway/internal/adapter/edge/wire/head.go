package wire

import (
	"bytes"

	"golang.org/x/net/http/httpguts"
)

// head is what the header lines of one request say about its framing.
type head struct {
	http10    bool
	upgrade   bool
	chunked   bool
	encodings int
	lengths   int
	hosts     int
	length    uint64
}

// add takes one header line without its end.
func (h *head) add(line []byte) (Reason, bool) {
	if line[0] == ' ' || line[0] == '\t' {
		return FoldedHeader, false
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return BadHeaderName, false
	}
	name, value := line[:colon], line[colon+1:]
	if !isToken(name) {
		return BadHeaderName, false
	}
	for _, c := range value {
		if (c < ' ' && c != '\t') || c == 0x7f {
			return BadHeaderValue, false
		}
	}
	return h.framing(name, value)
}

// framing notes the headers that decide where the request ends. Lengths are compared first: most lines are neither.
func (h *head) framing(name, value []byte) (Reason, bool) {
	switch {
	case len(name) == 4 && equalFold(name, "host"):
		if h.hosts++; !httpguts.ValidHostHeader(string(bytes.Trim(value, " \t"))) {
			return BadHost, false
		}
	case len(name) == 6 && equalFold(name, "expect"):
		if !equalFold(bytes.Trim(value, " \t"), "100-continue") {
			return ForeignExpectation, false
		}
	case len(name) == 7 && equalFold(name, "upgrade"):
		h.upgrade = true
	case len(name) == 14 && equalFold(name, "content-length"):
		h.lengths++
		n, ok := parseLength(bytes.Trim(value, " \t"))
		if !ok {
			return BadLength, false
		}
		h.length = n
	case len(name) == 17 && equalFold(name, "transfer-encoding"):
		h.encodings++
		h.chunked = equalFold(bytes.Trim(value, " \t"), "chunked") && h.encodings == 1
	}
	return 0, true
}

// judge looks at the head as a whole.
func (h *head) judge() (Reason, bool) {
	switch {
	case h.encodings > 0 && h.lengths > 0:
		return LengthAndEncoding, false
	case h.lengths > 1:
		return RepeatedLength, false
	case h.encodings > 0 && h.http10:
		return EncodingBeforeHTTP11, false
	case h.encodings > 0 && !h.chunked:
		return ForeignEncoding, false
	case h.hosts > 1 || (h.hosts == 0 && !h.http10):
		return HostCount, false
	}
	return 0, true
}

// parseLength reads digits and nothing else, up to what an int64 holds.
func parseLength(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// equalFold compares with a lower-case ASCII word.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// tokenByte are the bytes a header name may have (RFC 9110, 5.6.2).
var tokenByte = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()
