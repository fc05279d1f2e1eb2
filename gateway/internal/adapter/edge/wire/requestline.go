package wire

import (
	"bytes"
	"net/url"
)

// requestLine lets a good line go on as soon as it is whole. Of one that arrives in pieces the first byte goes on at once, since
// net/http starts its header timeout with it, and the rest is held: a bad line can still be mended then, so that its
// refusal takes the ordinary path.
func (s *scanner) requestLine(b []byte, at int) (next int, done bool, v verdict) {
	end := bytes.IndexByte(b[at:], '\n')
	line := b[at:]
	if end >= 0 {
		line = line[:end]
	}
	s.lineBytes = len(line) + 1 // its end, or what has gone on before
	switch {
	case s.lineBytes > s.most:
		return at, false, s.refuseLine(TargetTooLong, line)
	case end >= 0:
		return s.wholeLine(line, at, at+end+1)
	case string(line) == "\r":
		return at, false, verdictMore // the end of an empty line or the beginning of nothing: held until that is known
	case s.first == 0 && !tokenByte[b[at]]:
		return at, false, s.refuseLine(Malformed, nil)
	case s.first == 0:
		s.first = b[at]
		at++
	}
	return at, false, verdictMore
}

// wholeLine judges a line without its line feed. It stands at b[at:] but for the byte that has gone on before.
func (s *scanner) wholeLine(line []byte, at, next int) (int, bool, verdict) {
	if empty := len(line) == 0 || string(line) == "\r"; empty && s.first == 0 {
		s.lineBytes = 0 // a line before the request, which net/http skips or refuses
		return next, true, verdictMore
	}
	if !bytes.HasSuffix(line, []byte("\r")) {
		return at, false, s.refuseLine(BareLineFeed, line)
	}
	method, rest, _ := bytes.Cut(line[:len(line)-1], []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case !isToken(method) && (s.first == 0 || len(method) > 0), !isTarget(target, s.isConnect(method)), !bytes.HasPrefix(version, []byte("HTTP/")):
		return at, false, s.refuseLine(Malformed, line)
	case string(version) != "HTTP/1.1" && string(version) != "HTTP/1.0":
		return at, false, s.refuseLine(BadVersion, line)
	}
	s.head = head{http10: string(version) == "HTTP/1.0"}
	s.state, s.first = inHeaders, 0
	return next, true, verdictMore
}

// refuseLine keeps of a bad line what can be told of it, its method.
func (s *scanner) refuseLine(why Reason, line []byte) verdict {
	method, _, _ := bytes.Cut(line, []byte(" "))
	if !isToken(method) || len(method) > len("UNSUBSCRIBE") { // no registered one is longer, but for one of WebDAV's
		method = nil
	}
	if s.first == 0 && method == nil {
		method = []byte("GET")
	}
	s.instead = string(method) + " / HTTP/1.1\r\n"
	return s.refuse(why)
}

// isConnect reports whether b, with the byte that has gone on before, is the method whose target is an authority.
func (s *scanner) isConnect(b []byte) bool {
	return string(b) == "CONNECT" || (s.first == 'C' && string(b) == "ONNECT")
}

// isTarget reports whether net/http can read b as what a request is for.
func isTarget(b []byte, connect bool) bool {
	if len(b) == 0 {
		return false
	}
	odd := b[0] != '/'
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
		odd = odd || c == '%'
	}
	if !odd {
		return true
	}
	target := string(b)
	if connect && b[0] != '/' {
		target = "http://" + target
	}
	_, err := url.ParseRequestURI(target)
	return err == nil
}

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenByte[c] {
			return false
		}
	}
	return len(b) > 0
}
