package filestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// partials is a files.Partials in memory. What was not synced is lost when its sink closes, as in a power cut: whoever
// relies on it is found out.
type partials struct {
	mu      sync.Mutex
	bytes   map[files.UploadID][]byte
	writing map[files.UploadID]bool
}

func newPartials() *partials {
	return &partials{bytes: map[files.UploadID][]byte{}, writing: map[files.UploadID]bool{}}
}

func errNoPartial() error { return fault.New(fault.NotFound, "no such bytes") }

// AppendPartial implements files.Partials.
func (p *partials) AppendPartial(_ context.Context, of files.Partial) (files.PartialSink, error) {
	id, offset := of.ID, of.Size
	p.mu.Lock()
	defer p.mu.Unlock()
	content := p.bytes[id]
	switch {
	case p.writing[id]:
		return nil, fault.New(fault.Conflict, "somebody writes these bytes")
	case int64(len(content)) < offset:
		return nil, errNoPartial()
	}
	p.writing[id] = true
	p.bytes[id] = content[:offset:offset]
	return &partialSink{store: p, id: id, content: content[:offset:offset]}, nil
}

type partialSink struct {
	store   *partials
	id      files.UploadID
	content []byte
	closed  bool
}

func (s *partialSink) Write(b []byte) (int, error) {
	s.content = append(s.content, b...)
	return len(b), nil
}

func (s *partialSink) Sync(context.Context) ([]byte, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.closed {
		return nil, errors.New("the sink is closed")
	}
	if _, there := s.store.bytes[s.id]; there { // removed meanwhile: the bytes have no name any more
		s.store.bytes[s.id] = bytes.Clone(s.content)
	}
	return nil, nil
}

func (s *partialSink) Close() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if !s.closed {
		s.closed = true
		delete(s.store.writing, s.id)
	}
	return nil
}

func (p *partials) read(id files.UploadID, size int64) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	content, ok := p.bytes[id]
	if !ok || int64(len(content)) < size {
		return nil, errNoPartial()
	}
	return content[:size], nil
}

// OpenPartial implements files.Partials.
func (p *partials) OpenPartial(_ context.Context, of files.Partial) (io.ReadCloser, error) {
	content, err := p.read(of.ID, of.Size)
	return io.NopCloser(bytes.NewReader(content)), err
}

// RemovePartials implements files.Partials.
func (p *partials) RemovePartials(_ context.Context, ids []files.UploadID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.bytes, id)
	}
	return nil
}

// WalkPartials implements files.Partials.
func (p *partials) WalkPartials(_ context.Context, fn func(files.UploadID) error) error {
	p.mu.Lock()
	ids := slices.Sorted(maps.Keys(p.bytes))
	p.mu.Unlock()
	for _, id := range ids {
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

// Promote implements files.Partials.
func (b *Blobs) Promote(_ context.Context, of files.Partial, blob files.BlobID) error {
	content, err := b.read(of.ID, of.Size)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, used := b.keys[blob]; used {
		return fmt.Errorf("promote to %s: the id has been used", blob)
	}
	b.keys[blob] = bytes.Clone(content)
	return nil
}
