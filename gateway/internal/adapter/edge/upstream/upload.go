package upstream

import (
	"errors"
	"io"
	"strconv"
	"sync"
	"time"
)

const (
	pieceBytes      = 64 << 10 // of a body on its way
	smallPieceBytes = 4 << 10  // of one that is not longer
	sizeRoom        = 8        // in front of a piece, for the size of a chunk: five digits and CRLF
	endRoom         = 8        // behind it, for its CRLF and the last chunk
)

type (
	piece      [sizeRoom + pieceBytes + endRoom]byte
	smallPiece [sizeRoom + smallPieceBytes + endRoom]byte
)

var (
	pieces      = sync.Pool{New: func() any { return new(piece) }}
	smallPieces = sync.Pool{New: func() any { return new(smallPiece) }}
)

// lateAnswer is how long a service that stopped taking the body may take to say why.
const lateAnswer = 5 * time.Second

// startUpload sends the body beside the reading of the answer: either may come to its end first.
func (x *exchange) startUpload() {
	x.waits, x.uploading = false, true
	x.parties.Add(1)
	go x.upload()
}

// upload sends the body and leaves. A body that can't be read ends the exchange; a service that takes no more of it may
// have answered, and that answer is read.
func (x *exchange) upload() {
	defer closeBody(x.request)
	var broken *bodyError
	switch err := x.sendBody(); {
	case err == nil:
		x.leave(good)
	case errors.As(err, &broken):
		x.unsending.Store(&broken.err)
		x.leave(dead)
	default:
		x.conn.readWithin(lateAnswer)
		x.leave(used)
	}
}

var errTooLong = errors.New("the body is longer than its length")

// bodyError is of the side that the body comes from.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }

// sendBody copies the body with memory for one piece.
func (x *exchange) sendBody() error {
	length := bodyLength(x.request)
	if length != chunked && length <= smallPieceBytes {
		room := smallPieces.Get().(*smallPiece) //nolint:forcetypeassert // the pool holds nothing else
		defer smallPieces.Put(room)
		return x.sendPieces(room[:], length)
	}
	room := pieces.Get().(*piece) //nolint:forcetypeassert // the pool holds nothing else
	defer pieces.Put(room)
	return x.sendPieces(room[:], length)
}

// sendPieces reads and writes until the body's end. Each piece goes as it comes.
func (x *exchange) sendPieces(room []byte, length int64) error {
	data, left := room[sizeRoom:len(room)-endRoom], length
	for {
		want := data
		if length != chunked && left < int64(len(want)) {
			want = data[:left+1] // one more than there may be shows whether there is more
		}
		n, err := x.request.Body.Read(want)
		x.taken.Store(true)
		ended := errors.Is(err, io.EOF)
		if length != chunked {
			left -= int64(n)
		}
		switch {
		case err != nil && !ended:
			return &bodyError{err}
		case length != chunked && left < 0:
			return &bodyError{errTooLong}
		case ended && left > 0:
			return &bodyError{io.ErrUnexpectedEOF}
		case left == 0:
			ended = true // whether or not the body says so
		}
		out := data[:n]
		if length == chunked {
			out = framePiece(room, n, ended)
		}
		x.drained.Store(ended)
		if len(out) > 0 {
			if _, err := x.conn.Write(out); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
	}
}

// framePiece makes a chunk of the n bytes that stand behind the room for its size (RFC 9112 §7.1), and the last chunk
// behind it at the end.
func framePiece(room []byte, n int, last bool) []byte {
	begin, end := sizeRoom, sizeRoom+n
	out := room[:end]
	if n > 0 {
		var digits [sizeRoom]byte
		size := append(strconv.AppendInt(digits[:0], int64(n), 16), "\r\n"...)
		begin -= len(size)
		copy(room[begin:], size)
		out = append(out, "\r\n"...)
	}
	if last {
		out = append(out, "0\r\n\r\n"...)
	}
	return out[begin:]
}
