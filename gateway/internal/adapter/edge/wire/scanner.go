package wire

import (
	"bytes"
	"math"
)

// scanner follows the requests on one connection: request line, header lines, body, and again. It keeps no bytes.
type scanner struct {
	state     state
	most      int // bytes of a head, its request line included
	head      head
	first     byte   // of the request line, once it has gone on without the rest; else 0
	line      int    // offset in the caller's buffer of the first header line not yet judged, while a head is arriving
	remaining uint64 // bytes left of a body or a chunk
	digits    int    // of a chunk's size seen so far
	last      byte   // the byte before, where an end of line may be split between two reads
	lineBytes int    // of the head's request line, or of the current chunk line or trailer line
	instead   string // with verdictRefuse: what takes the place of the rest of the request line
	reason    Reason
}

type state uint8

const (
	inRequestLine state = iota
	inHeaders
	inBody
	inChunkSize
	inChunkExtension
	inChunkData
	inChunkEnd
	inTrailers
)

type verdict uint8

const (
	verdictMore   verdict = iota // all is well so far
	verdictRefuse                // the head may not pass; reason says why
	verdictBroken                // the chunked body is malformed
	verdictRaw                   // what follows is no HTTP/1 request
)

// run scans b and returns how much of it may pass. With verdictMore, bytes behind that belong to a head that is still
// arriving; the caller hands them in again, first, together with what follows them.
func (s *scanner) run(b []byte) (pass int, v verdict) {
	at := 0
	for at < len(b) && v == verdictMore {
		switch s.state {
		case inRequestLine:
			var done bool
			if at, done, v = s.requestLine(b, at); !done {
				return at, v
			}
			s.line = at
		case inHeaders:
			var done bool
			if at, done, v = s.headers(b, at); !done {
				s.line -= at // the caller comes back with b[at:] in front
				return at, v
			}
		case inBody, inChunkData:
			at = s.skip(b, at)
		case inTrailers:
			at, v = s.trailers(b, at)
		default:
			at, v = s.chunkLine(b, at)
		}
	}
	if s.state == inHeaders {
		s.line = 0 // the request line ended with b
	}
	return at, v
}

// headers judges the lines that have arrived whole. It returns the end of the head once the head is done, else its start.
func (s *scanner) headers(b []byte, start int) (at int, done bool, v verdict) {
	for {
		n := bytes.IndexByte(b[s.line:], '\n')
		size := len(b) - start // of all header lines so far
		if n >= 0 {
			size = s.line + n + 1 - start
		}
		if s.lineBytes+size > s.most {
			return start, false, s.refuse(HeadTooLarge)
		}
		if n < 0 {
			return start, false, verdictMore
		}
		line := b[s.line : s.line+n]
		s.line += n + 1
		if n == 0 || line[n-1] != '\r' {
			return start, false, s.refuse(BareLineFeed)
		}
		if n == 1 {
			break
		}
		if why, ok := s.head.add(line[:n-1]); !ok {
			return start, false, s.refuse(why)
		}
	}
	if why, ok := s.head.judge(); !ok {
		return start, false, s.refuse(why)
	}
	return s.line, true, s.begin()
}

// begin sets the state for what follows a good head.
func (s *scanner) begin() verdict {
	h := &s.head
	s.lineBytes = 0
	switch {
	case h.upgrade:
		return verdictRaw // taken over or closed by the handler
	case h.chunked:
		s.state, s.remaining, s.digits, s.last = inChunkSize, 0, 0, 0
	case h.length > 0:
		s.state, s.remaining = inBody, h.length
	default:
		s.state = inRequestLine
	}
	return verdictMore
}

func (s *scanner) refuse(why Reason) verdict {
	s.reason = why
	return verdictRefuse
}

// skip steps over bytes of a body or a chunk.
func (s *scanner) skip(b []byte, at int) int {
	n := uint64(len(b) - at)
	if n < s.remaining {
		s.remaining -= n
		return len(b)
	}
	at += int(s.remaining)
	s.remaining = 0
	if s.state == inChunkData {
		s.state, s.last = inChunkEnd, 0
	} else {
		s.state, s.lineBytes = inRequestLine, 0
	}
	return at
}

// chunkLine takes one byte of a chunk's size line, or of the CR LF behind its data.
func (s *scanner) chunkLine(b []byte, at int) (int, verdict) {
	c := b[at]
	at++
	switch {
	case c == '\n':
		if s.last != '\r' || (s.state != inChunkEnd && s.digits == 0) {
			return at, verdictBroken
		}
		s.nextChunkState()
		return at, verdictMore
	case s.last == '\r':
		return at, verdictBroken // a CR that no LF follows
	case c == '\r':
	case s.state == inChunkEnd:
		return at, verdictBroken
	case s.state == inChunkSize:
		if !s.sizeByte(c) {
			return at, verdictBroken
		}
	case s.lineBytes > 4096: // net/http's own limit
		return at, verdictBroken
	}
	s.last = c
	s.lineBytes++
	return at, verdictMore
}

func (s *scanner) nextChunkState() {
	switch {
	case s.state == inChunkEnd:
		s.state, s.digits = inChunkSize, 0
	case s.remaining == 0:
		s.state = inTrailers
	default:
		s.state = inChunkData
	}
	s.last, s.lineBytes = 0, 0
}

// sizeByte takes a digit, or what ends the digits.
func (s *scanner) sizeByte(c byte) bool {
	d, ok := hexDigit(c)
	switch {
	case ok && s.remaining <= math.MaxUint64>>8 && s.digits < 16:
		s.remaining, s.digits = s.remaining<<4|uint64(d), s.digits+1
		return true
	case ok || s.digits == 0:
		return false
	case c == ';' || c == ' ' || c == '\t':
		s.state = inChunkExtension
		return true
	}
	return false
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// trailers steps over the lines behind the last chunk. net/http bounds their length.
func (s *scanner) trailers(b []byte, at int) (int, verdict) {
	end := bytes.IndexByte(b[at:], '\n')
	if end < 0 {
		if rest := b[at:]; len(rest) > 0 {
			s.lineBytes += len(rest)
			s.last = rest[len(rest)-1]
		}
		return len(b), verdictMore
	}
	if end > 0 {
		s.lineBytes += end
		s.last = b[at+end-1]
	}
	if s.last != '\r' || s.lineBytes == 0 {
		return at + end, verdictBroken
	}
	if s.lineBytes == 1 {
		s.state = inRequestLine
	}
	s.last, s.lineBytes = 0, 0
	return at + end + 1, verdictMore
}
