package crashtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/files"
)

const (
	smallBytes = 48 << 10
	largeBytes = 2 << 20 // above files.SmallBytes: such an upload has a row of its own

	// later is how far the clock of a cell is ahead of the one its world was made under: tombstones are due.
	later = 25 * time.Hour
)

// world is what every cell begins with: three files, a tombstone, and what two crashed uploads have left, one with a row
// and one without, whose writer is dead.
type world struct {
	folder             string
	other, kept, large known // other is the one the scrub reads first
}

// known is a file as its owner knows it.
type known struct {
	id      string
	content []byte
}

var errCrash = errors.New("the process of the world's past has crashed")

// makeWorld makes the world in a folder.
func makeWorld(ctx context.Context, store Store, folder string, chance *rand.Rand) (_ *world, err error) {
	opened, err := store.Open(ctx, folder, Hooks{})
	if err != nil {
		return nil, fmt.Errorf("open the stores: %w", err)
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	crash := ""
	at := func(step string) error {
		if step == crash {
			return errCrash
		}
		return nil
	}
	core, err := newCore(opened, time.Now, at, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	ctx = as(ctx)
	create := func(size int) (known, error) {
		content := randomBytes(chance, size)
		f, err := core.Create(ctx, owner, files.NewFile{Name: "file", Size: int64(size)}, bytes.NewReader(content))
		return known{string(f.ID), content}, err
	}
	w := &world{folder: folder}
	gone := known{}
	for _, make := range []struct {
		file *known
		size int
	}{{&w.other, smallBytes}, {&w.kept, smallBytes}, {&w.large, largeBytes}, {&gone, smallBytes}} {
		if *make.file, err = create(make.size); err != nil {
			return nil, fmt.Errorf("make a file: %w", err)
		}
	}
	if err := errors.Join(core.Delete(ctx, owner, files.FileID(gone.id), true), core.Reap(ctx)); err != nil {
		return nil, fmt.Errorf("bury a file: %w", err)
	}
	for step, size := range map[string]int{files.StepDurable: smallBytes, files.StepChunk: largeBytes} {
		crash = step
		if _, err := create(size); !errors.Is(err, errCrash) {
			return nil, fmt.Errorf("crash at %s: %w", step, err)
		}
	}
	return w, nil
}

func randomBytes(chance *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		v := chance.Uint64()
		for k := i; k < min(i+8, n); k++ {
			b[k] = byte(v)
			v >>= 8
		}
	}
	return b
}

func digestOf(b []byte) string { return files.Digest(sha256.Sum256(b)).String() }

// copyTo makes a cell's own world. Blobs are never changed, so they are shared; rows are copied.
func (w *world) copyTo(folder string) error {
	return filepath.WalkDir(w.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(w.folder, path)
		if err != nil {
			return err
		}
		to := filepath.Join(folder, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o700)
		case strings.HasPrefix(rel, BlobFolder) && d.Name() != disk.PackName:
			return os.Link(path, to) //nolint:gosec // both are below a folder this run has just made
		default:
			return copyFile(path, to)
		}
	})
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// make, copy and drop are the store's, where it has them.

func (s Store) make(ctx context.Context, folder string) error {
	if s.Make == nil {
		return nil
	}
	return s.Make(ctx, folder)
}

func (s Store) copy(ctx context.Context, w *world, folder string) error {
	if s.Copy == nil {
		return w.copyTo(folder)
	}
	return s.Copy(ctx, w.folder, folder)
}

func (s Store) drop(ctx context.Context, folder string) error {
	if s.Drop == nil {
		return nil
	}
	return s.Drop(ctx, folder)
}
