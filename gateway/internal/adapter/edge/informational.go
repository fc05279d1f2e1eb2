package edge

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// clientWriter is the client's side as httputil sees it. httputil writes a service's informational answers (103 and the
// like) with the headers of the answer that is still to come, and then forgets all of these; here an informational answer
// has headers of its own. Those of the gateway stay, above all the Connection: close behind an upgrade.
type clientWriter struct {
	http.ResponseWriter
	x     *exchange
	early http.Header // of an informational answer
}

// Unwrap is for http.ResponseController.
func (w *clientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Header is the answer's, once that has begun.
func (w *clientWriter) Header() http.Header {
	if w.x.begun.Load() {
		return w.ResponseWriter.Header()
	}
	if w.early == nil {
		w.early = http.Header{}
	}
	return w.early
}

func (w *clientWriter) WriteHeader(status int) {
	if w.x.begun.Load() {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if !w.x.r.ProtoAtLeast(1, 1) { // such a client would take it for the answer (RFC 9110 §15.2)
		return
	}
	own := w.ResponseWriter.Header()
	kept := maps.Clone(own)
	clear(own)
	for _, name := range w.x.rule.Answer.Remove {
		delete(w.early, name)
	}
	for name, values := range w.early {
		if passesApart(name, w.early["Connection"]) {
			own[name] = values
		}
	}
	w.ResponseWriter.WriteHeader(status)
	clear(own)
	maps.Copy(own, kept)
}

// curtail takes out of an answer's trailer what is not for the client.
func (x *exchange) curtail(trailer http.Header) {
	for name := range trailer {
		if !passesApart(name, nil) {
			delete(trailer, name)
		}
	}
	for _, name := range x.rule.Answer.Remove {
		delete(trailer, name)
	}
}

// passesApart reports whether a header that a service sends before its answer or behind it is for the client: not one that
// is about the connection, nor one that the gateway looks after, which has its place in the answer's head.
func passesApart(name string, connection []string) bool {
	switch {
	case name == "Content-Length", name == "Set-Cookie", strings.HasPrefix(name, "Access-Control-"):
		return false
	}
	return !slices.Contains(gatewaysOwn, name) && !ofConnection(name, connection)
}

// ofConnection reports whether a header is about the connection it comes over (RFC 9110 §7.6.1), in itself or because
// the Connection header lists it.
func ofConnection(name string, connection []string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authenticate", "Proxy-Authorization":
		return true
	}
	for _, listed := range connection {
		for item := range strings.SplitSeq(listed, ",") {
			if strings.EqualFold(strings.TrimSpace(item), name) {
				return true
			}
		}
	}
	return false
}
