package httpapi

import (
	"mime"
	"net/http"
	"strings"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
)

// conditions are the headers that clients send again to where they are sent on. A store has tags and times of its own and
// would answer them otherwise.
var conditions = []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"}

// mayDirect reports whether a client can fetch the bytes from the store itself: what comes from there is an attachment, and
// one range at most; it has no policy against scripts with it, nor a word against sniffing.
func mayDirect(r *http.Request, c *files.Content, d delivery) bool {
	if d.inline || strings.Contains(strings.Join(r.Header.Values("Range"), ","), ",") || !c.MayDirect() {
		return false
	}
	for _, name := range conditions {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	return true
}

// redirect sends the client to the store. Nobody may keep that answer: whoever has it can read the content.
func (a *api) redirect(w http.ResponseWriter, r *http.Request, c *files.Content, begin begin) error {
	url, err := c.Direct(r.Context(), directType(c.File.ContentType), field.FormatDisposition("attachment", c.File.Name))
	if err != nil {
		return err
	}
	_, done, err := begin(r.Context())
	if err != nil {
		return err
	}
	done()
	status := http.StatusTemporaryRedirect
	if r.Method == http.MethodPost { // a form with a password is not for the store
		status = http.StatusSeeOther
	}
	h := w.Header()
	h.Del("ETag") // they are the content's
	h.Del("Last-Modified")
	h.Set("Cache-Control", "private, no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", url)
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
	a.metrics.downloads.WithLabelValues("direct").Inc()
	return nil
}

// directType is the type that the store gives a content: its own where a browser can do nothing with it but show it.
func directType(contentType string) string {
	if kind, _, err := mime.ParseMediaType(contentType); err == nil && inlineType(kind) {
		return contentType
	}
	return "application/octet-stream"
}
