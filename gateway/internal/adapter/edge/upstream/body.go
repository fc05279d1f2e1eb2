package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
)

// reader reads an answer's body to its end, which it knows before it is there.
type reader struct {
	in      *bufio.Reader
	left    int64 // bytes of the body, or of the chunk
	chunks  bool
	begun   bool        // a chunk has been read
	trailer http.Header // nil when none is announced
}

// Read returns what has come. With the last bytes of a body it returns io.EOF, if the end has come with them; an end
// anywhere else is io.ErrUnexpectedEOF.
func (r *reader) Read(p []byte) (n int, err error) {
	if !r.chunks {
		n, err = r.piece(p)
		if r.left == 0 && err == nil {
			err = io.EOF
		}
		return n, err
	}
	for n < len(p) {
		if r.left == 0 {
			if n > 0 && !r.lineHasCome() {
				return n, nil
			}
			if err := r.nextChunk(); err != nil {
				return n, err
			}
		}
		if n > 0 && r.in.Buffered() == 0 {
			return n, nil
		}
		m, err := r.piece(p[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// piece reads some of what is left.
func (r *reader) piece(p []byte) (int, error) {
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.in.Read(p)
	r.left -= int64(n)
	if n > 0 {
		return n, nil // an error comes again
	}
	return 0, whole(err)
}

// lineHasCome reports whether the line in front of the next chunk can be read without waiting. A trailer is left for the
// next call.
func (r *reader) lineHasCome() bool {
	b, _ := r.in.Peek(r.in.Buffered())
	if len(b) < 3 {
		return false
	}
	if b[2] == '0' {
		return bytes.HasPrefix(b, []byte("\r\n0\r\n\r\n"))
	}
	return bytes.IndexByte(b[2:], '\n') >= 0
}

// nextChunk reads up to the next chunk's first byte. It returns io.EOF when there is none and the trailer has been read.
func (r *reader) nextChunk() error {
	if r.begun {
		if err := r.crlf(); err != nil {
			return err
		}
	}
	r.begun = true
	line, err := r.in.ReadSlice('\n')
	if err != nil {
		return whole(err)
	}
	if r.left, err = chunkSize(line); err != nil || r.left > 0 {
		return err
	}
	return r.readTrailer()
}

// crlf is behind each chunk.
func (r *reader) crlf() error {
	for _, want := range [...]byte{'\r', '\n'} {
		switch b, err := r.in.ReadByte(); {
		case err != nil:
			return whole(err)
		case b != want:
			return malformed("a chunk is longer than it says")
		}
	}
	return nil
}

// chunkSize reads "1a2b" or "1a2b;extension" with its CRLF (RFC 9112 §7.1). Extensions mean nothing to us.
func chunkSize(line []byte) (int64, error) {
	line, ended := bytes.CutSuffix(line, []byte("\r\n"))
	size, extension, _ := bytes.Cut(line, []byte(";"))
	if !ended || len(size) == 0 || len(size) > 15 || !isFieldValue(string(extension)) {
		return 0, malformed("the line of a chunk")
	}
	var n int64
	for _, c := range size {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, malformed("the size of a chunk")
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

// readTrailer reads what stands behind the last chunk, keeps what was announced, and returns io.EOF.
func (r *reader) readTrailer() error {
	var room [256]byte
	text := room[:0]
	for line := 0; ; line = len(text) {
		part, err := r.in.ReadSlice('\n')
		if err != nil {
			return whole(err) // also a line longer than the buffer
		}
		text = append(text, part...)
		switch {
		case len(text) > maxTrailerBytes, len(part) < 2 || part[len(part)-2] != '\r':
			return malformed("its trailer")
		case len(text)-line == 2 && line == 0:
			return io.EOF
		}
		if len(part) > 2 {
			continue
		}
		fields, err := parseFields(string(text))
		if err != nil {
			return err
		}
		for name := range r.trailer {
			r.trailer[name] = fields[name]
		}
		return io.EOF
	}
}

const maxTrailerBytes = 16 << 10

// announced makes room for the trailer that a chunked answer announces, and takes the announcement out of the header, as
// net/http does. What frames a message, or is the gateway's to say, can't come behind it (RFC 9110 §6.5.1).
func announced(h http.Header) (http.Header, error) {
	values := h["Trailer"]
	if values == nil {
		return nil, nil
	}
	delete(h, "Trailer")
	trailer := http.Header{}
	for _, value := range values {
		for _, name := range bytes.Split([]byte(value), []byte(",")) {
			name := http.CanonicalHeaderKey(trimSpace(string(name)))
			switch name {
			case "":
				continue
			case "Transfer-Encoding", "Content-Length", "Trailer":
				return nil, malformed("a trailer that would frame the message")
			}
			trailer[name] = nil
		}
	}
	return trailer, nil
}
