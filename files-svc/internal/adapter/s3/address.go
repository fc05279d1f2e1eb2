package s3

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cloakroom.dev/files-svc/internal/files"
)

// Address implements files.RemoteBlobs. A HEAD says whether the object is there, whole; the address itself is computed here.
// Everything it says is signed, the host too, so that nobody can make another of it.
func (b *Blobs) Address(ctx context.Context, id files.BlobID, size int64, a files.Address) (string, error) {
	key, err := b.keyOf(id)
	if err != nil {
		return "", err
	}
	head, err := b.head(ctx, key)
	switch {
	case isAbsent(err):
		return "", errNoBlob()
	case err != nil:
		return "", fmt.Errorf("look at blob %s: %w", id, asRefused(err))
	case head.ContentLength == nil || *head.ContentLength != size:
		return "", fmt.Errorf("the object has %s bytes, not %d", sizeText(head.ContentLength), size)
	}
	signed, err := b.presign.PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.opts.Bucket, Key: &key, ResponseContentType: &a.ContentType, ResponseContentDisposition: &a.Disposition,
		ResponseCacheControl: aws.String("private, no-store"),
	}, s3.WithPresignExpires(a.Lifetime))
	if err != nil {
		return "", fmt.Errorf("sign an address: %w", err)
	}
	return signed.URL, nil
}
