package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// partialsDir holds the bytes of resumable uploads, each under its id, on the same filesystem as the blobs: a whole one
// becomes a blob by a second name for the same bytes.
const partialsDir = "uploads"

const maxPartialName = 64

// makePartial makes the file of a new upload, and first the folder, durably, when this is the first of a process: another may have
// made the folder and ended before its name was durable.
func (b *Blobs) makePartial(name string) (*os.File, error) {
	if !b.dirs.owes(partialsDir) {
		f, err := b.createPartial(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	if err := b.dirs.make(partialsDir, "."); err != nil {
		return nil, err
	}
	return b.createPartial(name)
}

func (b *Blobs) createPartial(name string) (f *os.File, err error) {
	err = b.opts.around(Call{Kind: CallCreate, Path: name}, func() error {
		f, err = b.root.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
		return err
	})
	return f, err
}

// partialPath is where an upload's bytes lie. Ids are plain: they are never told by a client without a row behind them,
// and are looked at all the same.
func partialPath(id files.UploadID) (string, error) {
	if !isPartialName(string(id)) {
		return "", fmt.Errorf("%q is no upload id", id)
	}
	return path.Join(partialsDir, string(id)), nil
}

func isPartialName(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= maxPartialName
}

func errNoPartial() error { return fault.New(fault.NotFound, "no such bytes") }

// partialSink writes one upload's bytes.
type partialSink struct {
	growing
	broken bool
}

// AppendPartial implements files.Partials. The lock on the file is the kernel's: it holds between processes, and ends
// with the process that has it.
func (b *Blobs) AppendPartial(_ context.Context, p files.Partial) (files.PartialSink, error) {
	if err := b.room(); err != nil {
		return nil, err
	}
	name, err := partialPath(p.ID)
	if err != nil {
		return nil, err
	}
	var f *os.File
	if p.Size == 0 {
		f, err = b.makePartial(name)
	} else {
		f, err = b.root.OpenFile(name, os.O_WRONLY, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoPartial()
	}
	if err != nil {
		return nil, fmt.Errorf("open upload: %w", ioFault(err))
	}
	s := &partialSink{growing: growing{store: b, file: f, size: p.Size, flushed: p.Size}}
	if err := s.begin(p.Size); err != nil {
		_ = f.Close() // nothing has been written
		return nil, err
	}
	return s, nil
}

func (s *partialSink) begin(offset int64) error {
	if err := lockFile(s.file); err != nil {
		return fault.Wrap(fault.Conflict, "somebody writes these bytes", err)
	}
	info, err := s.file.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("look at upload: %w", ioFault(err))
	case info.Size() < offset:
		return errNoPartial()
	}
	if err := s.store.opts.cut(s.file, offset); err != nil {
		return fmt.Errorf("cut upload: %w", ioFault(err))
	}
	if _, err := s.file.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("go to the end of upload: %w", ioFault(err))
	}
	if offset > 0 {
		return nil
	}
	return s.store.syncPartialNames()
}

// syncPartialNames makes the names in the folder durable; calls of one moment share one fsync.
func (b *Blobs) syncPartialNames() error {
	d, err := b.dirs.use(partialsDir)
	if err != nil {
		return err
	}
	defer d.done()
	if err := d.sync(); err != nil {
		return fmt.Errorf("sync the folder of uploads: %w", ioFault(err))
	}
	return nil
}

// Sync implements files.PartialSink. After a failed fsync the kernel may call the next one a success: there is none.
func (s *partialSink) Sync(context.Context) ([]byte, error) {
	if s.broken {
		return nil, errors.New("an earlier sync has failed")
	}
	if err := s.store.opts.sync(s.file); err != nil {
		s.broken = true
		return nil, ioFault(err)
	}
	return nil, nil
}

// Close implements files.PartialSink.
func (s *partialSink) Close() error { return s.file.Close() }

// OpenPartial implements files.Partials.
func (b *Blobs) OpenPartial(_ context.Context, p files.Partial) (io.ReadCloser, error) {
	f, err := b.openPartial(p, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (b *Blobs) openPartial(p files.Partial, flags int) (*os.File, error) {
	name, err := partialPath(p.ID)
	if err != nil {
		return nil, err
	}
	f, err := b.root.OpenFile(name, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoPartial()
	}
	if err != nil {
		return nil, fmt.Errorf("open upload: %w", ioFault(err))
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = ioFault(err)
	case info.Size() < p.Size:
		err = errNoPartial()
	default:
		return f, nil
	}
	_ = f.Close() // nothing has been written
	return nil, err
}

// Promote implements files.Partials.
func (b *Blobs) Promote(_ context.Context, p files.Partial, blob files.BlobID) error {
	to, err := placeOf(blob)
	if err != nil {
		return err
	}
	f, err := b.openPartial(p, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.cut(f, p.Size); err != nil {
		return fmt.Errorf("cut upload: %w", ioFault(err))
	}
	d, err := b.dirs.use(to.dir)
	if err != nil {
		return err
	}
	defer d.done()
	err = b.opts.around(Call{Kind: CallLink, Path: to.path(), File: f}, func() error {
		return b.root.Link(path.Join(partialsDir, string(p.ID)), to.path())
	})
	if err != nil {
		return fmt.Errorf("name blob: %w", ioFault(err))
	}
	if err := b.opts.At(StepLinked); err != nil {
		return err
	}
	if err := d.sync(); err != nil {
		return fmt.Errorf("sync blob directory: %w", ioFault(err))
	}
	return nil
}

// cut removes what a writer that broke off left behind the last synced byte.
func (b *Blobs) cut(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() == size {
		return err
	}
	if err := b.opts.cut(f, size); err != nil {
		return err
	}
	return b.opts.sync(f)
}

// RemovePartials implements files.Partials. The folder is not synced: a name that comes back after a crash is found by
// the reaper and removed again.
func (b *Blobs) RemovePartials(_ context.Context, ids []files.UploadID) (failed error) {
	for _, id := range ids {
		name, err := partialPath(id)
		if err == nil {
			err = b.opts.remove(b.root, name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = first(failed, fmt.Errorf("remove upload: %w", ioFault(err)))
		}
	}
	return failed
}

// WalkPartials implements files.Partials.
func (b *Blobs) WalkPartials(_ context.Context, fn func(files.UploadID) error) error {
	err := b.names(partialsDir, func(name string) error {
		if !isPartialName(name) {
			return nil // not ours
		}
		return fn(files.UploadID(name))
	})
	if err != nil {
		return fmt.Errorf("walk uploads: %w", ioFault(err))
	}
	return nil
}
