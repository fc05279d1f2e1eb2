package filessvc

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// traced shows in traces what the store of bytes costs: opening, and above all making bytes durable. Reads and writes of
// bytes are left alone, so that nothing stands between a file and the kernel. Without a tracer blobs stays as it is.
func traced(blobs files.Blobs, provider trace.TracerProvider) files.Blobs {
	if provider == nil {
		return blobs
	}
	if _, off := provider.(noop.TracerProvider); off {
		return blobs
	}
	seen := tracedBlobs{blobs, provider.Tracer("cloakroom.dev/files-svc")}
	if remote, ok := blobs.(files.RemoteBlobs); ok {
		return tracedRemote{seen, remote}
	}
	return seen
}

// tracedRemote is tracedBlobs over a store on another machine. What is opened later shows by the calls of the store's metrics.
type tracedRemote struct {
	tracedBlobs
	remote files.RemoteBlobs
}

// OpenLater implements files.RemoteBlobs.
func (b tracedRemote) OpenLater(ctx context.Context, id files.BlobID, size int64) (files.LaterSource, error) {
	return b.remote.OpenLater(ctx, id, size)
}

// Address implements files.RemoteBlobs.
func (b tracedRemote) Address(ctx context.Context, id files.BlobID, size int64, a files.Address) (string, error) {
	ctx, span := b.tracer.Start(ctx, "blob.address")
	url, err := b.remote.Address(ctx, id, size, a)
	end(span, err)
	return url, err
}

type tracedBlobs struct {
	files.Blobs
	tracer trace.Tracer
}

// Create implements files.Blobs.
func (b tracedBlobs) Create(ctx context.Context, id files.BlobID) (files.BlobSink, error) {
	ctx, span := b.tracer.Start(ctx, "blob.create")
	sink, err := b.Blobs.Create(ctx, id)
	end(span, err)
	if err != nil {
		return nil, err
	}
	return tracedSink{sink, b.tracer}, nil
}

// Open implements files.Blobs.
func (b tracedBlobs) Open(ctx context.Context, id files.BlobID, size int64) (files.BlobSource, error) {
	ctx, span := b.tracer.Start(ctx, "blob.open", trace.WithAttributes(attribute.Int64("blob.size", size)))
	source, err := b.Blobs.Open(ctx, id, size)
	end(span, err)
	return source, err
}

// Delete implements files.Blobs.
func (b tracedBlobs) Delete(ctx context.Context, ids []files.BlobID) ([]files.BlobID, error) {
	ctx, span := b.tracer.Start(ctx, "blob.delete", trace.WithAttributes(attribute.Int("blob.count", len(ids))))
	gone, err := b.Blobs.Delete(ctx, ids)
	end(span, err)
	return gone, err
}

type tracedSink struct {
	files.BlobSink
	tracer trace.Tracer
}

// Commit implements files.BlobSink.
func (s tracedSink) Commit(ctx context.Context) error {
	ctx, span := s.tracer.Start(ctx, "blob.commit")
	err := s.BlobSink.Commit(ctx)
	end(span, err)
	return err
}

// end closes a span. A blob that is not there is an answer, not a failure.
func end(span trace.Span, err error) {
	if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
		span.RecordError(err)
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
