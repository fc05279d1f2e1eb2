package disk

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"cloakroom.dev/files-svc/internal/files"
)

// heldBytes is how small a blob is that touches the disk only when it is whole. Who writes in pieces and pauses between
// them holds the first piece, which the core keeps small.
const heldBytes = 64 << 10

// sink is one blob being written.
type sink struct {
	id    files.BlobID
	place place
	dir   *dir
	growing
	held  []byte // what there is so far, while there is no file
	page  *page  // what held is in, while it fits
	named bool   // under its name already
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
	return &sink{growing: growing{store: b}, id: id, place: p, dir: d}, nil
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	if s.file == nil {
		if len(s.held)+len(p) <= heldBytes {
			s.hold(p)
			return len(p), nil
		}
		if err := s.spill(s.open); err != nil {
			return 0, err
		}
	}
	return s.growing.Write(p)
}

// page is where most small blobs are held.
type page [4 << 10]byte

var pages = sync.Pool{New: func() any { return new(page) }}

// hold keeps a piece until the blob is whole.
func (s *sink) hold(p []byte) {
	if s.held == nil && len(p) <= len(page{}) { // later it would take the place of what is held already
		s.page = pages.Get().(*page)
		s.held = s.page[:0]
	}
	s.held = append(s.held, p...)
}

// letGo gives back what the held bytes were in.
func (s *sink) letGo() {
	s.held = nil
	if s.page != nil {
		pages.Put(s.page)
		s.page = nil
	}
}

// spill makes the file, and writes what was held to it.
func (s *sink) spill(open func() error) error {
	if err := open(); err != nil {
		return fmt.Errorf("create blob: %w", ioFault(err))
	}
	defer s.letGo()
	if len(s.held) == 0 {
		return nil
	}
	_, err := s.growing.Write(s.held)
	return err
}

// open makes a file without a name where there is such a thing.
func (s *sink) open() (err error) {
	if !s.store.opts.NoTemp {
		s.file, err = openUnnamed(s.dir.file)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return s.create()
}

// create makes the file under its name.
func (s *sink) create() (err error) {
	return s.store.opts.around(Call{Kind: CallCreate, Path: s.place.path()}, func() error {
		s.file, err = createIn(s.store.root, s.dir.file, s.place)
		s.named = err == nil
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
	if s.file != nil {
		_ = s.file.Close() // every byte has been synced: what close could still say is not about them
	}
	return nil
}

func (s *sink) commit() error {
	if s.file != nil {
		return s.commitLarge()
	}
	_, seq, _ := s.id.Split()
	if err := s.dir.keep(&entry{packed: packed{s.id, seq, s.held}, sync: s.single}); err != nil {
		return fmt.Errorf("sync blob: %w", err)
	}
	s.letGo()
	return nil
}

// single makes a small blob a file of its own. Its name and its bytes go into one commit of the filesystem's journal, where an
// unnamed file costs two.
func (s *sink) single() error {
	if err := s.spill(s.create); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	return s.linked()
}

// commitLarge syncs the bytes by itself, since nobody else should wait for them, and before they have a name where that can
// be: a crash in the middle of gigabytes leaves none.
func (s *sink) commitLarge() error {
	if err := s.settle(); err != nil {
		return fmt.Errorf("sync blob: %w", err)
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
	if err := s.linked(); err != nil {
		return err
	}
	if err := s.dir.sync(); err != nil {
		return fmt.Errorf("sync blob directory: %w", err)
	}
	return nil
}

// settle makes the bytes durable.
func (s *sink) settle() error {
	if err := s.store.opts.sync(s.file); err != nil {
		return err
	}
	return s.store.opts.At(StepSynced)
}

// linked is the moment before the directory's sync.
func (s *sink) linked() error {
	err := s.store.opts.At(StepLinked)
	if err != nil {
		s.named = false // as after a crash: the name stays
	}
	return err
}

// Abort implements files.BlobSink.
func (s *sink) Abort() {
	if s.ended {
		return
	}
	s.ended = true
	s.letGo()
	if s.named {
		_ = s.store.opts.remove(s.store.root, s.place.path()) // the reaper finds what stays
	}
	s.dir.done()
	if s.file != nil {
		_ = s.file.Close() // the bytes are not wanted any more
	}
}
