package disk

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"cloakroom.dev/files-svc/internal/files"
)

// A pack is one file for the small blobs of a bucket. It begins with a table of one entry for each number of the bucket, so
// that a blob's id says where to look, and no index is kept anywhere. Behind it lie the contents, each from the
// beginning of a block: what is deleted is given back to the filesystem whole, and nothing is ever moved.
//
// Only the process that made a pack writes contents to it, at its end, as long as nothing has gone wrong with it. Entries are
// overwritten once, by whoever deletes: live becomes dead before the content is punched out. A crash leaves entries that no row
// knows, or contents of dead ones; both are what the reaper looks for anyway.
const (
	packBlock = 4 << 10
	entrySize = 16
	packTable = entrySize << bucketBits
)

// PackName is the name of a bucket's pack. A file of this name is written to in the middle: who copies a folder by links must
// copy it.
const PackName = "pack"

// packedBytes is how large a blob in a pack may be: what is held whole before it is written.
const packedBytes = heldBytes

// entryState is where a number stands in its pack.
type entryState byte

const (
	entryFree    entryState = iota // there is no such blob here
	entryLive                      // durable once the sync of its round has come back
	entryDead                      // deleted; its content may still be there
	entryDamaged                   // not what anybody has written
)

// slot is an entry as it is worked with.
type slot struct {
	state entryState
	block uint32 // where the content begins
	size  uint32
}

func (s slot) from() int64 { return int64(s.block) * packBlock }

// room is how many bytes the content occupies.
func (s slot) room() int64 { return inBlocks(int64(s.size)) }

func inBlocks(n int64) int64 { return (n + packBlock - 1) / packBlock * packBlock }

// entryMark begins an entry; the last of its bytes is the layout's number.
var entryMark = [3]byte{'C', 'P', 1}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode writes an entry. Its checksum covers the blob's id, so that no entry is taken for another's, in whatever folder.
func (s slot) encode(to []byte, id files.BlobID) {
	copy(to, entryMark[:])
	to[3] = byte(s.state)
	binary.LittleEndian.PutUint32(to[4:], s.block)
	binary.LittleEndian.PutUint32(to[8:], s.size)
	binary.LittleEndian.PutUint32(to[12:], entrySum(to, id))
}

func decodeEntry(from []byte, id files.BlobID) slot {
	if [entrySize]byte(from) == ([entrySize]byte{}) {
		return slot{}
	}
	s := slot{
		state: entryState(from[3]), block: binary.LittleEndian.Uint32(from[4:]), size: binary.LittleEndian.Uint32(from[8:]),
	}
	whole := [3]byte(from) == entryMark && binary.LittleEndian.Uint32(from[12:]) == entrySum(from, id)
	if !whole || s.state != entryLive && s.state != entryDead || s.size > packedBytes || s.from() < packTable {
		return slot{state: entryDamaged}
	}
	return s
}

func entrySum(entry []byte, id files.BlobID) uint32 {
	return crc32.Update(crc32.Checksum([]byte(id), castagnoli), castagnoli, entry[:12])
}

// slotOf is which entry of its pack a number has.
func slotOf(seq int64) int64 { return seq & (1<<bucketBits - 1) }

// errNoPack says that a small blob has to be a file of its own.
var errNoPack = errors.New("the pack takes no more")

// pack is the end of a pack that this process has made. It is used by whoever runs the round of its directory.
type pack struct {
	file   *os.File // nil before the first blob, and when it takes no more
	tail   int64
	filled int64 // up to where there are zeros to be written over
	used   [1 << bucketBits]bool
	full   bool // it takes no more: never again after a failure, since nobody knows what is in it
}

// packed is a blob on its way into a pack.
type packed struct {
	id   files.BlobID
	seq  int64
	data []byte
}

// close ends the writing. Others may remove the file when nothing lives in it.
func (p *pack) close() {
	p.full = true
	if p.file != nil {
		if p.filled > p.tail {
			_ = p.file.Truncate(p.tail) // else the zeros stay until the pack goes
		}
		_ = p.file.Close() // whatever was promised has been synced
		p.file = nil
	}
}

// append makes blobs durable in the directory's pack, all or none. made says that the pack is new: then its name is still to
// be made durable. errNoPack means that nothing was tried.
func (d *dir) append(blobs []packed) (made bool, err error) {
	p := &d.pack
	switch {
	case p.full:
		return false, errNoPack
	case p.file == nil:
		if err := d.makePack(); err != nil {
			p.full = true
			return false, err
		}
		made = true
	}
	if err := d.owner.opts.packs(p, blobs); err != nil {
		p.close()
		return made, err
	}
	return made, nil
}

// makePack makes the file, locked, so that nobody removes it while it grows. One that is there already is another life's.
func (d *dir) makePack() error {
	p, opts := &d.pack, d.owner.opts
	at := place{dir: d.path, name: PackName}
	err := opts.around(Call{Kind: CallCreate, Path: at.path()}, func() (err error) {
		p.file, err = createIn(d.owner.root, d.file, at)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return errNoPack
	}
	if err != nil {
		return err
	}
	p.tail, p.filled = packTable, packTable
	if lockFile(p.file) != nil || !hasName(p.file) {
		p.close()
		return errNoPack
	}
	return opts.At(StepPackMade)
}

func hasName(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || stat.Nlink > 0
}

// packs writes blobs and their entries, and syncs both with one call.
func (o *Options) packs(p *pack, blobs []packed) error {
	slices.SortFunc(blobs, func(a, b packed) int { return cmp.Compare(a.seq, b.seq) })
	tail := p.tail
	if err := o.writeEntries(p, blobs); err != nil {
		return err
	}
	if err := o.fill(p); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := o.writeAt(p.file, b.data, tail); err != nil {
			return err
		}
		tail += inBlocks(int64(len(b.data)))
	}
	if err := o.At(StepPacked); err != nil {
		return err
	}
	if err := o.syncData(p.file); err != nil {
		return err
	}
	return o.At(StepSynced)
}

// fillAhead is how many zeros are written ahead of a pack's contents at most, and fillAtFirst how many at least.
const (
	fillAhead   = 1 << 20
	fillAtFirst = 64 << 10
)

var zeros [fillAtFirst]byte

// fill writes zeros ahead of what comes, more of them as the pack grows. Contents that are written over them change neither the
// file's length nor its map of blocks: their sync has no commit of the filesystem's journal to wait for.
func (o *Options) fill(p *pack) error {
	if p.tail <= p.filled {
		return nil
	}
	ahead := min(max(p.tail-packTable, fillAtFirst), fillAhead)
	for to := p.tail + ahead; p.filled < to; {
		piece := zeros[:min(int64(len(zeros)), to-p.filled)]
		if err := o.writeAt(p.file, piece, p.filled); err != nil {
			return err
		}
		p.filled += int64(len(piece))
	}
	return nil
}

// writeEntries writes what the table will say of blobs, sorted by number, and moves the tail behind them. It comes before the contents:
// then no block is taken, by a process that is killed in between, that no entry speaks of.
func (o *Options) writeEntries(p *pack, blobs []packed) error {
	var run [16 * entrySize]byte // neighbours are written at once
	first, n := int64(0), int64(0)
	flush := func() error {
		err := o.writeAt(p.file, run[:n*entrySize], first*entrySize)
		n = 0
		return err
	}
	for _, b := range blobs {
		at := slotOf(b.seq)
		if p.used[at] {
			return fmt.Errorf("blob %s: %w", b.id, fs.ErrExist)
		}
		p.used[at] = true
		if at != first+n || n*entrySize == int64(len(run)) {
			if err := flush(); err != nil {
				return err
			}
			first = at
		}
		s := slot{state: entryLive, block: uint32(p.tail / packBlock), size: uint32(len(b.data))} // 4096 times 64 KiB at most
		s.encode(run[n*entrySize:], b.id)
		n++
		p.tail += s.room()
	}
	return flush()
}

func packPath(dir string) string { return path.Join(dir, PackName) }

// table reads all entries of a pack. fn gets each that is not free.
func (b *Blobs) table(f *os.File, epoch files.EpochID, bucket int64, fn func(id files.BlobID, s slot) error) error {
	raw := make([]byte, packTable)
	n, err := b.opts.readAt(f, raw, 0)
	if err != nil {
		return err
	}
	for i := int64(0); (i+1)*entrySize <= int64(n); i++ {
		entry := raw[i*entrySize:][:entrySize]
		if [entrySize]byte(entry) == ([entrySize]byte{}) {
			continue
		}
		id := files.NewBlobID(epoch, bucket<<bucketBits|i)
		if err := fn(id, decodeEntry(entry, id)); err != nil {
			return err
		}
	}
	return nil
}
