package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"cloakroom.dev/libs/fault"
)

// Get finds a file outside the trash. It returns fault.NotFound when there is none, or not for this caller.
func (s *Service) Get(ctx context.Context, owner OwnerID, id FileID) (File, error) {
	if err := s.allow(ctx, owner, "read"); err != nil {
		return File{}, err
	}
	var f File
	err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		f, err = s.visibleFile(ctx, tx, owner, id)
		return err
	})
	if err != nil {
		return File{}, fmt.Errorf("get file: %w", err)
	}
	return f, nil
}

// Usage tells what the owner's files take and may take.
func (s *Service) Usage(ctx context.Context, owner OwnerID) (Usage, error) {
	if err := s.allow(ctx, owner, "read"); err != nil {
		return Usage{}, err
	}
	var o Owner
	err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		o, err = tx.Owner(ctx, owner)
		return err
	})
	if err != nil {
		return Usage{}, fmt.Errorf("get usage: %w", err)
	}
	return Usage{Bytes: o.Bytes, Files: o.Files, Versions: o.Versions, QuotaBytes: s.opts.Policy().QuotaBytes}, nil
}

// Content is an open content. Close it.
type Content struct {
	File File // as it was when it was opened; ETag, Size, SHA256 and ContentAt are the content's
	// Body reads the bytes as they are in the store. On a local disk it has the methods of *os.File: hand it to
	// io.CopyN or http.ServeContent as it is, and the kernel sends it.
	Body BlobSource

	service *Service
	look    func() (File, error) // finds the newest File
	once    sync.Once
}

// openTries is how often Open follows a file whose content is replaced and reaped while it looks.
const openTries = 3

// Open opens the content of a file outside the trash. Neither replace nor delete disturbs it, once Reach has returned. Bytes that are missing are an
// internal error and an alert, never an empty content; where the store is far away, at Reach or the first read.
func (s *Service) Open(ctx context.Context, owner OwnerID, id FileID) (*Content, error) {
	return s.open(ctx, s.openLater, func() (File, error) { return s.Get(ctx, owner, id) })
}

// open opens the content that look finds, by how.
func (s *Service) open(ctx context.Context, how func(context.Context, File) (BlobSource, error), look func() (File, error)) (*Content, error) {
	var missing BlobID
	for range openTries {
		f, err := look()
		if err != nil {
			return nil, err
		}
		if f.Blob == missing { // looked at twice, and it is still the newest: it is lost
			break
		}
		if err := s.refuseFlawed(ctx, f.Blob); err != nil {
			return nil, err
		}
		body, err := how(ctx, f)
		if err == nil {
			s.reading.Add(1)
			return &Content{File: f, Body: body, service: s, look: look}, nil
		}
		if !errors.Is(err, fault.Of(fault.NotFound)) {
			return nil, s.openFailed(ctx, f.Blob, err)
		}
		missing = f.Blob
	}
	return nil, s.openFailed(ctx, missing, errors.New("the store has no such blob"))
}

// openNow asks the store at once, openLater where that is free.
func (s *Service) openNow(ctx context.Context, f File) (BlobSource, error) {
	return s.blobs.Open(ctx, f.Blob, f.Size)
}

func (s *Service) openLater(ctx context.Context, f File) (BlobSource, error) {
	if remote, ok := s.blobs.(RemoteBlobs); ok {
		return remote.OpenLater(ctx, f.Blob, f.Size)
	}
	return s.openNow(ctx, f)
}

// ErrMoved is what Reach and Direct return when the content was replaced and its bytes have gone since it was opened: open again.
var ErrMoved = fault.Retry(fault.Unavailable, "the content was replaced in this moment", time.Second)

// Reach makes sure that the bytes can be read, from a place on, before anybody is promised them. It fails as Open does.
func (c *Content) Reach(ctx context.Context, from int64) error {
	later, ok := c.Body.(LaterSource)
	if !ok {
		return nil
	}
	return c.reached(ctx, later.Reach(from))
}

// reached makes of a store's refusal what it says about the content.
func (c *Content) reached(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fault.Of(fault.NotFound)) {
		f, gone := c.look()
		switch {
		case gone != nil:
			return gone
		case f.Blob != c.File.Blob:
			return ErrMoved
		}
		err = errors.New("the store has no such blob")
	}
	return c.service.openFailed(ctx, c.File.Blob, err)
}

// openFailed tells a store that is away for a moment from a blob that is not what its row says.
func (s *Service) openFailed(ctx context.Context, blob BlobID, err error) error {
	if fault.KindOf(err) == fault.Internal && ctx.Err() == nil {
		s.suspect(ctx, blob, err)
	}
	return fmt.Errorf("open content: %w", err)
}

func (s *Service) corrupt(ctx context.Context, blob BlobID, err error) {
	s.opts.Meter.Corrupt()
	s.log.ErrorContext(ctx, "blob is missing or damaged", "blob", blob, "error", err.Error())
}

// Verified reads the content from its first byte and checks its digest on the way: when it is wrong, or bytes are missing,
// Read and WriteTo fail before the last byte is out. They also fail when ctx ends. Use it for full reads; copy it with
// io.Copy, which brings a large pooled buffer along.
func (c *Content) Verified(ctx context.Context) io.Reader {
	return &verified{ctx: ctx, content: c, hash: sha256.New()}
}

// Close ends the reading.
func (c *Content) Close() error {
	if c.service != nil {
		c.once.Do(func() { c.service.reading.Add(-1) })
	}
	return c.Body.Close()
}

// verified holds ctx because an io.Reader has no other way to hear of its end.
type verified struct {
	ctx     context.Context
	content *Content
	hash    hash.Hash
	done    int64
	err     error
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil || len(p) == 0 {
		return 0, v.err
	}
	n, err := v.next(p)
	v.err = err
	return n, err
}

// next reads a piece and gives it out only when it can't be the end of a content that is wrong.
func (v *verified) next(p []byte) (int, error) {
	f := v.content.File
	switch {
	case v.ctx.Err() != nil:
		return 0, context.Cause(v.ctx)
	case v.done == f.Size:
		return 0, v.finish()
	case int64(len(p)) > f.Size-v.done:
		p = p[:f.Size-v.done]
	}
	n, err := v.content.Body.ReadAt(p, v.done)
	v.hash.Write(p[:n])
	v.done += int64(n)
	switch {
	case n == len(p) && v.done == f.Size:
		if err := v.finish(); !errors.Is(err, io.EOF) {
			return 0, err
		}
		return n, nil
	case n == len(p):
		return n, nil
	case err == nil || errors.Is(err, io.EOF):
		return 0, v.fail(fmt.Errorf("blob ends after %d of %d bytes", v.done, f.Size))
	default:
		return 0, v.fail(fmt.Errorf("read blob: %w", err))
	}
}

// finish compares the digest; io.EOF says that it is right.
func (v *verified) finish() error {
	var got Digest
	v.hash.Sum(got[:0])
	if want := v.content.File.SHA256; got != want {
		return v.fail(fmt.Errorf("blob has digest %s, its row says %s", got, want))
	}
	return io.EOF
}

func (v *verified) fail(err error) error {
	v.content.service.suspect(v.ctx, v.content.File.Blob, err)
	return err
}

// WriteTo implements io.WriterTo.
func (v *verified) WriteTo(w io.Writer) (written int64, err error) {
	s := v.content.service
	buf := s.outward.take()
	defer buf.release()
	for {
		began := s.opts.Now()
		n, err := v.Read(buf.bytes())
		if errors.Is(err, io.EOF) {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		m, err := w.Write(buf.bytes()[:n])
		written += int64(m)
		if err != nil {
			return written, err
		}
		buf.adapt(n == len(buf.bytes()), s.opts.Now().Sub(began))
	}
}
