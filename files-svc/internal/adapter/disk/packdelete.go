package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"cloakroom.dev/files-svc/internal/files"
)

// unpack deletes those of a bucket's blobs that lie in its pack. It returns those that are gone from there for good, and the rest,
// which were never there. Of what is in neither, err is the first failure.
//
// Dead comes before the hole: a reader that finds its blob alive after it has read has read the blob. Both are durable after one
// sync, and a crash in between is mended by deleting again, as the row still asks for. Dead entries stay: no number is used twice.
func (b *Blobs) unpack(dir string, ids []files.BlobID) (inPack, rest []files.BlobID, failed error) {
	f, err := b.root.OpenFile(packPath(dir), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ids, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open pack: %w", ioFault(err))
	}
	defer f.Close()
	for _, id := range ids {
		found, err := b.bury(f, id)
		switch {
		case err != nil:
			failed = first(failed, fmt.Errorf("delete blob %s: %w", id, ioFault(err)))
		case found:
			inPack = append(inPack, id)
		default:
			rest = append(rest, id)
		}
	}
	if len(inPack) == 0 {
		return nil, rest, failed
	}
	if err := b.opts.At(StepPackPunched); err != nil {
		return nil, rest, first(failed, err)
	}
	if err := b.opts.syncData(f); err != nil {
		return nil, rest, first(failed, fmt.Errorf("sync pack: %w", ioFault(err)))
	}
	return inPack, rest, first(failed, b.removeIfDead(f, dir))
}

// bury makes one entry dead and gives its room back. It reports whether the blob is this pack's, dead or alive.
func (b *Blobs) bury(f *os.File, id files.BlobID) (found bool, err error) {
	_, seq, _ := id.Split()
	var raw [entrySize]byte
	if _, err := b.opts.readAt(f, raw[:], slotOf(seq)*entrySize); err != nil {
		return false, err
	}
	s := decodeEntry(raw[:], id)
	switch s.state {
	case entryFree:
		return false, nil
	case entryDead: // maybe a crash's
	default:
		if s.state == entryDamaged { // where its content lies is lost; it goes with the pack
			s = slot{block: packTable / packBlock}
		}
		s.state = entryDead
		s.encode(raw[:], id)
		if err := b.opts.writeAt(f, raw[:], slotOf(seq)*entrySize); err != nil {
			return false, err
		}
	}
	if err := b.opts.At(StepPackMarked); err != nil {
		return false, err
	}
	return true, b.opts.punch(f, s.from(), s.room())
}

// removeIfDead removes a pack in which nothing lives, unless its writer is there. A crash may bring it back, as empty as it
// was; then it goes with its epoch.
func (b *Blobs) removeIfDead(f *os.File, dir string) error {
	if !locksHold || lockFile(f) != nil {
		return nil
	}
	return b.removePack(f, dir)
}

func (b *Blobs) removePack(f *os.File, dir string) error {
	lives := errors.New("something lives here")
	epoch, bucket, err := bucketOf(dir)
	if err == nil {
		err = b.table(f, epoch, bucket, func(_ files.BlobID, s slot) error {
			if s.state != entryDead {
				return lives
			}
			return nil
		})
	}
	if err == nil {
		err = b.opts.remove(b.root, packPath(dir))
	}
	if err == nil || errors.Is(err, lives) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("remove pack: %w", ioFault(err))
}

// forgetPack removes the pack of a bucket in which nobody may write any more, when nothing lives in it.
func (b *Blobs) forgetPack(dir string) error {
	f, err := b.root.Open(packPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open pack: %w", ioFault(err))
	}
	defer f.Close()
	return b.removePack(f, dir)
}

// bucketOf reads a bucket's directory.
func bucketOf(dir string) (files.EpochID, int64, error) {
	epoch, name := path.Split(dir)
	n, ok := bucketNumber(name)
	if !ok {
		return "", 0, fmt.Errorf("%q is no bucket", dir)
	}
	return files.EpochID(path.Clean(epoch)), n, nil
}
