package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// maxLoose is in how many pieces the last part of an upload may be. One more, and they are read back and written as one:
// so many small chunks cost neither an endless list nor a rewrite each.
const maxLoose = 32

// partialSink takes bytes of one upload. A part that is full is written as one piece, while the next is filled; Sync
// writes what there is of the last as a piece of its own. When that part is full in its turn it is written whole, and the
// pieces it was in count no more. The request's end does not reach it: what has come is to be made durable all the same.
type partialSink struct {
	ctx    context.Context
	store  *Blobs
	id     files.UploadID
	prefix string
	writer string

	mu    sync.Mutex // held by each call, and by who takes the buffer
	have  pieces     // all that has been given to the store
	fill  filling
	from  int64 // where fill begins
	fresh int64 // bytes of fill no piece has
	ship  shipping
	stale []piece // not part of what the last Sync returned
	done  []piece // nor of what the one before returned: may be deleted once the next is asked for
	bad   bool
	why   error // it is bad, when that was nobody's call
	over  bool
}

// AppendPartial implements files.Partials.
func (b *Blobs) AppendPartial(ctx context.Context, of files.Partial) (files.PartialSink, error) {
	prefix, err := b.uploadPrefix(of.ID)
	if err != nil {
		return nil, err
	}
	have, err := b.piecesOf(of)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, busy := b.writing[of.ID]; busy {
		return nil, fault.New(fault.Conflict, "somebody writes these bytes")
	}
	b.writing[of.ID] = struct{}{}
	s := &partialSink{
		ctx: context.WithoutCancel(ctx), store: b, id: of.ID, prefix: prefix, writer: newToken(), have: have, from: of.Size,
		fill: filling{pool: b.buffers, size: int(have.part - of.Size%have.part), room: int(have.part)},
	}
	s.fill.by = s
	return s, nil
}

// Write implements io.Writer.
func (s *partialSink) Write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad || s.over {
		return 0, s.useless()
	}
	for len(p) > 0 {
		n, err := s.fill.add(s.ctx, p)
		if err != nil {
			return written, s.broken(err)
		}
		written, p = written+n, p[n:]
		s.fresh += int64(n)
		if s.fill.full() {
			if err := s.wholePart(s.ctx); err != nil {
				return written, s.broken(err)
			}
		}
	}
	return written, nil
}

func (s *partialSink) useless() error {
	if s.why != nil {
		return s.why
	}
	return errors.New("the upload's sink is of no use any more")
}

func (s *partialSink) broken(err error) error {
	s.bad = true
	return err
}

// wholePart writes the part that fill completes, beside the caller, and begins the next.
func (s *partialSink) wholePart(ctx context.Context) error {
	if err := s.ship.wait(); err != nil {
		return err
	}
	if err := s.wholeAgain(ctx); err != nil {
		return err
	}
	s.dropLoose()
	next := piece{Writer: s.writer, Start: s.from, Size: s.have.part, CRC: crcOf(s.fill.content())}
	content := s.fill.content()
	used := s.fill.handOver()
	s.have.list = append(s.have.list, next)
	s.from, s.fresh, s.fill.size = next.end(), 0, int(s.have.part)
	s.ship.begin(func() error {
		defer used.release()
		return s.store.putPiece(ctx, s.prefix, next, content)
	})
	return nil
}

// wholeAgain makes fill begin where its part begins: what the part's pieces have is read back in front of it.
func (s *partialSink) wholeAgain(ctx context.Context) error {
	start := s.from - s.from%s.have.part
	if start == s.from {
		return nil
	}
	if s.fill.buf == nil {
		if err := s.fill.grow(ctx); err != nil {
			return err
		}
	}
	all, head := (*s.fill.buf.bytes)[:s.have.part], s.from-start
	copy(all[head:], s.fill.content())
	for _, p := range s.have.list[s.have.whole():] {
		if p.Start < s.from {
			if err := s.store.readPiece(ctx, s.prefix, p, all[p.Start-start:p.end()-start]); err != nil {
				return err
			}
		}
	}
	s.fill.n += int(head)
	s.fill.size, s.from = int(s.have.part), start
	return nil
}

// dropLoose takes the pieces of the last part out of the list: one that has all of them takes their place.
func (s *partialSink) dropLoose() {
	whole := s.have.whole()
	s.stale = append(s.stale, s.have.list[whole:]...)
	s.have.list = s.have.list[:whole:whole]
}

// Sync implements files.PartialSink.
func (s *partialSink) Sync(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad || s.over {
		return nil, s.useless()
	}
	if err := s.sync(ctx); err != nil {
		return nil, s.broken(err)
	}
	s.sweep(ctx)
	return s.have.text()
}

func (s *partialSink) sync(ctx context.Context) error {
	if err := s.ship.wait(); err != nil {
		return err
	}
	if s.fresh == 0 {
		return nil
	}
	if len(s.have.list)-s.have.whole() >= maxLoose {
		if err := s.wholeAgain(ctx); err != nil {
			return err
		}
		s.dropLoose()
		s.fresh = int64(s.fill.len())
	}
	content := s.fill.content()[int64(s.fill.len())-s.fresh:]
	next := piece{Writer: s.writer, Start: s.have.end(), Size: s.fresh, CRC: crcOf(content)}
	if err := s.store.putPiece(ctx, s.prefix, next, content); err != nil {
		return err
	}
	s.have.list = append(s.have.list, next)
	s.fresh = 0
	return nil
}

// sweep deletes pieces that the row named before the last Sync and does not since: that this Sync is asked for says that
// the one before is in the row. What stays is deleted with the upload.
func (s *partialSink) sweep(ctx context.Context) {
	keys := make([]string, len(s.done))
	for i, p := range s.done {
		keys[i] = p.key(s.prefix)
	}
	if err := s.store.removeAll(ctx, keys); err != nil {
		s.store.opts.Log.WarnContext(ctx, "pieces of an upload stay until the upload ends", "upload", s.id, "error", err.Error())
	}
	s.done, s.stale = s.stale, nil
}

// Close implements files.PartialSink.
func (s *partialSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil
	}
	s.over = true
	_ = s.ship.wait() // what no Sync has covered may be lost
	s.fill.drop()
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	delete(s.store.writing, s.id)
	return nil
}

func (b *Blobs) putPiece(ctx context.Context, prefix string, p piece, content []byte) error {
	if err := b.put(ctx, p.key(prefix), content); err != nil {
		return fmt.Errorf("keep a piece: %w", err)
	}
	return b.opts.At(StepPiece)
}

// readPiece fills into with a piece, which must be what it was.
func (b *Blobs) readPiece(ctx context.Context, prefix string, p piece, into []byte) error {
	src, err := b.openPiece(ctx, prefix, p)
	if err != nil {
		return err
	}
	defer src.Close()
	if n, err := src.ReadAt(into, 0); err != nil {
		return fmt.Errorf("read %d bytes of a piece after %d: %w", len(into), n, err)
	}
	if crcOf(into) != p.CRC {
		return fmt.Errorf("the piece %s is damaged", p.key(prefix))
	}
	return nil
}

func (b *Blobs) openPiece(ctx context.Context, prefix string, p piece) (*source, error) {
	src, err := b.openObject(ctx, p.key(prefix), p.Size, nil)
	if isAbsent(err) {
		return nil, errNoPartial()
	}
	return src, err
}

// RemovePartials implements files.Partials. What a listing does not show yet is found by the reaper.
func (b *Blobs) RemovePartials(ctx context.Context, ids []files.UploadID) (failed error) {
	for _, id := range ids {
		if err := b.removePartial(ctx, id); err != nil && failed == nil {
			failed = fmt.Errorf("remove upload: %w", err)
		}
	}
	return failed
}

func (b *Blobs) removePartial(ctx context.Context, id files.UploadID) error {
	prefix, err := b.uploadPrefix(id)
	if err != nil {
		return err
	}
	return b.list(ctx, &s3.ListObjectsV2Input{Prefix: &prefix}, func(out *s3.ListObjectsV2Output) error {
		keys := make([]string, 0, len(out.Contents))
		for _, object := range out.Contents {
			keys = append(keys, aws.ToString(object.Key))
		}
		return b.removeAll(ctx, keys)
	})
}

// WalkPartials implements files.Partials.
func (b *Blobs) WalkPartials(ctx context.Context, fn func(files.UploadID) error) error {
	in := &s3.ListObjectsV2Input{Prefix: aws.String(b.uploadsPrefix()), Delimiter: aws.String("/")}
	err := b.list(ctx, in, func(out *s3.ListObjectsV2Output) error {
		for _, p := range out.CommonPrefixes {
			id := strings.TrimSuffix(strings.TrimPrefix(aws.ToString(p.Prefix), b.uploadsPrefix()), "/")
			if !isPartialName(id) {
				continue // not ours
			}
			if err := fn(files.UploadID(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("walk uploads: %w", err)
	}
	return nil
}
