package web

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// statusAborted is what logs and metrics call an answer that was cut; nginx made 499 the customary word for it.
const statusAborted = 499

// response remembers what was answered. It keeps the ways round the writer that make streams cheap: ReadFrom (sendfile)
// and, through Unwrap, everything http.ResponseController knows.
type response struct {
	http.ResponseWriter
	status  int
	bytes   int64
	aborted bool
}

// WriteHeader notes the first final status; informational ones pass through.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom lets net/http hand a file to the kernel.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := io.Copy(w.ResponseWriter, src) // uses the writer's own ReadFrom
	w.bytes += n
	return n, err
}

// Hijack notes that the connection has left HTTP.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) outcome() int {
	switch {
	case w.aborted:
		return statusAborted
	case w.status == 0:
		return http.StatusOK // net/http sends it for a handler that wrote nothing
	default:
		return w.status
	}
}
