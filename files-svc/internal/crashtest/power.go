package crashtest

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"cloakroom.dev/files-svc/internal/adapter/disk"
)

// power knows what of a blob folder would survive a power cut, by the letter of POSIX: bytes that a sync of their file
// has covered, and names that a sync of their directory has covered. cut brings the folder into that state. Filesystems
// keep more than that, each its own; nothing may rely on it.
type power struct {
	root   string
	attic  string // keeps what was removed and may come back; on the same filesystem, outside of root
	chance *rand.Rand

	mu       sync.Mutex
	durable  map[uint64]int64   // by inode: how many bytes survive; files this process has not written survive whole
	patches  map[uint64][]patch // by inode: what was there before writes into the middle that are not durable, in order
	names    []nameChange       // not durable yet, in order
	kept     int                // names in the attic
	broken   map[*os.File]bool
	resynced int // syncs of a descriptor whose sync has failed before
}

// nameChange is a name that was made or removed.
type nameChange struct {
	dir   uint64 // inode of its directory
	path  string
	added bool
	saved string // of a removed file: where it is kept; empty for a directory
}

func newPower(root, attic string, chance *rand.Rand) *power {
	return &power{root: root, attic: attic, chance: chance, durable: map[uint64]int64{}, patches: map[uint64][]patch{}, broken: map[*os.File]bool{}}
}

// around makes a call and takes note of it.
func (p *power) around(c disk.Call, do func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch c.Kind {
	case disk.CallWrite, disk.CallCut, disk.CallSync, disk.CallPatch, disk.CallPunch:
		return p.onFile(c, do)
	default:
		return p.onName(c, do)
	}
}

func (p *power) onFile(c disk.Call, do func() error) error {
	before, err := c.File.Stat()
	if err != nil {
		return err
	}
	node := inode(before)
	_, known := p.durable[node]
	if fresh := !known || before.Size() == 0; fresh && !before.IsDir() && c.Kind != disk.CallSync { // inodes come back
		p.durable[node] = before.Size()
		delete(p.patches, node)
	}
	if c.Kind == disk.CallSync && p.broken[c.File] {
		p.resynced++
	}
	if err := p.remember(node, c); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	switch {
	case c.Kind == disk.CallSync && before.IsDir():
		p.settle(node)
	case c.Kind == disk.CallSync:
		p.durable[node] = before.Size()
		delete(p.patches, node)
	case c.Kind == disk.CallCut:
		after, err := c.File.Stat()
		if err != nil {
			return err
		}
		p.durable[node] = min(p.durable[node], after.Size())
	}
	return nil
}

// patch is what was there before a write, or a hole, in the middle of a file.
type patch struct {
	at   int64
	data []byte
}

// remember keeps what a call is about to write over, of the bytes that would survive.
func (p *power) remember(node uint64, c disk.Call) error {
	if c.Kind != disk.CallPatch && c.Kind != disk.CallPunch || c.At >= p.durable[node] {
		return nil
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(c.File.Fd()))) // c.File may be for writing only
	if err != nil {
		return err
	}
	defer f.Close()
	old := make([]byte, min(c.Size, p.durable[node]-c.At))
	if _, err := f.ReadAt(old, c.At); err != nil {
		return err
	}
	p.patches[node] = append(p.patches[node], patch{c.At, old})
	return nil
}

// undo takes back writes into the middle of a file, each by chance: a disk may have written any of them, and sectors of one
// apart.
func (p *power) undo(path string, patches []patch) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, was := range slices.Backward(patches) {
		for at := int64(0); at < int64(len(was.data)); {
			end := min((was.at+at)/sector*sector+sector-was.at, int64(len(was.data)))
			if p.chance.IntN(2) == 0 {
				if _, err := f.WriteAt(was.data[at:end], was.at+at); err != nil {
					return err
				}
			}
			at = end
		}
	}
	return nil
}

// sector is what a disk writes whole or not at all.
const sector = 512

// settle makes the names of a directory durable.
func (p *power) settle(dir uint64) {
	open := p.names[:0]
	for _, n := range p.names {
		if n.dir != dir {
			open = append(open, n)
		}
	}
	p.names = open
}

func (p *power) onName(c disk.Call, do func() error) error {
	full := filepath.Join(p.root, c.Path)
	above, err := os.Stat(filepath.Dir(full))
	if err != nil {
		return do() // fails in its own words
	}
	change := nameChange{dir: inode(above), path: full, added: c.Kind != disk.CallRemove}
	before, err := os.Lstat(full)
	there := err == nil
	if there && !change.added && !before.IsDir() {
		p.kept++
		change.saved = filepath.Join(p.attic, strconv.Itoa(p.kept))
		if err := os.Link(full, change.saved); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if there != change.added { // a name that was there is not made; one that was not there is not removed
		p.names = append(p.names, change)
	}
	return nil
}

// failed takes note of a call that a fault has refused.
func (p *power) failed(c disk.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Kind != disk.CallSync {
		return
	}
	if p.broken[c.File] {
		p.resynced++
	}
	p.broken[c.File] = true
}

func (p *power) resyncs() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resynced
}

// cut takes away what was not durable. It keeps the lock: nothing happens on this disk any more.
func (p *power) cut() {
	p.mu.Lock()
	var failed error
	for i := len(p.names) - 1; i >= 0; i-- {
		switch n := p.names[i]; {
		case n.added:
			failed = errors.Join(failed, os.RemoveAll(n.path))
		case n.saved != "":
			failed = errors.Join(failed, os.Link(n.saved, n.path))
		default:
			failed = errors.Join(failed, os.Mkdir(n.path, 0o700))
		}
	}
	failed = errors.Join(failed, filepath.WalkDir(p.root, p.forget))
	if failed != nil {
		panic(failed) // a power cut that is only half of one proves nothing
	}
}

// forget takes the bytes of one file that were not synced: gone, or zeros in their place.
func (p *power) forget(path string, d fs.DirEntry, err error) error {
	if err != nil || !d.Type().IsRegular() {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if patches := p.patches[inode(info)]; len(patches) > 0 {
		if err := p.undo(path, patches); err != nil {
			return err
		}
	}
	keep, touched := p.durable[inode(info)]
	if !touched || info.Size() <= keep {
		return nil
	}
	if err := os.Truncate(path, keep); err != nil || p.chance.IntN(2) == 0 {
		return err
	}
	return os.Truncate(path, info.Size())
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }
