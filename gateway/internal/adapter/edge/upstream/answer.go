package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strings"
)

const (
	maxHeadBytes = 256 << 10 // of an answer
	maxFields    = 1000
)

// malformed is what is wrong with an answer. Nothing behind it on the connection is believed.
type malformed string

func (m malformed) Error() string { return "the answer is malformed: " + string(m) }

// readHead appends a head to b, up to and with the empty line. It returns what it has got with an error.
func readHead(in *bufio.Reader, b []byte) ([]byte, error) {
	for line := 0; ; {
		part, err := in.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case len(b) > maxHeadBytes:
			return b, malformed("its head is too long")
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return b, err
		case len(b)-line < 2 || b[len(b)-2] != '\r':
			return b, malformed("a line that does not end in CRLF")
		case len(b)-line == 2:
			return b, nil
		}
		line = len(b)
	}
}

// head is an answer up to its body. Its strings are parts of one.
type head struct {
	status int
	text   string // "200 OK"
	minor  int    // of HTTP/1.x
	header http.Header
}

// parseHead reads what readHead has brought.
func parseHead(text string) (head, error) {
	line, rest, _ := strings.Cut(text, "\r\n")
	h, err := parseStatusLine(line)
	if err != nil {
		return h, err
	}
	h.header, err = parseFields(rest)
	return h, err
}

// parseStatusLine reads "HTTP/1.1 200 OK" (RFC 9112 §4). The space in front of an empty reason may be missing.
func parseStatusLine(line string) (head, error) {
	const version = "HTTP/1."
	if len(line) < len("HTTP/1.1 200") || !strings.HasPrefix(line, version) || line[8] != ' ' ||
		(line[7] != '0' && line[7] != '1') || !isDigits(line[9:12]) || line[9] == '0' ||
		(len(line) > 12 && line[12] != ' ') || !isFieldValue(line) {
		return head{}, malformed(fmt.Sprintf("status line %.40q", line))
	}
	status := int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	return head{status: status, text: line[9:], minor: int(line[7] - '0')}, nil
}

// parseFields reads header lines up to the empty one, which ends text.
func parseFields(text string) (http.Header, error) {
	n := strings.Count(text, "\n") - 1
	if n > maxFields {
		return nil, malformed("too many headers")
	}
	header := make(http.Header, n)
	values := make([]string, 0, n)
	for {
		line, rest, _ := strings.Cut(text, "\r\n")
		if line == "" {
			return header, nil
		}
		name, value, found := strings.Cut(line, ":")
		switch {
		case !found, !isToken(name): // a folded line begins with a space, and that is in no token
			return nil, malformed(fmt.Sprintf("header %.40q", line))
		case !isFieldValue(value):
			return nil, malformed(fmt.Sprintf("a control character in header %.40q", name))
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if have := header[name]; have != nil {
			header[name] = append(have, trimSpace(value))
		} else {
			values = append(values, trimSpace(value))
			header[name] = values[len(values)-1 : len(values) : len(values)]
		}
		text = rest
	}
}

// unframed is a length nobody knows.
const unframed = -2

// frame tells how long the body is: bytes, or chunked (RFC 9112 §6.3). It takes Transfer-Encoding out of the header,
// as net/http does.
func (h *head) frame(method string) (int64, error) {
	lengths, encodings := h.header["Content-Length"], h.header["Transfer-Encoding"]
	length := int64(unframed)
	switch {
	case len(lengths) > 1:
		return 0, malformed("two lengths")
	case len(lengths) == 1 && !isDigits(lengths[0]):
		return 0, malformed(fmt.Sprintf("length %.40q", lengths[0]))
	case len(lengths) == 1:
		length = decimal(lengths[0])
	}
	if len(encodings) > 0 {
		bodiless := h.status < 200 || h.status == http.StatusNoContent
		if length != unframed || h.minor == 0 || bodiless || len(encodings) > 1 || !foldedEqual(encodings[0], "chunked") {
			return 0, malformed("an encoding that is not chunked, or not alone")
		}
		delete(h.header, "Transfer-Encoding")
		length = chunked
	}
	switch {
	case h.status < 200, h.status == http.StatusNoContent:
		if length > 0 {
			return 0, malformed("a length where no body may be")
		}
		return 0, nil
	case h.status == http.StatusNotModified, method == http.MethodHead:
		return 0, nil
	case length == unframed:
		return 0, malformed("neither a length nor chunks")
	}
	return length, nil
}

// decimal is the value of at most 18 digits.
func decimal(digits string) (n int64) {
	for i := range len(digits) {
		n = n*10 + int64(digits[i]-'0')
	}
	return n
}

// persists reports whether the service keeps the connection for another request (RFC 9112 §9.3).
func (h *head) persists() bool { return h.minor == 1 && !lists(h.header["Connection"], "close") }

// switches reports whether a 101 is the upgrade that r asked for (RFC 9110 §7.8).
func (h *head) switches(r *http.Request) bool {
	asked, given := r.Header["Upgrade"], h.header["Upgrade"]
	return len(asked) == 1 && len(given) == 1 && foldedEqual(asked[0], given[0]) && lists(h.header["Connection"], "upgrade")
}

// whole turns an end in the middle of something into what it is.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
