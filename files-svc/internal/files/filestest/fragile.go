package filestest

import (
	"context"
	"errors"
	"sync"

	"cloakroom.dev/files-svc/internal/files"
)

// ErrCrash is what everything says after a crash.
var ErrCrash = errors.New("the process has crashed")

// Fragile stands between a service and its stores. At each named operation it asks the function of FailWhen; an error
// there fails that operation. After Crash every operation fails, as nothing can be done by a process that is gone; what it had not made
// durable is lost.
type Fragile struct {
	mu   sync.Mutex
	dead bool
	ask  func(op string) error // nil: nothing fails
}

// The operations. Those in the past tense come after the work is done: an error there is an answer that got lost.
const (
	OpRead      = "catalog.read"
	OpWrite     = "catalog.write"
	OpWritten   = "catalog.written"
	OpCreate    = "blobs.create"
	OpChunk     = "blobs.chunk"
	OpCommit    = "blobs.commit"
	OpCommitted = "blobs.committed"
	OpOpen      = "blobs.open"
	OpDelete    = "blobs.delete"
	OpDeleted   = "blobs.deleted"
	OpKeys      = "blobs.keys"
)

// FailWhen sets what each operation asks; nil makes all succeed.
func (f *Fragile) FailWhen(ask func(op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ask = ask
}

// Crash ends the process.
func (f *Fragile) Crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
}

// Crashed reports whether it has ended.
func (f *Fragile) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *Fragile) at(op string) error {
	f.mu.Lock()
	dead, ask := f.dead, f.ask
	f.mu.Unlock()
	switch {
	case dead:
		return ErrCrash
	case ask == nil:
		return nil
	default:
		return ask(op)
	}
}

// Stores puts f between a service and s.
func (f *Fragile) Stores(s Stores) Stores {
	return Stores{Catalog: fragileCatalog{s.Catalog, f}, Blobs: fragileBlobs{s.Blobs, f}}
}

type fragileCatalog struct {
	files.Catalog
	f *Fragile
}

func (c fragileCatalog) Write(ctx context.Context, fn func(files.Tx) error) error {
	if err := c.f.at(OpWrite); err != nil {
		return err
	}
	if err := c.Catalog.Write(ctx, fn); err != nil {
		return err
	}
	return c.f.at(OpWritten)
}

func (c fragileCatalog) Read(ctx context.Context, fn func(files.ReadTx) error) error {
	if err := c.f.at(OpRead); err != nil {
		return err
	}
	return c.Catalog.Read(ctx, fn)
}

type fragileBlobs struct {
	files.Blobs
	f *Fragile
}

func (b fragileBlobs) Create(ctx context.Context, id files.BlobID) (files.BlobSink, error) {
	if err := b.f.at(OpCreate); err != nil {
		return nil, err
	}
	sink, err := b.Blobs.Create(ctx, id)
	if err != nil {
		return nil, err
	}
	return fragileSink{sink, b.f}, nil
}

func (b fragileBlobs) Open(ctx context.Context, id files.BlobID, size int64) (files.BlobSource, error) {
	if err := b.f.at(OpOpen); err != nil {
		return nil, err
	}
	return b.Blobs.Open(ctx, id, size)
}

func (b fragileBlobs) Delete(ctx context.Context, ids []files.BlobID) ([]files.BlobID, error) {
	if err := b.f.at(OpDelete); err != nil {
		return nil, err
	}
	gone, err := b.Blobs.Delete(ctx, ids)
	if err := b.f.at(OpDeleted); err != nil {
		return nil, err
	}
	return gone, err
}

func (b fragileBlobs) Epochs(ctx context.Context) ([]files.EpochID, error) {
	if err := b.f.at(OpKeys); err != nil {
		return nil, err
	}
	return b.Blobs.Epochs(ctx)
}

func (b fragileBlobs) Walk(ctx context.Context, epoch files.EpochID, from int64, fn func(files.BlobID) error) error {
	if err := b.f.at(OpKeys); err != nil {
		return err
	}
	return b.Blobs.Walk(ctx, epoch, from, fn)
}

func (b fragileBlobs) Forget(ctx context.Context, epoch files.EpochID) error {
	if err := b.f.at(OpKeys); err != nil {
		return err
	}
	return b.Blobs.Forget(ctx, epoch)
}

type fragileSink struct {
	files.BlobSink
	f *Fragile
}

func (s fragileSink) Write(p []byte) (int, error) {
	if err := s.f.at(OpChunk); err != nil {
		return 0, err
	}
	return s.BlobSink.Write(p)
}

func (s fragileSink) Commit(ctx context.Context) error {
	if err := s.f.at(OpCommit); err != nil {
		return err
	}
	if err := s.BlobSink.Commit(ctx); err != nil {
		return err
	}
	return s.f.at(OpCommitted)
}
