// Package importfile reads people to import: one JSON object a line.
//
// It reads as strictly as the HTTP side does (no unknown, doubled or differently cased field), in bounded memory whatever
// the lines are, and knows after each line how many lines and bytes it has read and their SHA-256. So a second run can
// tell that it is given the same input, and go on behind the last line that was dealt with.
package importfile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/lines"

	"cloakroom.dev/auth-svc/internal/identity"
)

// maxLineBytes bounds a line. A person with sixteen roles and the longest of hashes has a tenth of it.
const maxLineBytes = 64 << 10

// Reader reads lines. It is for one goroutine.
type Reader struct {
	in     *bufio.Reader
	digest hash.Hash
	at     identity.ImportCursor
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// NewReader begins at the first byte.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, maxLineBytes), digest: sha256.New()}
}

// Skip reads up to a place where a former run has been, and reports whether the input is the same up to there. After
// false the Reader is of no more use.
func (r *Reader) Skip(to identity.ImportCursor) (same bool, err error) {
	if to.Bytes == 0 {
		return true, nil
	}
	var last lastByte
	n, err := io.CopyN(io.MultiWriter(r.digest, &last), r.in, to.Bytes)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the input again: %w", err)
	}
	r.at = identity.ImportCursor{Lines: to.Lines, Bytes: n}
	if r.at.Digest = r.sum(); r.at != to {
		return false, nil
	}
	if last == '\n' {
		return true, nil
	}
	return r.endLine()
}

// endLine comes behind a last line that had no line end then. If it has one now, that is all that may have changed about
// it: a line that goes on was cut in the middle, and the former run has seen another.
func (r *Reader) endLine() (same bool, err error) {
	for _, end := range []string{"\r\n", "\n"} {
		if next, _ := r.in.Peek(len(end)); string(next) == end {
			_, err := r.in.Discard(len(end))
			r.pass([]byte(end))
			return true, err
		}
	}
	_, err = r.in.Peek(1)
	return errors.Is(err, io.EOF), nil
}

// Next returns the next line that is not blank, and io.EOF after the last. What can't be read of it is in Bad.
func (r *Reader) Next() (identity.Incoming, error) {
	for {
		first := r.at.Bytes == 0
		raw, tooLong, err := lines.Next(r.in, r.pass)
		if err != nil {
			return identity.Incoming{}, err
		}
		r.at.Lines++
		if first {
			raw = bytes.TrimPrefix(raw, byteOrderMark)
		}
		raw = bytes.TrimSpace(raw)
		var in identity.Incoming
		switch {
		case tooLong:
			in.Bad = []fault.Field{{Field: "line", Code: "TOO_LONG", Detail: fmt.Sprintf("must have at most %d bytes", maxLineBytes)}}
		case len(raw) == 0:
			continue
		default:
			in = decode(raw)
		}
		in.End = r.at
		in.End.Digest = r.sum()
		return in, nil
	}
}

func (r *Reader) pass(part []byte) {
	r.digest.Write(part)
	r.at.Bytes += int64(len(part))
}

// sum is the digest so far; more can be added after.
func (r *Reader) sum() (sum [32]byte) {
	r.digest.Sum(sum[:0])
	return sum
}

// lastByte remembers the last byte written.
type lastByte byte

func (l *lastByte) Write(p []byte) (int, error) {
	if len(p) > 0 {
		*l = lastByte(p[len(p)-1])
	}
	return len(p), nil
}
