package s3

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cloakroom.dev/libs/fault"
)

// tokenKey is the metadata that says which writer an object is of. Lower case: stores fold it.
const tokenKey = "cloakroom-writer"

// written is what an object must be.
type written struct {
	key   string
	size  int64
	crc   uint32
	token string
}

var errNotOurs = errors.New("the key holds another object")

// prove returns nil when the object is ours and has the bytes that were sent. It is asked before any row names them.
func (b *Blobs) prove(ctx context.Context, w written) error {
	trusted, err := b.trusted(ctx)
	if err != nil {
		return err
	}
	by, err := b.proveBy(ctx, w, trusted)
	if err != nil {
		b.metrics.proofs.WithLabelValues("failed").Inc()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.opts.Log.ErrorContext(ctx, "the store does not have what it was given", "key", w.key, "error", err.Error())
		return errors.Join(fault.Retry(fault.Unavailable, "the storage did not keep the bytes", comeAgain), err)
	}
	b.metrics.proofs.WithLabelValues(by).Inc()
	return b.opts.At(StepProven)
}

func (b *Blobs) proveBy(ctx context.Context, w written, trusted bool) (by string, err error) {
	if trusted {
		head, err := b.head(ctx, w.key)
		if err != nil {
			return "", err
		}
		if err := w.compare(head.ContentLength, head.Metadata); err != nil {
			return "", err
		}
		if sum := wholeSum(head); sum != "" {
			if sum != crcText(w.crc) {
				return "", fmt.Errorf("the store's checksum is %s, what was sent has %s", sum, crcText(w.crc))
			}
			return "checksum", nil
		}
	}
	return "read_back", b.readBack(ctx, w)
}

// wholeSum is the checksum over an object's bytes, or empty. A checksum of checksums (of parts) proves the parts' sums, not the
// bytes; not every store says which of the two it tells, but the number of parts gives it away.
func wholeSum(head *s3.HeadObjectOutput) string {
	sum := aws.ToString(head.ChecksumCRC32C)
	if head.ChecksumType == types.ChecksumTypeComposite || strings.Contains(sum, "-") {
		return ""
	}
	return sum
}

// compare looks at what comes with an object.
func (w written) compare(size *int64, metadata map[string]string) error {
	switch {
	case metadata[tokenKey] != w.token:
		return errNotOurs
	case size == nil || *size != w.size:
		return fmt.Errorf("the store has %s bytes, %d were sent", sizeText(size), w.size)
	default:
		return nil
	}
}

func sizeText(n *int64) string {
	if n == nil {
		return "an unknown number of"
	}
	return fmt.Sprint(*n)
}

func (b *Blobs) head(ctx context.Context, key string) (out *s3.HeadObjectOutput, err error) {
	err = b.call(ctx, "HeadObject", func(ctx context.Context) error {
		out, err = b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.opts.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		return err
	})
	return out, err
}

// readBack reads the whole object. It costs as much as a download, and believes nobody.
func (b *Blobs) readBack(ctx context.Context, w written) error {
	src, err := b.openObject(ctx, w.key, w.size, &w.token)
	if err != nil {
		return err
	}
	defer src.Close()
	sum := crc32.New(castagnoli)
	if n, err := io.Copy(sum, src); err != nil || n != w.size {
		return errors.Join(fmt.Errorf("%d of %d bytes could be read back", n, w.size), err)
	}
	if sum.Sum32() != w.crc {
		return fmt.Errorf("what is read back has the checksum %s, what was sent %s", crcText(sum.Sum32()), crcText(w.crc))
	}
	return nil
}
