package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// maxPackedReads is how many bytes of packed blobs are held for their readers at most. Beyond it a reader asks the pack for
// each piece.
const maxPackedReads = 16 << 20

// Held is how many bytes of packed blobs are held for their readers, at most 16 MiB.
func (b *Blobs) Held() int64 { return b.held.Load() }

func errNoBlob() error { return fault.New(fault.NotFound, "no such blob") }

// openPacked opens a blob in a pack. Its bytes are taken out at once, since a deletion punches them out of a file that
// stays.
func (b *Blobs) openPacked(id files.BlobID, p place, size int64) (files.BlobSource, error) {
	_, seq, _ := id.Split()
	f, err := b.root.Open(packPath(p.dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoBlob()
	}
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", ioFault(err))
	}
	r := &packReader{store: b, file: f, id: id, seq: seq}
	src, err := r.open(size)
	if err != nil {
		_ = f.Close() // opened for reading: nothing to lose
		return nil, err
	}
	return src, nil
}

// packReader reads one blob in a pack.
type packReader struct {
	store *Blobs
	file  *os.File
	id    files.BlobID
	seq   int64
	slot  slot
}

func (r *packReader) open(size int64) (files.BlobSource, error) {
	var err error
	if r.slot, err = r.look(); err != nil {
		return nil, err
	}
	if int64(r.slot.size) != size {
		return nil, fmt.Errorf("open blob: blob %s has %d bytes, not %d", r.id, r.slot.size, size)
	}
	section := io.NewSectionReader(r, 0, size)
	if r.store.held.Add(size) > maxPackedReads {
		r.store.held.Add(-size)
		return &packedSource{ReadSeeker: section, ReaderAt: r, close: r.file.Close}, nil
	}
	content := make([]byte, size)
	if _, err := r.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		r.store.held.Add(-size)
		return nil, fmt.Errorf("open blob: %w", err)
	}
	_ = r.file.Close() // opened for reading: nothing to lose
	whole := bytes.NewReader(content)
	return &packedSource{ReadSeeker: whole, ReaderAt: whole, close: func() error {
		r.store.held.Add(-size)
		return nil
	}}, nil
}

// look reads the entry. It returns fault.NotFound when the blob is not in this pack, or not any more.
func (r *packReader) look() (slot, error) {
	var raw [entrySize]byte
	if _, err := r.store.opts.readAt(r.file, raw[:], slotOf(r.seq)*entrySize); err != nil {
		return slot{}, fmt.Errorf("read pack: %w", ioFault(err))
	}
	switch s := decodeEntry(raw[:], r.id); s.state {
	case entryLive:
		return s, nil
	case entryDamaged:
		return slot{}, fmt.Errorf("the pack's entry of blob %s is damaged", r.id)
	default:
		return slot{}, errNoBlob()
	}
}

// ReadAt implements io.ReaderAt. What it gives out was there: a blob is dead before its bytes go.
func (r *packReader) ReadAt(p []byte, at int64) (int, error) {
	left := int64(r.slot.size) - at
	if left <= 0 {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), left)]
	n, err := r.store.opts.readAt(r.file, want, r.slot.from()+at)
	if err != nil {
		return 0, ioFault(err)
	}
	if _, err := r.look(); err != nil {
		return 0, err
	}
	switch {
	case n < len(want):
		return n, fmt.Errorf("blob %s ends after %d of %d bytes", r.id, at+int64(n), r.slot.size)
	case n < len(p):
		return n, io.EOF
	default:
		return n, nil
	}
}

// packedSource is an open blob that lies in a pack.
type packedSource struct {
	io.ReadSeeker
	io.ReaderAt
	close func() error
}

// Close implements files.BlobSource. Calling it again does nothing.
func (s *packedSource) Close() error {
	if s.close == nil {
		return nil
	}
	end := s.close
	s.close = nil
	return end()
}
