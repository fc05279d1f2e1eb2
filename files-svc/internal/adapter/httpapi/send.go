package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"syscall"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// stretch is how much is handed to the kernel at once. The deadline moves between two stretches, so it bounds how long a
// reader that takes nothing is kept.
const stretch = 1 << 20

// sender is one answer with bytes in it.
type sender struct {
	w     http.ResponseWriter
	c     *files.Content
	next  func(n int64) // moves the deadline for the next n bytes
	as    int           // the status of a whole content
	bytes int64         // of the content, sent
	begun bool
}

// send writes the status and the bytes, on a leash and under the rate floor. An error after the first byte cuts the
// connection (web.Func), so a short answer can't pass for a whole one.
func (a *api) send(w http.ResponseWriter, r *http.Request, c *files.Content, ranges []field.Range) (err error) {
	a.metrics.downloading.Inc()
	l, release := hold(r.Context(), http.NewResponseController(w).SetWriteDeadline)
	s := &sender{w: w, c: c, next: a.writing(l), as: http.StatusOK}
	defer func() {
		release()
		a.metrics.downloading.Dec()
		a.metrics.downloadedBytes.Add(float64(s.bytes))
		a.metrics.downloads.WithLabelValues(sendResult(err)).Inc()
	}()
	if len(ranges) == 1 && ranges[0].Length == c.File.Size { // all of it, in the dress of a range
		w.Header().Set("Content-Range", ranges[0].ContentRange(c.File.Size))
		s.as, ranges = http.StatusPartialContent, nil
	}
	written, holds := a.verified.look(c)
	switch {
	case len(ranges) > 0:
		if !holds {
			if err := a.vouch(r.Context(), c, written); err != nil {
				w.Header().Del("Repr-Digest")
				return err
			}
		}
		return s.parts(ranges)
	case holds:
		return s.whole()
	}
	if err = s.verify(r.Context()); err == nil {
		a.verified.note(c.File.Blob, written)
	}
	return err
}

// vouch is for parts of a content, whose digest says nothing of them. A small one is read through before any of it is sent. For a
// large one nobody should wait that long: it is looked at beside the reader, once an hour, and damage is in quarantine then.
func (a *api) vouch(ctx context.Context, c *files.Content, written time.Time) error {
	if c.File.Size > alwaysVerify {
		if !written.IsZero() && a.verified.ask(c.File.Blob) {
			a.files.LookAt(c.File.Blob)
		}
		return nil
	}
	_, err := io.Copy(io.Discard, c.Verified(ctx))
	return err
}

func sendResult(err error) string {
	switch {
	case err == nil:
		return "ok"
	case fault.KindOf(err) == fault.Timeout, errors.Is(err, context.Canceled):
		return "cut"
	default:
		return "error"
	}
}

// verify sends all of it, hashed on the way. What is wrong with a content that fits the first buffer is known before
// its first byte goes out, and so becomes a proper refusal.
func (s *sender) verify(ctx context.Context) error {
	_, err := io.Copy(verifiedWriter{s}, s.c.Verified(ctx)) // brings its own pooled buffer
	switch {
	case err != nil:
		if !s.begun {
			s.w.Header().Del("Repr-Digest")
			s.w.Header().Del("Content-Range")
		}
		return err
	case !s.begun: // nothing to send
		s.begin(s.as, 0)
	}
	return nil
}

// verifiedWriter is a sender as the target of a verified read.
type verifiedWriter struct{ *sender }

func (s verifiedWriter) Write(p []byte) (int, error) {
	if !s.begun {
		s.begin(s.as, s.c.File.Size)
	}
	s.next(int64(len(p)))
	n, err := s.w.Write(p)
	s.bytes += int64(n)
	if err != nil {
		return n, sendError(err)
	}
	return n, nil
}

// whole lets the kernel send all of it.
func (s *sender) whole() error {
	s.begin(s.as, s.c.File.Size)
	return s.copy(s.c.File.Size)
}

func (s *sender) parts(ranges []field.Range) error {
	if len(ranges) == 1 {
		return s.one(ranges[0])
	}
	return s.several(ranges)
}

// one sends a single range.
func (s *sender) one(r field.Range) error {
	if _, err := s.c.Body.Seek(r.Start, io.SeekStart); err != nil {
		return fmt.Errorf("seek content: %w", err)
	}
	s.w.Header().Set("Content-Range", r.ContentRange(s.c.File.Size))
	s.begin(http.StatusPartialContent, r.Length)
	return s.copy(r.Length)
}

// several sends ranges as multipart/byteranges.
func (s *sender) several(ranges []field.Range) error {
	parts := multipart.NewWriter(s.w)
	f := s.c.File
	total := closingBytes(parts.Boundary())
	for _, r := range ranges {
		total += partBytes(parts.Boundary(), f, r) + r.Length
	}
	s.w.Header().Set("Content-Type", "multipart/byteranges; boundary="+parts.Boundary())
	s.begin(http.StatusPartialContent, total)
	for _, r := range ranges {
		s.next(stretch)
		if _, err := parts.CreatePart(partHeader(f, r)); err != nil {
			return sendError(err)
		}
		if _, err := s.c.Body.Seek(r.Start, io.SeekStart); err != nil {
			return fmt.Errorf("seek content: %w", err)
		}
		if err := s.copy(r.Length); err != nil {
			return err
		}
	}
	if err := parts.Close(); err != nil {
		return sendError(err)
	}
	return nil
}

func partHeader(f files.File, r field.Range) textproto.MIMEHeader {
	return textproto.MIMEHeader{"Content-Type": {f.ContentType}, "Content-Range": {r.ContentRange(f.Size)}}
}

// partBytes is what multipart.Writer puts before the bytes of a part, blank line and line break between parts included.
func partBytes(boundary string, f files.File, r field.Range) int64 {
	n := len("\r\n--") + len(boundary) + len("\r\n") + len("\r\n")
	for name, values := range partHeader(f, r) {
		n += len(name) + len(": ") + len(values[0]) + len("\r\n")
	}
	return int64(n)
}

// closingBytes is what ends the parts, less the line break that the first part does not begin with.
func closingBytes(boundary string) int64 {
	return int64(len("\r\n--") + len(boundary) + len("--\r\n") - len("\r\n"))
}

func (s *sender) begin(status int, length int64) {
	s.begun = true
	s.w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	s.w.WriteHeader(status)
}

// copy sends n bytes from where the content stands. The writer takes a file as it is, so that the kernel moves the bytes.
func (s *sender) copy(n int64) error {
	for n > 0 {
		s.next(stretch)
		sent, err := io.CopyN(s.w, s.c.Body, min(n, stretch))
		s.bytes += sent
		n -= sent
		if err != nil { // io.EOF too: the content is shorter than it was when it was opened
			return sendError(err)
		}
	}
	return nil
}

// sendError tells a client that went or took nothing, which is its own affair, from bytes of ours that can't be read.
func sendError(err error) error {
	for _, gone := range []error{syscall.EPIPE, syscall.ECONNRESET, os.ErrDeadlineExceeded, net.ErrClosed} {
		if errors.Is(err, gone) {
			return fault.Wrap(fault.Timeout, "the client took no more", err)
		}
	}
	return fmt.Errorf("send content: %w", err)
}
