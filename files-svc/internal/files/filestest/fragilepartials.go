package filestest

import (
	"context"

	"cloakroom.dev/files-svc/internal/files"
)

// The operations on bytes of resumable uploads.
const (
	OpAppend    = "partials.append"
	OpPiece     = "partials.piece"
	OpSync      = "partials.sync"
	OpSynced    = "partials.synced"
	OpPromote   = "partials.promote"
	OpPromoted  = "partials.promoted"
	OpForget    = "partials.forget"
	OpForgotten = "partials.forgotten"
)

func (b fragileBlobs) AppendPartial(ctx context.Context, p files.Partial) (files.PartialSink, error) {
	if err := b.f.at(OpAppend); err != nil {
		return nil, err
	}
	sink, err := b.Blobs.AppendPartial(ctx, p)
	if err != nil {
		return nil, err
	}
	return fragilePartialSink{sink, b.f}, nil
}

func (b fragileBlobs) Promote(ctx context.Context, p files.Partial, blob files.BlobID) error {
	if err := b.f.at(OpPromote); err != nil {
		return err
	}
	if err := b.Blobs.Promote(ctx, p, blob); err != nil {
		return err
	}
	return b.f.at(OpPromoted)
}

func (b fragileBlobs) RemovePartials(ctx context.Context, ids []files.UploadID) error {
	if err := b.f.at(OpForget); err != nil {
		return err
	}
	if err := b.Blobs.RemovePartials(ctx, ids); err != nil {
		return err
	}
	return b.f.at(OpForgotten)
}

type fragilePartialSink struct {
	files.PartialSink
	f *Fragile
}

func (s fragilePartialSink) Write(p []byte) (int, error) {
	if err := s.f.at(OpPiece); err != nil {
		return 0, err
	}
	return s.PartialSink.Write(p)
}

func (s fragilePartialSink) Sync(ctx context.Context) ([]byte, error) {
	if err := s.f.at(OpSync); err != nil {
		return nil, err
	}
	parts, err := s.PartialSink.Sync(ctx)
	if err != nil {
		return nil, err
	}
	return parts, s.f.at(OpSynced)
}
