package beside

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// request is an upload as one server wants it: what stands before and behind the bytes of the file.
type request struct {
	head, tail string
	want       int // the status of success
}

// request makes a POST. Lines are headers; before and behind are parts of the body.
func newRequest(base, path string, size int64, before, behind string, want int, lines ...string) request {
	host := strings.TrimPrefix(base, "http://")
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n", path, host)
	for _, line := range lines {
		head += line + "\r\n"
	}
	head += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", int64(len(before)+len(behind))+size, before)
	return request{head: head, tail: behind, want: want}
}

// line is a connection that costs the measuring side as little as can be: it shares two cores with what it measures.
type line struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, base string) *line {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return &line{conn: conn, in: bufio.NewReader(conn)}
}

// large sends a file of the block, over and over until size, and waits for the answer.
func (l *line) large(r request, block []byte, size int64) error {
	if _, err := io.WriteString(l.conn, r.head); err != nil {
		return fmt.Errorf("send the head: %w", err)
	}
	for left := size; left > 0; {
		n, err := l.conn.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return fmt.Errorf("send the body: %w", err)
		}
		left -= int64(n)
	}
	if _, err := io.WriteString(l.conn, r.tail); err != nil {
		return fmt.Errorf("send the end: %w", err)
	}
	return l.answer(r.want)
}

// small sends a whole request that was made before.
func (l *line) small(raw []byte, want int) error {
	if _, err := l.conn.Write(raw); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return l.answer(want)
}

func (l *line) answer(want int) error {
	res, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != want {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		return fmt.Errorf("answered %s, want %d: %s", res.Status, want, text)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return fmt.Errorf("read the answer's body: %w", err)
	}
	return nil
}
