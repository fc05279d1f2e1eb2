package disk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"cloakroom.dev/files-svc/internal/files"
)

// flushEvery is how much a blob grows before the kernel is asked to begin writing it out, so that the fsync at the end
// of a large one does not do it all.
const flushEvery = 8 << 20

// sink is one blob being written.
type sink struct {
	store   *Blobs
	place   place
	dir     *dir
	file    *os.File
	named   bool // under its name already
	written int64
	flushed int64
	ended   bool
}

// Create implements files.Blobs.
func (b *Blobs) Create(_ context.Context, id files.BlobID) (files.BlobSink, error) {
	p, err := placeOf(id)
	if err == nil {
		err = b.room()
	}
	if err != nil {
		return nil, err
	}
	d, err := b.dirs.use(p.dir)
	if err != nil {
		return nil, err
	}
	s := &sink{store: b, place: p, dir: d}
	if err := s.open(); err != nil {
		d.done()
		return nil, fmt.Errorf("create blob: %w", ioFault(err))
	}
	return s, nil
}

func (s *sink) open() (err error) {
	if !s.store.opts.NoTemp {
		s.file, err = openUnnamed(s.dir.file)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	s.named = true
	s.file, err = s.store.root.OpenFile(s.place.path(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return err
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.written += int64(n)
	if err != nil {
		return n, ioFault(err)
	}
	if s.written-s.flushed >= flushEvery {
		beginWriteOut(s.file, s.flushed, s.written-s.flushed)
		s.flushed = s.written
		return n, s.store.room()
	}
	return n, nil
}

// Commit implements files.BlobSink.
func (s *sink) Commit(context.Context) error {
	if s.ended {
		return errors.New("the blob has ended")
	}
	if err := s.commit(); err != nil {
		s.Abort()
		return ioFault(err)
	}
	s.ended = true
	s.dir.done()
	// Every byte has been synced: what close could still say is not about them.
	_ = s.file.Close()
	return nil
}

func (s *sink) commit() error {
	if err := s.store.opts.Syncing(s.file); err != nil {
		return fmt.Errorf("sync blob: %w", err)
	}
	if err := s.store.opts.At(StepSynced); err != nil {
		return err
	}
	if !s.named {
		if err := link(s.file, s.dir.file, s.place.name); err != nil {
			return fmt.Errorf("name blob: %w", err)
		}
		s.named = true
	}
	if err := s.store.opts.At(StepLinked); err != nil {
		s.named = false // as after a crash: the name stays
		return err
	}
	if err := s.dir.sync(); err != nil {
		return fmt.Errorf("sync blob directory: %w", err)
	}
	return nil
}

// Abort implements files.BlobSink.
func (s *sink) Abort() {
	if s.ended {
		return
	}
	s.ended = true
	if s.named {
		_ = s.store.root.Remove(s.place.path()) // the reaper finds what stays
	}
	s.dir.done()
	_ = s.file.Close() // the bytes are not wanted any more
}
