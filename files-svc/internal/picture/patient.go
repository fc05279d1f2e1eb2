package picture

import (
	"context"
	"errors"
	"io"
)

// patient reads a picture in small pieces and looks before each whether anybody still waits for it. Decoders know no
// context: this is how they hear of its end.
type patient struct {
	ctx  context.Context // of the request, and of the time one picture may take
	src  io.ReaderAt
	size int64
	at   int64
}

// pieceBytes is small because a few bytes can ask a decoder for a lot of work.
const pieceBytes = 512

// unreadable is a failure of the store, which says nothing of the picture.
type unreadable struct{ error }

// Unwrap is the store's word.
func (u unreadable) Unwrap() error { return u.error }

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	n, err := p.ReadAt(b[:min(len(b), pieceBytes)], p.at)
	p.at += int64(n)
	if n > 0 {
		return n, nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt, for TIFF.
func (p *patient) ReadAt(b []byte, at int64) (int, error) {
	switch {
	case p.ctx.Err() != nil:
		return 0, context.Cause(p.ctx)
	case at < 0 || at >= p.size:
		return 0, io.EOF
	}
	whole := len(b)
	b = b[:min(int64(whole), p.size-at)]
	n, err := p.src.ReadAt(b, at)
	switch {
	case n == whole:
		return n, nil
	case n == len(b), errors.Is(err, io.EOF):
		return n, io.EOF
	default:
		return n, unreadable{err}
	}
}

// head is the first n bytes, or all there are.
func (p *patient) head(n int64) ([]byte, error) {
	b := make([]byte, min(n, p.size))
	_, err := p.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}
