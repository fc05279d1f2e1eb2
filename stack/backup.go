package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/sqlite"
)

const backupUsage = `Copies everything in DATA_DIR to a folder from which a stack can be started, also while the stack serves. A second backup into
the same folder copies the databases, the packs of small contents, and of larger ones only those that are new. The folder holds keys
and passwords' hashes: keep it as you keep DATA_DIR.`

func backupCommand(ctx context.Context, args []string, to run.IO) (err error) {
	var data, into string
	fs := run.Flags("backup", backupUsage, to)
	fs.StringVar(&data, "data", env("DATA_DIR", ".data"), "the stack's folder (environment: DATA_DIR)")
	fs.StringVar(&into, "to", "", "folder that gets the copy; it is made when it is missing")
	if err := run.ParseFlags(fs, args, 0, 0); err != nil {
		return err
	}
	if into == "" {
		return fmt.Errorf("%w: --to FOLDER is needed", run.ErrUsage)
	}
	switch inside, err := within(data, into); {
	case err != nil:
		return fmt.Errorf("find the data folder: %w", err)
	case inside:
		return fmt.Errorf("%w: --to must lie outside DATA_DIR: what happens to one must not happen to both", run.ErrUsage)
	}
	target, err := openFolder(into, "--to") // no stack may serve from it, now or meanwhile
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.close()) }()
	c := copying{data: data, into: into}
	defer c.tell(to.Stderr, tellEvery)()
	contents, err := c.all(ctx)
	if err == nil {
		_, err = fmt.Fprintf(to.Stdout, "%s is backed up in %s; %d contents are new there\n", data, into, contents)
	}
	return err
}

// copying is one run of the command.
type copying struct {
	data, into string
	now        atomic.Pointer[string] // the file or folder that is being copied
	looked     atomic.Int64           // how many files of a folder it has come past
}

// tellEvery is how often a long backup says how far it is.
const tellEvery = 2 * time.Second

// tell says now and then how far the copying is, until it is stopped.
func (c *copying) tell(w io.Writer, every time.Duration) (stop func()) {
	ticker, done := time.NewTicker(every), make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if name := c.now.Load(); name != nil {
					_, _ = fmt.Fprintf(w, "copying %s; %d files looked at\n", *name, c.looked.Load())
				}
			}
		}
	})
	return func() {
		ticker.Stop()
		close(done)
		told.Wait()
	}
}

// within reports whether a path, which need not be there, is a folder or lies in it.
func within(folder, path string) (bool, error) {
	top, err := os.Stat(folder)
	if err != nil {
		return false, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return false, err
	}
	for {
		if here, err := os.Stat(path); err == nil && os.SameFile(top, here) {
			return true, nil
		}
		above := filepath.Dir(path)
		if above == path {
			return false, nil
		}
		path = above
	}
}

// all copies in the order that makes the copy whole. Contents come after the catalogue that names them: they outlive their last
// row by restoreHorizon. People come after files: whoever signs up in between has no files yet, and who is deleted in between is in the
// log that has the files erased.
func (c *copying) all(ctx context.Context) (contents int, err error) {
	for _, name := range []string{"files.db", "auth.db"} {
		c.now.Store(&name)
		if err := sqlite.Backup(ctx, filepath.Join(c.data, name), filepath.Join(c.into, name)); err != nil {
			return 0, err
		}
	}
	for _, name := range []string{"config", "secrets", "bootstrap.json", "files.db.cursor-key"} {
		if _, err := c.tree(ctx, name, true); err != nil {
			return 0, err
		}
	}
	return c.tree(ctx, "blobs", false)
}

const (
	// packName is what files-svc calls the files in which small contents lie together.
	packName = "pack"
	// uploadsName is its folder of uploads under way, whose files are cut and written over when a part comes again.
	uploadsName = "uploads"
)

// tree copies what is below a name, and counts the files it wrote. Without again it leaves alone what is there with its
// size: contents never change, but for packs, which small ones are written into, and uploads under way. What goes while it
// looks is skipped: no row of the catalogue needs it.
func (c *copying) tree(ctx context.Context, name string, again bool) (written int, err error) {
	c.now.Store(&name)
	err = filepath.WalkDir(filepath.Join(c.data, name), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(c.data, path)
		if err != nil {
			return err
		}
		target := filepath.Join(c.into, below)
		if e.IsDir() {
			return makeFolder(target)
		}
		c.looked.Add(1)
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			return nil
		}
		changes := again || e.Name() == packName || filepath.Base(filepath.Dir(path)) == uploadsName
		if have, err := os.Stat(target); err == nil && !changes && have.Size() == info.Size() {
			return nil
		}
		if err = copyFile(path, target); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		written++
		return err
	})
	if err != nil {
		return written, fmt.Errorf("back up %s: %w", name, err)
	}
	return written, nil
}

// makeFolder makes a folder whose name survives a power cut, like those of the files in it.
func makeFolder(path string) error {
	switch err := os.Mkdir(path, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// copyFile writes a whole file or none.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(copySparse(target, source), target.Sync(), target.Close()); err != nil {
		return errors.Join(err, os.Remove(to+".part"))
	}
	if err := os.Rename(to+".part", to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

// copySparse leaves holes where there are only zeros: in a pack that is what was deleted.
func copySparse(target *os.File, source io.Reader) error {
	buf, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	size := int64(0)
	for {
		n, err := io.ReadFull(source, buf)
		if n > 0 && !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := target.WriteAt(buf[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return target.Truncate(size)
		case err != nil:
			return err
		}
	}
}
