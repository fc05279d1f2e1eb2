package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// copiesAtOnce bounds the parts of one upload that are put together at once.
const copiesAtOnce = 4

// OpenPartial implements files.Partials. The pieces are read one after the other.
func (b *Blobs) OpenPartial(ctx context.Context, of files.Partial) (io.ReadCloser, error) {
	prefix, err := b.uploadPrefix(of.ID)
	if err != nil {
		return nil, err
	}
	have, err := b.piecesOf(of)
	if err != nil {
		return nil, err
	}
	if len(have.list) == 0 {
		return nil, errNoPartial()
	}
	r := &piecesReader{ctx: ctx, store: b, prefix: prefix, left: have.list}
	if err := r.next(); err != nil {
		return nil, err
	}
	return r, nil
}

type piecesReader struct {
	ctx    context.Context
	store  *Blobs
	prefix string
	left   []piece
	now    *source
}

func (r *piecesReader) next() (err error) {
	r.now, err = r.store.openPiece(r.ctx, r.prefix, r.left[0])
	r.left = r.left[1:]
	return err
}

// Read implements io.Reader.
func (r *piecesReader) Read(p []byte) (int, error) {
	for {
		if r.now == nil {
			return 0, io.EOF
		}
		n, err := r.now.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := r.Close(); err != nil {
			return 0, err
		}
		if len(r.left) > 0 {
			if err := r.next(); err != nil {
				return 0, err
			}
		}
	}
}

// Close implements io.Closer.
func (r *piecesReader) Close() error {
	if r.now == nil {
		return nil
	}
	err := r.now.Close()
	r.now = nil
	return err
}

// Promote implements files.Partials. The store puts whole parts together by itself where it can; what is in the last part
// passes through here.
func (b *Blobs) Promote(ctx context.Context, of files.Partial, blob files.BlobID) error {
	key, err := b.keyOf(blob)
	if err != nil {
		return err
	}
	prefix, err := b.uploadPrefix(of.ID)
	if err != nil {
		return err
	}
	have, err := b.piecesOf(of)
	if err != nil {
		return err
	}
	p := promotion{b: b, prefix: prefix, have: have}
	if have.whole() == 0 {
		return p.small(ctx, key)
	}
	return p.large(ctx, key)
}

type promotion struct {
	b      *Blobs
	prefix string
	have   pieces
	multi  *multipart
	noCopy atomic.Bool // the store does not copy parts
}

// small is an upload that fits one part.
func (p *promotion) small(ctx context.Context, key string) error {
	if p.have.end() <= smallBytes {
		content := make([]byte, p.have.end())
		return p.putLoose(ctx, key, content)
	}
	buf, err := p.b.buffers.take(ctx, int(p.have.part))
	if err != nil {
		return err
	}
	defer buf.release()
	return p.putLoose(ctx, key, (*buf.bytes)[:p.have.end()])
}

func (p *promotion) putLoose(ctx context.Context, key string, content []byte) error {
	if err := p.loose(ctx, content); err != nil {
		return err
	}
	return p.b.put(ctx, key, content)
}

// loose reads the pieces of the last part.
func (p *promotion) loose(ctx context.Context, into []byte) error {
	for _, piece := range p.have.list[p.have.whole():] {
		if err := p.b.readPiece(ctx, p.prefix, piece, into[:piece.Size]); err != nil {
			return err
		}
		into = into[piece.Size:]
	}
	return nil
}

func (p *promotion) large(ctx context.Context, key string) (err error) {
	whole := p.have.list[:p.have.whole()]
	if len(whole)+1 > maxParts {
		return fault.New(fault.TooLarge, fmt.Sprintf("the storage takes at most %d bytes", maxParts*p.have.part))
	}
	trusted, err := p.b.trusted(ctx)
	if err != nil {
		return err
	}
	if p.multi, err = p.b.beginMultipart(ctx, key, newToken(), trusted); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
			defer cancel()
			p.multi.abort(cleaning)
		}
	}()
	group, under := errgroup.WithContext(ctx)
	group.SetLimit(copiesAtOnce)
	for i, piece := range whole {
		group.Go(func() error { return p.part(under, int32(i)+1, piece) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := p.last(ctx, int32(len(whole))+1); err != nil {
		return err
	}
	return p.multi.complete(ctx, p.have.end(), p.have.crc())
}

// crc is the checksum over all bytes.
func (p pieces) crc() (sum uint32) {
	for _, piece := range p.list {
		sum = joinCRC(sum, piece.CRC, piece.Size)
	}
	return sum
}

// last sends the part that may be in several pieces.
func (p *promotion) last(ctx context.Context, number int32) error {
	size := p.have.end() - int64(p.have.whole())*p.have.part
	if size == 0 {
		return nil
	}
	return p.through(ctx, size, func(content []byte) error {
		if err := p.loose(ctx, content); err != nil {
			return err
		}
		return p.multi.part(ctx, number, content)
	})
}

// through lends a buffer.
func (p *promotion) through(ctx context.Context, size int64, fn func(content []byte) error) error {
	buf, err := p.b.buffers.take(ctx, int(p.have.part))
	if err != nil {
		return err
	}
	defer buf.release()
	return fn((*buf.bytes)[:size])
}

// part makes a part of a piece: by the store itself, else by reading and sending it.
func (p *promotion) part(ctx context.Context, number int32, from piece) error {
	if !p.noCopy.Load() {
		copied, err := p.copy(ctx, number, from)
		if copied || err != nil {
			return err
		}
		p.noCopy.Store(true)
	}
	return p.through(ctx, from.Size, func(content []byte) error {
		if err := p.b.readPiece(ctx, p.prefix, from, content); err != nil {
			return err
		}
		return p.multi.part(ctx, number, content)
	})
}

// copy asks the store to take a piece as a part. copied is false when it can't, or has not.
func (p *promotion) copy(ctx context.Context, number int32, from piece) (copied bool, err error) {
	b, key := p.b, from.key(p.prefix)
	var out *s3.UploadPartCopyOutput
	err = b.callFor(ctx, "UploadPartCopy", b.bodyTime(int(from.Size)), func(ctx context.Context) (err error) {
		out, err = b.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
			Bucket: &b.opts.Bucket, Key: &p.multi.w.key, UploadId: &p.multi.id, PartNumber: &number,
			CopySource: aws.String((&url.URL{Path: b.opts.Bucket + "/" + key}).EscapedPath()),
		}, b.patient)
		return err
	})
	switch {
	case isAbsent(err) && codeOf(err) != "NoSuchUpload":
		return false, errNoPartial()
	case ctx.Err() != nil, isAway(err):
		return false, err
	case err != nil, out.CopyPartResult == nil, aws.ToString(out.CopyPartResult.ETag) == "":
		return false, nil //nolint:nilerr // it can't: the bytes are sent instead
	}
	part := types.CompletedPart{PartNumber: &number, ETag: out.CopyPartResult.ETag}
	if sum := out.CopyPartResult.ChecksumCRC32C; p.multi.sums && sum != nil {
		if *sum != crcText(from.CRC) {
			return false, fmt.Errorf("the piece %s is damaged", key)
		}
		part.ChecksumCRC32C = sum
	}
	p.multi.add(part)
	return true, b.opts.At(StepPart)
}
