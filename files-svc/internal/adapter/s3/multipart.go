package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cloakroom.dev/libs/fault"
)

// newToken makes 130 random bits.
func newToken() string { return rand.Text() }

// put writes an object that must not be there yet, and proves it. A lost answer does no harm: who finds the key taken looks
// whether it is by its own object.
func (b *Blobs) put(ctx context.Context, key string, content []byte) error {
	trusted, err := b.trusted(ctx)
	if err != nil {
		return err
	}
	w := written{key: key, size: int64(len(content)), crc: crcOf(content), token: newToken()}
	unused, err := b.unused(ctx, key)
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	in := &s3.PutObjectInput{
		Bucket: &b.opts.Bucket, Key: &key, Body: bytes.NewReader(content), ContentLength: &w.size,
		IfNoneMatch: unused, Metadata: map[string]string{tokenKey: w.token},
	}
	if trusted {
		in.ChecksumCRC32C = aws.String(crcText(w.crc))
	}
	err = b.callFor(ctx, "PutObject", b.bodyTime(len(content)), func(ctx context.Context) error {
		_, err := b.client.PutObject(ctx, in)
		return err
	})
	if err != nil && !isTaken(err) && (statusOf(err) != 0 || ctx.Err() != nil) {
		return fmt.Errorf("put: %w", asRefused(err))
	}
	if err := b.opts.At(StepCompleted); err != nil {
		return err
	}
	proof := b.prove(ctx, w)
	if err != nil && isAbsent(proof) {
		return fmt.Errorf("put: %w", asRefused(err))
	}
	return proof
}

// multipart is an upload in parts. Parts may be sent by several goroutines.
type multipart struct {
	store *Blobs
	id    string
	w     written
	sums  bool // parts carry checksums
	probe bool // of an object nobody wants: its steps are no steps

	mu    sync.Mutex
	parts []types.CompletedPart
}

func (b *Blobs) beginMultipart(ctx context.Context, key, token string, sums bool) (*multipart, error) {
	in := &s3.CreateMultipartUploadInput{Bucket: &b.opts.Bucket, Key: &key, Metadata: map[string]string{tokenKey: token}}
	if sums {
		in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmCrc32c, types.ChecksumTypeFullObject
	}
	m := &multipart{store: b, w: written{key: key, token: token}, sums: sums}
	err := b.call(ctx, "CreateMultipartUpload", func(ctx context.Context) error {
		out, err := b.client.CreateMultipartUpload(ctx, in)
		if err == nil {
			m.id = aws.ToString(out.UploadId)
		}
		return err
	})
	if err == nil && m.id == "" {
		err = errors.New("the store gave no upload id")
	}
	if err != nil {
		return nil, fmt.Errorf("begin multipart upload: %w", asRefused(err))
	}
	return m, nil
}

// send sends a part. sum is its checksum, or nil.
func (m *multipart) send(ctx context.Context, number int32, content []byte, sum *string) error {
	b := m.store
	var out *s3.UploadPartOutput
	err := b.callFor(ctx, "UploadPart", b.bodyTime(len(content)), func(ctx context.Context) (err error) {
		out, err = b.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &b.opts.Bucket, Key: &m.w.key, UploadId: &m.id, PartNumber: &number,
			Body: bytes.NewReader(content), ContentLength: aws.Int64(int64(len(content))), ChecksumCRC32C: sum,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("send part %d: %w", number, asRefused(err))
	}
	m.add(types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: sum})
	return m.at(StepPart)
}

func (m *multipart) at(step string) error {
	if m.probe {
		return nil
	}
	return m.store.opts.At(step)
}

// part is send with the part's own checksum, if parts carry one.
func (m *multipart) part(ctx context.Context, number int32, content []byte) error {
	if !m.sums {
		return m.send(ctx, number, content, nil)
	}
	return m.send(ctx, number, content, aws.String(crcText(crcOf(content))))
}

func (m *multipart) add(p types.CompletedPart) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts = append(m.parts, p)
}

// complete makes the object of its parts, in the order of their numbers, and proves it to have size bytes with this CRC. When the answer is lost the object
// decides: it is there with our token, or it is not.
func (m *multipart) complete(ctx context.Context, size int64, crc uint32) error {
	b := m.store
	m.w.size, m.w.crc = size, crc
	slices.SortFunc(m.parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	unused, err := b.unused(ctx, m.w.key)
	if err != nil {
		return fmt.Errorf("complete multipart upload: %w", err)
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &b.opts.Bucket, Key: &m.w.key, UploadId: &m.id, IfNoneMatch: unused,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: m.parts},
	}
	if m.sums {
		in.ChecksumType, in.ChecksumCRC32C = types.ChecksumTypeFullObject, aws.String(crcText(crc))
	}
	if err := b.opts.At(StepComplete); err != nil {
		return err
	}
	err = b.callFor(ctx, "CompleteMultipartUpload", 6*b.opts.CallTimeout, func(ctx context.Context) error {
		_, err := b.client.CompleteMultipartUpload(ctx, in, b.patient)
		return err
	})
	if stop := b.opts.At(StepCompleted); stop != nil {
		return stop
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	proof := b.prove(ctx, m.w)
	switch {
	case proof == nil && err != nil:
		b.opts.Log.WarnContext(ctx, "the store did what it said it did not", "operation", "CompleteMultipartUpload", "error", err.Error())
		return nil
	case err != nil && isAbsent(proof):
		return fmt.Errorf("complete multipart upload: %w", asRefused(err))
	default:
		return proof
	}
}

// abort forgets the parts. What can't be aborted now is found by Walk, or by the bucket's lifecycle rule.
func (m *multipart) abort(ctx context.Context) {
	err := m.at(StepAbort)
	if err == nil {
		err = m.store.abortUpload(ctx, m.w.key, m.id)
	}
	if err == nil {
		err = m.at(StepAborted)
	}
	if err != nil {
		m.store.opts.Log.WarnContext(ctx, "parts are left to the reaper", "error", err.Error())
	}
}

func (b *Blobs) abortUpload(ctx context.Context, key, id string) error {
	err := b.call(ctx, "AbortMultipartUpload", func(ctx context.Context) error {
		_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.opts.Bucket, Key: &key, UploadId: &id})
		return err
	})
	if isAbsent(err) {
		return nil
	}
	return err
}

// asRefused makes what the store refused for a reason of its own a fault people may hear of: a broken transfer, above all.
func asRefused(err error) error {
	var known *fault.Error
	if errors.As(err, &known) || isAbsent(err) || errors.Is(err, context.Canceled) {
		return err
	}
	return errors.Join(fault.Retry(fault.Unavailable, "the storage refused", comeAgain), err)
}
