package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"syscall"

	"cloakroom.dev/files-svc/internal/files"
)

// namesAtOnce bounds how many names of a directory are in memory.
const namesAtOnce = 1024

// Delete implements files.Blobs. Each directory is synced once, also when the name was gone before: a crash may have
// come between an earlier removal and its sync.
func (b *Blobs) Delete(ctx context.Context, ids []files.BlobID) (gone []files.BlobID, failed error) {
	byDir := map[string][]files.BlobID{}
	for _, id := range ids {
		p, err := placeOf(id)
		if err != nil {
			failed = first(failed, fmt.Errorf("delete blob %s: %w", id, err))
			continue
		}
		byDir[p.dir] = append(byDir[p.dir], id)
	}
	for dir, ids := range byDir {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		removed, err := b.deleteIn(dir, ids)
		failed = first(failed, err)
		gone = append(gone, removed...)
	}
	slices.Sort(gone)
	return gone, failed
}

// deleteIn is Delete for the blobs of one directory.
func (b *Blobs) deleteIn(dir string, ids []files.BlobID) (gone []files.BlobID, failed error) {
	inPack, rest, failed := b.unpack(dir, ids)
	sync := len(rest) > 0 // a crash may have come between an earlier removal and its sync
	for _, id := range slices.Concat(inPack, rest) {
		p, err := placeOf(id)
		if err == nil {
			err = b.opts.remove(b.root, p.path())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = first(failed, fmt.Errorf("delete blob %s: %w", id, ioFault(err)))
			continue
		}
		sync = sync || err == nil
		gone = append(gone, id)
	}
	if !sync {
		return gone, failed
	}
	if err := b.syncUp(dir); err != nil {
		return nil, first(failed, fmt.Errorf("sync after deleting blobs: %w", ioFault(err)))
	}
	return gone, failed
}

func first(err, next error) error {
	if err != nil {
		return err
	}
	return next
}

// syncUp syncs a directory, or the nearest one above it when it is gone itself.
func (b *Blobs) syncUp(dir string) error {
	for {
		err := b.dirs.syncOnce(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == "." {
			return err
		}
		dir = path.Dir(dir)
	}
}

// Epochs implements files.BlobKeys.
func (b *Blobs) Epochs(context.Context) ([]files.EpochID, error) {
	var found []files.EpochID
	err := b.names(".", func(name string) error {
		if isEpoch(name) {
			found = append(found, files.EpochID(name))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list epochs: %w", ioFault(err))
	}
	slices.Sort(found)
	return found, nil
}

// Walk implements files.BlobKeys.
func (b *Blobs) Walk(ctx context.Context, epoch files.EpochID, from int64, fn func(files.BlobID) error) error {
	buckets, err := b.buckets(epoch)
	if err != nil {
		return err
	}
	for _, bucket := range buckets {
		if bucket < from>>bucketBits {
			continue
		}
		dir := path.Join(string(epoch), bucketName(bucket))
		err := b.names(dir, func(name string) error {
			seq, err := strconv.ParseInt(name, 16, 64)
			id := files.NewBlobID(epoch, seq)
			p, _ := placeOf(id)
			if err != nil || seq < from || p.dir != dir || p.name != name {
				return ctx.Err() // not a key of ours
			}
			return fn(id)
		})
		if err == nil {
			err = b.walkPack(epoch, bucket, from, fn)
		}
		if err != nil {
			return fmt.Errorf("walk blobs: %w", ioFault(err))
		}
	}
	return nil
}

// walkPack is Walk for a bucket's pack. A damaged entry is a key: whoever asks for its blob hears of it, and it can be
// deleted.
func (b *Blobs) walkPack(epoch files.EpochID, bucket, from int64, fn func(files.BlobID) error) error {
	f, err := b.root.Open(packPath(path.Join(string(epoch), bucketName(bucket))))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return b.table(f, epoch, bucket, func(id files.BlobID, s slot) error {
		if _, seq, _ := id.Split(); s.state == entryDead || seq < from {
			return nil
		}
		return fn(id)
	})
}

// buckets lists the bucket numbers of an epoch in their order.
func (b *Blobs) buckets(epoch files.EpochID) ([]int64, error) {
	if !isEpoch(string(epoch)) {
		return nil, fmt.Errorf("%q is no epoch", epoch)
	}
	var found []int64
	err := b.names(string(epoch), func(name string) error {
		if n, ok := bucketNumber(name); ok {
			found = append(found, n)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list buckets: %w", ioFault(err))
	}
	slices.Sort(found)
	return found, nil
}

// names calls fn for each name in a directory. One that is not there has none.
func (b *Blobs) names(dir string, fn func(name string) error) error {
	f, err := b.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		batch, err := f.Readdirnames(namesAtOnce)
		for _, name := range batch {
			if err := fn(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Forget implements files.BlobKeys.
func (b *Blobs) Forget(_ context.Context, epoch files.EpochID) error {
	b.dirs.retire(string(epoch))
	buckets, err := b.buckets(epoch)
	if err != nil {
		return err
	}
	for _, bucket := range buckets {
		dir := path.Join(string(epoch), bucketName(bucket))
		if err := b.forgetPack(dir); err != nil {
			return err
		}
		if err := b.removeEmpty(dir); err != nil {
			return err
		}
	}
	if err := b.removeEmpty(string(epoch)); err != nil {
		return err
	}
	return ioFault(b.dirs.syncOnce("."))
}

func (b *Blobs) removeEmpty(dir string) error {
	err := b.opts.remove(b.root, dir)
	if err == nil || errors.Is(err, fs.ErrNotExist) || isNotEmpty(err) {
		return nil
	}
	return fmt.Errorf("remove empty directory: %w", ioFault(err))
}

func isNotEmpty(err error) bool {
	var e *os.PathError
	return errors.As(err, &e) && (errors.Is(e.Err, syscall.ENOTEMPTY) || errors.Is(e.Err, syscall.EEXIST))
}
