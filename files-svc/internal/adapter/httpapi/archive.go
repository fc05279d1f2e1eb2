package httpapi

import (
	"archive/zip"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// What packing takes is bounded: each archive holds a compressor of about 1 MB and up to a core.
const (
	archivesAtATime = 16
	archivesOfOne   = 4 // of one person
)

// archive is GET /v1/files/archive?ids=…: the files as one ZIP, made while it is sent. Each content is checked on the way;
// when one is damaged, can't be read or may not be read any more, the connection is cut before the directory that ends a ZIP,
// so that no reader takes the rest for the whole.
func (a *api) archive(w http.ResponseWriter, r *http.Request) error {
	var bad fault.Bad
	ids := wantedIDs(r, &bad)
	if err := bad.Err(); err != nil {
		return fault.Also(err, files.CheckSelection(ids))
	}
	leave, err := a.archives.take(owner(r.Context()))
	if err != nil {
		return err
	}
	defer leave()
	chosen, err := a.files.Selection(r.Context(), owner(r.Context()), ids)
	if err != nil {
		return err
	}
	first, err := a.files.OpenSelected(r.Context(), owner(r.Context()), chosen[0]) // before the status: it may be a refusal
	if err != nil {
		return err
	}
	describeMade(w.Header(), "files.zip", "application/zip")
	if r.Method == http.MethodHead {
		return first.Close()
	}
	a.metrics.downloading.Inc()
	l, release := hold(r.Context(), http.NewResponseController(w).SetWriteDeadline)
	p := &packer{api: a, ctx: r.Context(), out: &pacedWriter{w: w, next: a.writing(l)}, names: a.files.ArchiveNames(chosen)}
	err = p.pack(chosen, first)
	release()
	a.metrics.downloading.Dec()
	a.metrics.downloadedBytes.Add(float64(p.out.bytes))
	a.metrics.downloads.WithLabelValues(sendResult(err)).Inc()
	return err
}

// wantedIDs reads the one query parameter of the call, given once or more, each a list with commas.
func wantedIDs(r *http.Request, bad *fault.Bad) (ids []files.FileID) {
	for _, name := range web.QueryNames(r) {
		if name != "ids" {
			unknownParameter(name, bad)
		}
	}
	for _, list := range r.URL.Query()["ids"] {
		for id := range strings.SplitSeq(list, ",") {
			ids = append(ids, files.FileID(id))
		}
	}
	return ids
}

// describeMade describes what is made while it is sent.
func describeMade(h http.Header, name, contentType string) {
	describe(h, files.File{ContentType: contentType, Name: name}, false)
	h.Del("Repr-Digest") // nobody knows it before the end
	h.Del("Accept-Ranges")
	h.Set("Cache-Control", "private, no-store")
	h.Set("Vary", "Authorization")
}

// packer writes one archive.
type packer struct {
	*api
	ctx   context.Context // of the request: a ZIP is written by plain io.Writers
	out   *pacedWriter
	names []string
}

func (p *packer) pack(chosen []files.File, first *files.Content) error {
	z := newZIP(p.out)
	for i, f := range chosen {
		c := first
		if i > 0 {
			var err error
			if c, err = p.files.OpenSelected(p.ctx, owner(p.ctx), f); err != nil {
				return err
			}
		}
		err := p.add(z, p.names[i], c)
		_ = c.Close() // it has been read to its end, or failed
		if err != nil {
			return err
		}
	}
	return p.finish(z)
}

func newZIP(w io.Writer) *zip.Writer {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	return z
}

// finish writes the directory, if the caller may still have it.
func (p *packer) finish(z *zip.Writer) error {
	if p.ctx.Err() != nil { // the last one may have been small enough to be in buffers still
		return context.Cause(p.ctx)
	}
	if err := z.Close(); err != nil {
		return sendError(err)
	}
	return nil
}

func (p *packer) add(z *zip.Writer, name string, c *files.Content) error {
	h := &zip.FileHeader{Name: name, Modified: c.File.ContentAt.UTC(), Method: zip.Store}
	if shrinks(c.File.ContentType) {
		h.Method = zip.Deflate
	}
	w, err := z.CreateHeader(h)
	if err != nil {
		return fmt.Errorf("begin file in archive: %w", err)
	}
	if _, err := io.Copy(w, c.Verified(p.ctx)); err != nil {
		return err
	}
	return nil
}

// shrinks reports whether contents of a type are worth compressing. Most that people keep have been compressed already.
func shrinks(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml", "application/x-tar", "application/sql", "application/rtf", "image/bmp":
		return true
	default:
		return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "+json")
	}
}

// pacedWriter moves the deadline before each write and tells a client that went from a fault of ours.
type pacedWriter struct {
	w     io.Writer
	next  func(n int64)
	bytes int64
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	p.next(int64(len(b)))
	n, err := p.w.Write(b)
	p.bytes += int64(n)
	if err != nil {
		return n, sendError(err)
	}
	return n, nil
}
