package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

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
		// A checksum of checksums (of parts) proves the parts' sums, not the bytes.
		if head.ChecksumCRC32C != nil && head.ChecksumType != types.ChecksumTypeComposite {
			if *head.ChecksumCRC32C != crcText(w.crc) {
				return "", fmt.Errorf("the store's checksum is %s, what was sent has %s", *head.ChecksumCRC32C, crcText(w.crc))
			}
			return "checksum", nil
		}
	}
	return "read_back", b.readBack(ctx, w)
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

// trust is what the store has shown of itself. It is asked at the first write, and again after a while: behind an address
// there may be another store tomorrow.
type trust struct {
	mu    sync.Mutex
	asked time.Time
	holds bool // it looks at checksums
	blind bool // it knows no condition on writes

	failed   error // of the last question
	failedAt time.Time
}

const (
	trustFor   = time.Hour
	askedAgain = 2 * time.Second // after a failure: those who waited for it do not each wait for one of their own
)

// trusted reports whether the store looks at checksums.
func (b *Blobs) trusted(ctx context.Context) (bool, error) {
	t := &b.trust
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !t.asked.IsZero() && time.Since(t.asked) < trustFor:
		return t.holds, nil
	case t.failed != nil && time.Since(t.failedAt) < askedAgain:
		return false, t.failed
	}
	why, err := b.examine(ctx)
	if err == nil && why != "" && b.opts.Checksums == ChecksumsRequired {
		err = fault.Wrap(fault.Unavailable, "the storage does not check what it is given", errors.New(why))
	}
	if err != nil {
		if ctx.Err() == nil {
			t.failed, t.failedAt = err, time.Now()
		}
		return false, err
	}
	if why != "" {
		b.opts.Log.WarnContext(ctx, "the store's checksums prove nothing: all that is written is read back", "reason", why)
	}
	t.asked, t.holds, t.failed = time.Now(), why == "", nil
	b.metrics.trusting.Set(0)
	if t.holds {
		b.metrics.trusting.Set(1)
	}
	return t.holds, nil
}

// unused returns the condition under which an object is written: that none of its key is there. A store that knows no
// conditions is asked before. That leaves a moment in between, in which only a second writer of the same fresh id could come.
func (b *Blobs) unused(ctx context.Context, key string) (*string, error) {
	b.trust.mu.Lock()
	blind := b.trust.blind
	b.trust.mu.Unlock()
	if !blind {
		return aws.String("*"), nil
	}
	_, err := b.head(ctx, key)
	switch {
	case isAbsent(err):
		return nil, nil
	case err != nil:
		return nil, err
	default:
		return nil, errNotOurs
	}
}

// examine hands the store objects under wrong checksums, which it must refuse, and one under a right one, which it must
// tell again. why says what it did instead.
func (b *Blobs) examine(ctx context.Context) (why string, err error) {
	p := probe{b: b, key: b.opts.Prefix + "probes/" + newToken()}
	defer p.drop(context.WithoutCancel(ctx))
	if err := p.put(ctx, nil, nil); err != nil {
		return "", err
	}
	err = p.put(ctx, nil, aws.String("*"))
	if isAway(err) {
		return "", err
	}
	if b.trust.blind = !isTaken(err); b.trust.blind {
		b.opts.Log.WarnContext(ctx, "the store knows no condition on writes: it is asked before each whether the key is free")
	}
	if b.opts.Checksums == ChecksumsOff {
		return "the configuration says so", nil
	}
	return p.checksums(ctx)
}

// probe is an object that is written to see what a store does.
type probe struct {
	b   *Blobs
	key string
}

var probeContent = []byte("cloakroom probe")

func (p probe) put(ctx context.Context, sum, condition *string) error {
	return p.b.call(ctx, "PutObject", func(ctx context.Context) error {
		_, err := p.b.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &p.b.opts.Bucket, Key: &p.key, Body: bytes.NewReader(probeContent), ChecksumCRC32C: sum, IfNoneMatch: condition,
		})
		return err
	})
}

func (p probe) checksums(ctx context.Context) (why string, err error) {
	right, wrong := crcText(crcOf(probeContent)), crcText(crcOf(probeContent)^1)
	if err := p.put(ctx, &wrong, nil); err == nil {
		return "it takes an object under a wrong checksum", nil
	} else if isAway(err) {
		return "", err
	}
	if err := p.put(ctx, &right, nil); isAway(err) {
		return "", err
	} else if err != nil {
		return "it takes no object under a right checksum", nil //nolint:nilerr // the answer is the finding
	}
	head, err := p.b.head(ctx, p.key)
	switch {
	case isAway(err):
		return "", err
	case err != nil || head.ChecksumCRC32C == nil || *head.ChecksumCRC32C != right:
		return "it does not tell the checksum of an object", nil //nolint:nilerr // likewise
	}
	return p.part(ctx, wrong)
}

// part hands over a part under a wrong checksum: some stores check only whole objects.
func (p probe) part(ctx context.Context, wrong string) (why string, err error) {
	m, err := p.b.beginMultipart(ctx, p.key, newToken(), true)
	if isAway(err) {
		return "", err
	}
	if err != nil {
		return "it begins no multipart upload with a checksum over the whole", nil //nolint:nilerr // the answer is the finding
	}
	defer m.abort(context.WithoutCancel(ctx))
	err = m.send(ctx, 1, probeContent, &wrong)
	switch {
	case err == nil:
		return "it takes a part under a wrong checksum", nil
	case isAway(err):
		return "", err
	default:
		return "", nil
	}
}

func (p probe) drop(ctx context.Context) {
	if err := p.b.remove(ctx, p.key); err != nil {
		p.b.opts.Log.WarnContext(ctx, "an object that probed the store is left", "key", p.key, "error", err.Error())
	}
}
