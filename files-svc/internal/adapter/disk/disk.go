// Package disk keeps blobs as files in a folder, so that what was acknowledged survives kill -9 and power loss.
//
// The layout is <root>/<epoch>/<bucket>/<number>, and <root>/<epoch>/<bucket>/pack for small blobs. A writer fills one
// bucket after the other, so that the uploads of one moment lie in one directory and share its fsync. A blob is written to a
// file without a name (O_TMPFILE), synced, linked under its number, and then the directory is synced: before the link
// nothing of it is visible, and a crash leaves nothing. A small blob is held until it is whole, and then written to the pack
// of its bucket; where that has failed it becomes a file of its own, created under its number at once: one commit of the
// filesystem's journal has its name and its bytes. So does any blob where the filesystem knows no unnamed files. No row
// names it before both syncs, and the reaper finds what a crash leaves. Small blobs of one moment are synced in one round,
// and their directory once behind them.
//
// A failed fsync ends the blobs it was for, and its descriptor is never used again: the kernel may have dropped the data
// and call a second fsync a success. All paths go through os.Root, which can't leave the folder, or are one name in a
// directory that was opened so.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync/atomic"
	"syscall"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// bucketBits is how many numbers share a directory: 4096, which readdir and rmdir handle at once.
const bucketBits = 12

// Options is what New can be told; the zero value works.
type Options struct {
	At      func(step string) error // called at each named step (Steps); an error ends the commit there. For tests and the chaos matrix
	NoPacks bool                    // give each small blob a file of its own, as folders of older versions have it
	NoTemp  bool                    // create blobs under their names at once, as on a filesystem without unnamed files
	Syncing func(*os.File) error    // takes the place of fsync in tests

	// Around makes each call to the filesystem: it may fail instead of calling do, or look at what do has done. nil: do is
	// called. For tests and the chaos matrix.
	Around func(c Call, do func() error) error

	// KeepFree is how many bytes of the filesystem are left to others: writes that would go on below it are refused as on a
	// full disk. Zero leaves nothing.
	KeepFree int64

	syncingData func(*os.File) error
}

// The named steps of a commit.
const (
	StepSynced = "disk.synced" // the bytes are on disk; a large blob has no name yet
	StepLinked = "disk.linked" // the name is there, its directory is not synced

	StepPackMade    = "disk.pack_made"    // an empty pack is there, its directory is not synced
	StepPacked      = "disk.packed"       // a round's blobs are written to their pack, which is not synced
	StepPackMarked  = "disk.pack_marked"  // a blob in a pack is marked dead, its bytes are there
	StepPackPunched = "disk.pack_punched" // they are not, and nothing of it is synced
)

// Steps lists all steps of this package.
var Steps = []string{StepSynced, StepLinked, StepPackMade, StepPacked, StepPackMarked, StepPackPunched}

// Blobs is a files.Blobs on a local filesystem.
type Blobs struct {
	root   *os.Root
	folder *os.File // the root again, for questions about its filesystem
	dirs   *dirs
	opts   Options
	held   atomic.Int64 // bytes of packed blobs held for their readers
}

var _ files.Blobs = (*Blobs)(nil)

// New opens the folder, and makes it when it is not there. Close it.
func New(folder string, opts Options) (*Blobs, error) {
	if opts.At == nil {
		opts.At = func(string) error { return nil }
	}
	if opts.syncingData = opts.Syncing; opts.Syncing == nil {
		opts.Syncing, opts.syncingData = (*os.File).Sync, fdatasync
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the blob folder: %w", ioFault(err))
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open the blob folder: %w", ioFault(err))
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the blob folder: %w", ioFault(err)), root.Close())
	}
	b := &Blobs{root: root, folder: self, opts: opts}
	b.dirs = newDirs(root, &b.opts)
	return b, nil
}

// Close gives the folder back. Open readers go on.
func (b *Blobs) Close() error { return errors.Join(b.dirs.close(), b.folder.Close(), b.root.Close()) }

// room fails like a full disk when less than KeepFree is left for ordinary users of the filesystem.
func (b *Blobs) room() error {
	if b.opts.KeepFree <= 0 {
		return nil
	}
	free, err := b.Free()
	if err != nil {
		return nil //nolint:nilerr // who can't tell how full it is finds out by writing
	}
	if free < b.opts.KeepFree {
		return fault.New(fault.StorageFull, "no room left for uploads")
	}
	return nil
}

// Free is how many bytes ordinary users of the filesystem may still write.
func (b *Blobs) Free() (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(int(b.folder.Fd()), &fs); err != nil {
		return 0, fmt.Errorf("ask how full the filesystem is: %w", err)
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil //nolint:unconvert // the types differ between systems
}

// place is where a blob lies.
type place struct {
	dir  string // below the root
	name string
}

func (p place) path() string { return path.Join(p.dir, p.name) }

// placeOf reads a blob's place out of its id.
func placeOf(id files.BlobID) (place, error) {
	epoch, seq, ok := id.Split()
	if !ok || !isEpoch(string(epoch)) {
		return place{}, fmt.Errorf("%q is no blob id", id)
	}
	return place{dir: path.Join(string(epoch), bucketName(seq>>bucketBits)), name: strconv.FormatInt(seq, 16)}, nil
}

func bucketName(n int64) string { return strconv.FormatInt(n, 16) }

// bucketNumber reads a bucket's name.
func bucketNumber(name string) (int64, bool) {
	n, err := strconv.ParseInt(name, 16, 64)
	return n, err == nil && n >= 0 && bucketName(n) == name
}

// isEpoch reports whether s may be an epoch's directory: a UUID in lower case. Nothing else in the folder is ours.
func isEpoch(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
		if dash != (c == '-') || !dash && !hex {
			return false
		}
	}
	return true
}

// Open implements files.Blobs. A blob that is a file of its own is an *os.File: it outlives its name, and the kernel can
// send it. So are small ones of older versions and where a pack has failed, and those that were put back from a backup: a file
// comes before what the pack has.
func (b *Blobs) Open(_ context.Context, id files.BlobID, size int64) (files.BlobSource, error) {
	p, err := placeOf(id)
	if err != nil {
		return nil, err
	}
	src, err := b.openFile(id, p, size)
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return b.openPacked(id, p, size)
	}
	return src, err
}

// openFile opens a blob that is a file of its own.
func (b *Blobs) openFile(id files.BlobID, p place, size int64) (files.BlobSource, error) {
	f, err := b.root.Open(p.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoBlob()
	}
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", ioFault(err))
	}
	info, err := f.Stat()
	if err == nil && (info.Size() != size || !info.Mode().IsRegular()) {
		err = fmt.Errorf("blob %s has %d bytes, not %d", id, info.Size(), size)
	}
	if err != nil {
		_ = f.Close() // opened for reading: nothing to lose
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return b.opts.source(f), nil
}

// ioFault says what a filesystem's error means to the core; what is left is internal.
func ioFault(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fault.Wrap(fault.StorageFull, "no room left in the storage", err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOENT):
		return fault.Wrap(fault.Unavailable, "the storage is not available", err)
	default:
		return err
	}
}
