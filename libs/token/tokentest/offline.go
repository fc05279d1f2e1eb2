package tokentest

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// InProcess returns a client whose requests h answers within the process, whatever host they name. It works under
// testing/synctest, and endless answers stream.
func InProcess(h http.Handler) *http.Client { return &http.Client{Transport: inProcess{h}} }

// inProcess calls a handler and hands its answer over a pipe as it is written, so that endless answers stream.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	body, sink := io.Pipe()
	w := &pipeWriter{header: http.Header{}, sink: sink, ready: make(chan struct{})}
	stop := context.AfterFunc(r.Context(), func() { _ = body.CloseWithError(r.Context().Err()) })
	go func() {
		defer stop()
		t.handler.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		_ = sink.Close()
	}()
	select {
	case <-w.ready:
		return &http.Response{
			StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: w.sent, Body: body, ContentLength: -1, Request: r,
		}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// pipeWriter is the handler's side. A write returns when the client has read it, as on a connection without buffers.
type pipeWriter struct {
	header, sent http.Header
	sink         *io.PipeWriter
	once         sync.Once
	status       int
	ready        chan struct{}
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.sink.Write(p)
}

func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }
