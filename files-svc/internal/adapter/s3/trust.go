package s3

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cloakroom.dev/libs/fault"
)

// trust is what the store has shown of itself. It is asked at the first write, and again after a while: behind an address
// there may be another store tomorrow.
type trust struct {
	turn chan struct{} // held by who asks

	mu    sync.Mutex // guards what follows
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

// trusted reports whether the store looks at checksums. Who finds it being asked waits for the finding, as long as their context.
func (b *Blobs) trusted(ctx context.Context) (bool, error) {
	t := &b.trust
	if holds, known, err := t.finding(); known {
		return holds, err
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if holds, known, err := t.finding(); known { // somebody was quicker
		return holds, err
	}
	why, blind, err := b.examine(ctx)
	if err == nil && why != "" && b.opts.Checksums == ChecksumsRequired {
		err = fault.Wrap(fault.Unavailable, "the storage does not check what it is given", errors.New(why))
	}
	if err != nil {
		if ctx.Err() == nil {
			t.fail(err)
		}
		return false, err
	}
	if why != "" {
		b.opts.Log.WarnContext(ctx, "the store's checksums prove nothing: all that is written is read back", "reason", why)
	}
	t.found(why == "", blind)
	b.metrics.trusting.Set(0)
	if why == "" {
		b.metrics.trusting.Set(1)
	}
	return why == "", nil
}

// finding is what the last question has shown, while that is of use.
func (t *trust) finding() (holds, known bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !t.asked.IsZero() && time.Since(t.asked) < trustFor:
		return t.holds, true, nil
	case t.failed != nil && time.Since(t.failedAt) < askedAgain:
		return false, true, t.failed
	default:
		return false, false, nil
	}
}

func (t *trust) found(holds, blind bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked, t.holds, t.blind, t.failed = time.Now(), holds, blind, nil
}

func (t *trust) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed, t.failedAt = err, time.Now()
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
// tell again. why says what it did instead, blind that it knows no condition on writes.
func (b *Blobs) examine(ctx context.Context) (why string, blind bool, err error) {
	p := probe{b: b, key: b.probesPrefix() + newToken()}
	defer p.drop(context.WithoutCancel(ctx))
	if err := b.sweepProbes(ctx, time.Now().Add(-trustFor)); err != nil {
		b.opts.Log.WarnContext(ctx, "what earlier probes may have left can't be removed", "error", err.Error())
	}
	if err := p.put(ctx, nil, nil); err != nil {
		return "", false, err
	}
	err = p.put(ctx, nil, aws.String("*"))
	if isAway(err) {
		return "", false, err
	}
	if blind = !isTaken(err); blind {
		b.opts.Log.WarnContext(ctx, "the store knows no condition on writes: it is asked before each whether the key is free")
	}
	if b.opts.Checksums == ChecksumsOff {
		return "the configuration says so", blind, nil
	}
	why, err = p.checksums(ctx)
	return why, blind, err
}

func (b *Blobs) probesPrefix() string { return b.opts.Prefix + "probes/" }

// sweepProbes removes what processes that died while they asked have left: objects, and uploads nobody completed. One that is
// younger may be at work.
func (b *Blobs) sweepProbes(ctx context.Context, before time.Time) error {
	prefix := b.probesPrefix()
	err := b.list(ctx, &s3.ListObjectsV2Input{Prefix: &prefix}, func(out *s3.ListObjectsV2Output) error {
		var old []string
		for _, object := range out.Contents {
			if object.LastModified != nil && object.LastModified.Before(before) {
				old = append(old, aws.ToString(object.Key))
			}
		}
		return b.removeAll(ctx, old)
	})
	if err != nil {
		return err
	}
	return b.listUploads(ctx, prefix, func(key, id string, begun time.Time) error {
		if begun.IsZero() || !begun.Before(before) {
			return nil
		}
		return b.abortUpload(ctx, key, id)
	})
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
	return p.parts(ctx, right, wrong)
}

// parts hands over a part under a wrong checksum, since some stores check only whole objects, and then makes an object of a right
// one, since some know only checksums of parts.
func (p probe) parts(ctx context.Context, right, wrong string) (why string, err error) {
	m, err := p.b.beginMultipart(ctx, p.key, newToken(), true)
	if isAway(err) {
		return "", err
	}
	if err != nil {
		return "it begins no multipart upload with a checksum over the whole", nil //nolint:nilerr // the answer is the finding
	}
	m.probe = true
	defer m.abort(context.WithoutCancel(ctx))
	if err := m.send(ctx, 1, probeContent, &wrong); err == nil {
		return "it takes a part under a wrong checksum", nil
	} else if isAway(err) {
		return "", err
	}
	err = m.send(ctx, 1, probeContent, &right)
	if err == nil {
		err = p.complete(ctx, m, right)
	}
	if isAway(err) {
		return "", err
	}
	if err != nil {
		return "it makes no object of parts under a checksum over the whole", nil //nolint:nilerr // the answer is the finding
	}
	head, err := p.b.head(ctx, p.key)
	if isAway(err) {
		return "", err
	}
	if err != nil || wholeSum(head) != right {
		return "it does not tell the checksum over an object of parts", nil //nolint:nilerr // likewise
	}
	return "", nil
}

func (p probe) complete(ctx context.Context, m *multipart, sum string) error {
	return p.b.call(ctx, "CompleteMultipartUpload", func(ctx context.Context) error {
		_, err := p.b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &p.b.opts.Bucket, Key: &p.key, UploadId: &m.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: m.parts},
			ChecksumType: types.ChecksumTypeFullObject, ChecksumCRC32C: &sum,
		}, p.b.patient)
		return err
	})
}

func (p probe) drop(ctx context.Context) {
	if err := p.b.remove(ctx, p.key); err != nil {
		p.b.opts.Log.WarnContext(ctx, "an object that probed the store is left", "key", p.key, "error", err.Error())
	}
}
