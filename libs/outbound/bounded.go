package outbound

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ErrTooLarge is what reading an answer ends with when it is longer than allowed. Nothing past the bound was kept.
var ErrTooLarge = errors.New("the answer is too large")

// bounded puts the limit on every answer of a client, so that a library which reads "all of it" is bounded as well.
type bounded struct {
	next *http.Transport
	max  int64
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.ContentLength > b.max {
		_ = res.Body.Close() // the transport drops the connection: what is left isn't worth reading
		return nil, fmt.Errorf("%w: %d bytes announced", ErrTooLarge, res.ContentLength)
	}
	body := res.Body
	res.Body = struct {
		io.Reader
		io.Closer
	}{&limited{from: body, left: b.max}, body}
	return res, nil
}

// CloseIdleConnections lets http.Client reach the pool.
func (b *bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }

// limited is io.LimitReader with an error at the end instead of a silent cut.
type limited struct {
	from io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more than allowed tells "exactly full" from "too much"
	}
	n, err := l.from.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
