package httpapi

import (
	"net"
	"testing"
)

// newPipe is a connection within the process that knows deadlines.
func newPipe(t *testing.T) (server, client net.Conn) {
	t.Helper()
	server, client = net.Pipe()
	t.Cleanup(func() { _ = server.Close(); _ = client.Close() })
	return server, client
}
