package filestest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/fault"
)

// Catalog is a files.Catalog in memory. Transactions run one after another on a copy that takes the old one's place when
// they succeed.
type Catalog struct {
	mu  sync.Mutex
	now *state
}

var _ files.Catalog = (*Catalog)(nil)

// NewCatalog makes an empty catalog.
func NewCatalog() *Catalog {
	return &Catalog{now: &state{
		files: map[files.FileID]files.File{}, versions: map[files.FileID][]files.Version{}, blobs: map[files.BlobID]files.Blob{},
		owners: map[files.OwnerID]files.Owner{}, epochs: map[files.EpochID]files.Epoch{},
		uploads: map[files.UploadID]files.Upload{}, links: map[files.LinkID]files.Link{},
		imported: map[foreignKey]files.Imported{},
		receipts: map[receiptKey]files.Receipt{}, webhooks: map[string]webhook.State{}, deliveries: map[deliveryKey]webhook.Delivery{},
	}}
}

// Write implements files.Catalog. It runs fn twice, as a store may that has met a conflict: the first run is thrown away.
func (c *Catalog) Write(ctx context.Context, fn func(files.Tx) error) error {
	return c.write(ctx, func(s *state) error { return fn(s) })
}

func (c *Catalog) write(ctx context.Context, fn func(*state) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := fn(c.now.clone()); err != nil {
		return err
	}
	next := c.now.clone()
	if err := fn(next); err != nil {
		return err
	}
	c.now = next
	return nil
}

// Read implements files.Catalog. It runs fn twice as well, as a store may that has lost a connection.
func (c *Catalog) Read(ctx context.Context, fn func(files.ReadTx) error) error {
	return c.read(ctx, func(s *state) error { return fn(s) })
}

func (c *Catalog) read(ctx context.Context, fn func(*state) error) error {
	c.mu.Lock()
	now := c.now // never changed once it is here
	c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := fn(now); err != nil {
		return err
	}
	return fn(now)
}

// Blobs is a files.Blobs in memory.
type Blobs struct {
	*partials
	mu   sync.Mutex
	keys map[files.BlobID][]byte
}

var _ files.Blobs = (*Blobs)(nil)

// NewBlobs makes an empty store of bytes.
func NewBlobs() *Blobs { return &Blobs{partials: newPartials(), keys: map[files.BlobID][]byte{}} }

// Create implements files.Blobs.
func (b *Blobs) Create(_ context.Context, id files.BlobID) (files.BlobSink, error) {
	if _, _, ok := id.Split(); !ok {
		return nil, fmt.Errorf("create: %q is no blob id", id)
	}
	return &sink{store: b, id: id}, nil
}

type sink struct {
	store *Blobs
	id    files.BlobID
	bytes bytes.Buffer
	ended bool
}

func (s *sink) Write(p []byte) (int, error) { return s.bytes.Write(p) }

func (s *sink) Commit(ctx context.Context) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.ended {
		return fmt.Errorf("commit %s: it has ended", s.id)
	}
	s.ended = true
	if _, used := s.store.keys[s.id]; used {
		return fmt.Errorf("commit %s: the id has been used", s.id)
	}
	s.store.keys[s.id] = s.bytes.Bytes()
	return ctx.Err()
}

func (s *sink) Abort() { s.ended = true }

// Open implements files.Blobs.
func (b *Blobs) Open(_ context.Context, id files.BlobID, size int64) (files.BlobSource, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, ok := b.keys[id]
	switch {
	case !ok:
		return nil, fault.New(fault.NotFound, "no such blob")
	case int64(len(content)) != size:
		return nil, fmt.Errorf("blob %s has %d bytes, not %d", id, len(content), size)
	}
	return source{bytes.NewReader(content)}, nil
}

type source struct{ *bytes.Reader }

func (source) Close() error { return nil }

// Delete implements files.Blobs.
func (b *Blobs) Delete(_ context.Context, ids []files.BlobID) ([]files.BlobID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		delete(b.keys, id)
	}
	return ids, nil
}

// Epochs implements files.BlobKeys.
func (b *Blobs) Epochs(context.Context) ([]files.EpochID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := map[files.EpochID]bool{}
	for id := range b.keys {
		epoch, _, _ := id.Split()
		found[epoch] = true
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Walk implements files.BlobKeys.
func (b *Blobs) Walk(_ context.Context, epoch files.EpochID, from int64, fn func(files.BlobID) error) error {
	for _, id := range b.Keys() {
		of, seq, _ := id.Split()
		if of != epoch || seq < from {
			continue
		}
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements files.BlobKeys.
func (b *Blobs) Forget(context.Context, files.EpochID) error { return nil }

// Keys lists everything in the store.
func (b *Blobs) Keys() []files.BlobID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.keys))
}

// Damage changes one byte of a blob, or drops the blob when at is negative.
func (b *Blobs) Damage(id files.BlobID, at int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at < 0 {
		delete(b.keys, id)
		return
	}
	content := bytes.Clone(b.keys[id])
	content[at] ^= 1
	b.keys[id] = content
}

var _ io.ReaderAt = source{}
