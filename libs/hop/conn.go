package hop

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Conn is one end of a connection. It is safe for use by many goroutines.
type Conn struct {
	in, out       *flow
	local, remote net.Addr
}

var _ net.Conn = (*Conn)(nil)

// Read reads what has come. An end that the other side has made is io.EOF, once everything before it was read.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write returns when all of p was taken: read by the other side, or kept for it if p is short.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// copyBytes is what a copy holds between its source and a reader.
const copyBytes = 32 << 10

// ReadFrom copies src to the other side. The bytes of a file go right into the memory of whoever reads, once there is somebody.
func (c *Conn) ReadFrom(src io.Reader) (n int64, err error) {
	if ofFile(src) {
		for {
			m, err := c.out.fill(src)
			n += int64(m)
			if errors.Is(err, io.EOF) {
				return n, nil
			}
			if err != nil {
				return n, err
			}
		}
	}
	return io.CopyBuffer(writerOnly{c}, src, make([]byte, copyBytes))
}

// ofFile reports whether a read of src never waits for anybody.
func ofFile(src io.Reader) bool {
	if limited, ok := src.(*io.LimitedReader); ok {
		src = limited.R
	}
	_, ok := src.(*os.File)
	return ok
}

// writerOnly hides ReadFrom.
type writerOnly struct{ io.Writer }

// Quiet reports whether the other side has neither closed nor said anything that was not read.
func (c *Conn) Quiet() bool { return c.in.quiet() }

// Close ends both directions. What was kept for the other side can still be read there.
func (c *Conn) Close() error {
	c.in.stopReading()
	c.out.stopWriting(net.ErrClosed)
	return nil
}

// CloseWrite ends one direction: the other side reads an end, and may go on writing.
func (c *Conn) CloseWrite() error {
	c.out.stopWriting(io.ErrClosedPipe)
	return nil
}

// LocalAddr is this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline ends reads, also those that wait, with os.ErrDeadlineExceeded from then on.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.in.setDeadline(&c.in.reader, t) }

// SetWriteDeadline does the same for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.out.setDeadline(&c.out.writer, t) }
