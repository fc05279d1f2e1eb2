package disk

import (
	"errors"
	"io"
	"os"

	"cloakroom.dev/files-svc/internal/files"
)

// Call is one call to the filesystem that changes it or reads bytes, as Options.Around sees it.
type Call struct {
	Kind CallKind
	Path string   // the name it makes or removes, below the root; empty for the other kinds
	File *os.File // what is written, cut, synced, read, or given its name; nil for a name that is made or removed otherwise
	At   int64    // where a patch or a punch begins
	Size int64    // how long it is
}

// CallKind says what a call does.
type CallKind string

// The kinds.
const (
	CallWrite  CallKind = "write"
	CallCut    CallKind = "cut"  // truncates
	CallSync   CallKind = "sync" // of a file or a directory
	CallRead   CallKind = "read"
	CallPatch  CallKind = "patch"  // writes At a place in a pack
	CallPunch  CallKind = "punch"  // takes a range out of a pack
	CallCreate CallKind = "create" // a file under its name
	CallLink   CallKind = "link"   // a second name, or the first of an unnamed file
	CallMkdir  CallKind = "mkdir"
	CallRemove CallKind = "remove"
)

// around makes a call, through Options.Around when there is one.
func (o *Options) around(c Call, do func() error) error {
	if o.Around == nil {
		return do()
	}
	return o.Around(c, do)
}

func (o *Options) write(f *os.File, p []byte) (n int, err error) {
	err = o.around(Call{Kind: CallWrite, File: f}, func() error {
		n, err = f.Write(p)
		return err
	})
	return n, err
}

func (o *Options) sync(f *os.File) error {
	return o.around(Call{Kind: CallSync, File: f}, func() error { return o.Syncing(f) })
}

// syncData makes bytes durable, and no more of the inode than is needed to read them.
func (o *Options) syncData(f *os.File) error {
	return o.around(Call{Kind: CallSync, File: f}, func() error { return o.syncingData(f) })
}

func (o *Options) writeAt(f *os.File, p []byte, at int64) error {
	if len(p) == 0 {
		return nil
	}
	return o.around(Call{Kind: CallPatch, File: f, At: at, Size: int64(len(p))}, func() error {
		_, err := f.WriteAt(p, at)
		return err
	})
}

func (o *Options) punch(f *os.File, at, size int64) error {
	if size == 0 {
		return nil
	}
	return o.around(Call{Kind: CallPunch, File: f, At: at, Size: size}, func() error { return punchHole(f, at, size) })
}

// readAt is f.ReadAt for which the end of the file is no error.
func (o *Options) readAt(f *os.File, p []byte, at int64) (n int, err error) {
	err = o.around(Call{Kind: CallRead, File: f}, func() error {
		n, err = f.ReadAt(p, at)
		return err
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (o *Options) cut(f *os.File, size int64) error {
	return o.around(Call{Kind: CallCut, File: f}, func() error { return f.Truncate(size) })
}

func (o *Options) remove(root *os.Root, path string) error {
	return o.around(Call{Kind: CallRemove, Path: path}, func() error { return root.Remove(path) })
}

// source is an open blob as its readers get it: the file itself, so that the kernel can send it, unless reads are
// watched.
func (o *Options) source(f *os.File) files.BlobSource {
	if o.Around == nil {
		return f
	}
	return watched{f, o}
}

// watched is a file whose reads go through Options.Around.
type watched struct {
	file *os.File
	opts *Options
}

func (w watched) Read(p []byte) (int, error) {
	return w.read(func() (int, error) { return w.file.Read(p) })
}

func (w watched) ReadAt(p []byte, at int64) (int, error) {
	return w.read(func() (int, error) { return w.file.ReadAt(p, at) })
}

func (w watched) read(do func() (int, error)) (n int, err error) {
	err = w.opts.around(Call{Kind: CallRead, File: w.file}, func() error {
		n, err = do()
		return err
	})
	return n, err
}

func (w watched) Seek(offset int64, whence int) (int64, error) { return w.file.Seek(offset, whence) }
func (w watched) Close() error                                 { return w.file.Close() }

var _ io.ReaderAt = watched{}
