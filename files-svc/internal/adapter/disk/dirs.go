package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
)

// maxOpenDirs bounds the directories kept open. Uploads of one moment share one or two; a very long upload comes back to
// an old one.
const maxOpenDirs = 8

// dirs keeps the directories open in which uploads are being linked.
type dirs struct {
	root *os.Root
	opts *Options

	mu   sync.Mutex
	open map[string]*dir
	uses int64

	owing sync.Mutex
	owed  map[string]bool // directories whose names nobody has synced: the one an earlier process made, or one whose sync failed
}

func newDirs(root *os.Root, opts *Options) *dirs {
	return &dirs{root: root, opts: opts, open: map[string]*dir{}, owed: map[string]bool{partialsDir: true}}
}

// dir is an open directory whose syncs are shared.
type dir struct {
	owner *dirs
	path  string
	file  *os.File
	users int   // guarded by owner.mu
	last  int64 // when it was used last; likewise

	turn   chan struct{} // held by who syncs; guards broken
	broken error         // the first failure: this descriptor is never synced again
	pack   pack          // where its small blobs go; used by who holds turn
	mu     sync.Mutex
	next   *round // those who wait for the round after the one under way
}

// use opens a directory, durably making it first when it is not there. Give it back with done.
func (ds *dirs) use(path string) (*dir, error) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.uses++
	if d := ds.open[path]; d != nil {
		d.users++
		d.last = ds.uses
		return d, nil
	}
	f, err := ds.openOrMake(path)
	if err != nil {
		return nil, fmt.Errorf("open blob directory: %w", ioFault(err))
	}
	ds.shrink()
	d := &dir{owner: ds, path: path, file: f, users: 1, last: ds.uses, turn: make(chan struct{}, 1)}
	ds.open[path] = d
	return d, nil
}

// done gives the directory back. It stays open for the next upload unless it has been dropped.
func (d *dir) done() {
	d.owner.mu.Lock()
	defer d.owner.mu.Unlock()
	d.users--
	if d.users == 0 && d.owner.open[d.path] != d {
		_ = d.close()
	}
}

// close is for a directory nobody uses. Its syncs have been told already.
func (d *dir) close() error {
	d.pack.close()
	return d.file.Close()
}

// drop makes the next use open the directory anew: after a failed fsync this descriptor can't be trusted.
func (d *dir) drop() {
	d.owner.mu.Lock()
	defer d.owner.mu.Unlock()
	if d.owner.open[d.path] == d {
		delete(d.owner.open, d.path)
	}
}

// shrink closes directories nobody uses when there are too many, those first that were used longest ago: a pack is not
// opened again once it has been closed.
func (ds *dirs) shrink() {
	for len(ds.open) >= maxOpenDirs {
		var oldest *dir
		for _, d := range ds.open {
			if d.users == 0 && (oldest == nil || d.last < oldest.last) {
				oldest = d
			}
		}
		if oldest == nil {
			return
		}
		_ = oldest.close()
		delete(ds.open, oldest.path)
	}
}

// retire closes the directories of an epoch in which nobody may write any more.
func (ds *dirs) retire(epoch string) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for p, d := range ds.open {
		if path.Dir(p) != epoch {
			continue
		}
		delete(ds.open, p)
		if d.users == 0 {
			_ = d.close()
		}
	}
}

func (ds *dirs) close() error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	var errs []error
	for path, d := range ds.open {
		delete(ds.open, path)
		if d.users == 0 {
			errs = append(errs, d.close())
		}
	}
	return errors.Join(errs...)
}

// openOrMake opens bucket directories. Making one makes its name durable before anything can be linked in it.
func (ds *dirs) openOrMake(bucket string) (*os.File, error) {
	epoch := path.Dir(bucket)
	if !ds.owes(epoch) && !ds.owes(bucket) {
		f, err := ds.root.Open(bucket)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	if epoch != "." {
		if err := ds.make(epoch, "."); err != nil {
			return nil, err
		}
	}
	if err := ds.make(bucket, epoch); err != nil {
		return nil, err
	}
	return ds.root.Open(bucket)
}

func (ds *dirs) make(name, parent string) error {
	err := ds.opts.around(Call{Kind: CallMkdir, Path: name}, func() error { return ds.root.Mkdir(name, 0o700) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = ds.syncOnce(parent)
	ds.owing.Lock()
	defer ds.owing.Unlock()
	if ds.owed[name] = true; err == nil {
		delete(ds.owed, name)
	}
	return err
}

// owes reports whether a directory was made and its name may not outlive a power cut: whoever comes next must sync it.
func (ds *dirs) owes(name string) bool {
	ds.owing.Lock()
	defer ds.owing.Unlock()
	return ds.owed[name]
}

// syncOnce makes the names in a directory durable, with a descriptor of its own.
func (ds *dirs) syncOnce(name string) error {
	f, err := ds.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return ds.opts.sync(f)
}
