package upstream

import (
	"io"
	"sync"
)

// tunnel is a connection that has left HTTP. It may be read, written and closed at the same time.
type tunnel struct {
	x    *exchange
	once sync.Once
}

var _ io.ReadWriteCloser = (*tunnel)(nil)

// Read begins with what has come behind the answer's head.
func (t *tunnel) Read(p []byte) (int, error) { return t.x.conn.in.Read(p) }

func (t *tunnel) Write(p []byte) (int, error) { return t.x.conn.Write(p) }

// CloseWrite ends one direction: the service reads an end, and may go on writing.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.x.conn.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return t.Close()
}

// Close ends both. The memory is left to whoever is still reading.
func (t *tunnel) Close() error {
	t.once.Do(func() {
		t.x.release()
		t.x.conn.close()
	})
	return nil
}
