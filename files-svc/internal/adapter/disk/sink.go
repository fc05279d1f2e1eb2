package disk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"cloakroom.dev/files-svc/internal/files"
)

// sink is one blob being written.
type sink struct {
	place place
	dir   *dir
	growing
	named bool // under its name already
	ended bool
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
	s := &sink{growing: growing{store: b}, place: p, dir: d}
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
	return s.store.opts.around(Call{Kind: CallCreate, Path: s.place.path()}, func() error {
		s.file, err = s.store.root.OpenFile(s.place.path(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
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
	if err := s.store.opts.sync(s.file); err != nil {
		return fmt.Errorf("sync blob: %w", err)
	}
	if err := s.store.opts.At(StepSynced); err != nil {
		return err
	}
	if !s.named {
		err := s.store.opts.around(Call{Kind: CallLink, Path: s.place.path(), File: s.file}, func() error {
			return link(s.file, s.dir.file, s.place.name)
		})
		if err != nil {
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
		_ = s.store.opts.remove(s.store.root, s.place.path()) // the reaper finds what stays
	}
	s.dir.done()
	_ = s.file.Close() // the bytes are not wanted any more
}
