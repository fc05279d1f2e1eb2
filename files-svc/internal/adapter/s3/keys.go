package s3

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"cloakroom.dev/files-svc/internal/files"
)

// deletesAtOnce bounds the calls of one Delete. Objects are deleted one by one: deleting many in a call is what S3-likes
// disagree about.
const deletesAtOnce = 8

// Delete implements files.Blobs. Parts of an upload that was never completed go too.
func (b *Blobs) Delete(ctx context.Context, ids []files.BlobID) (gone []files.BlobID, failed error) {
	results := make([]error, len(ids))
	unfinished := b.unfinished(ctx, ids)
	var group errgroup.Group
	group.SetLimit(deletesAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			results[i] = b.deleteBlob(ctx, id, unfinished)
			return nil
		})
	}
	_ = group.Wait() // each result says its own
	for i, err := range results {
		if err == nil {
			gone = append(gone, ids[i])
		} else if failed == nil {
			failed = fmt.Errorf("delete blob %s: %w", ids[i], err)
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	slices.Sort(gone)
	return gone, failed
}

// found is the multipart uploads under way of some epochs, or why they could not be listed.
type found struct {
	uploads map[string][]string // upload ids by key
	err     error
}

// unfinished lists them by epoch, once each: nearly always there are none.
func (b *Blobs) unfinished(ctx context.Context, ids []files.BlobID) map[files.EpochID]found {
	out := map[files.EpochID]found{}
	for _, id := range ids {
		epoch, _, _ := id.Split()
		if _, known := out[epoch]; known || !isEpoch(string(epoch)) {
			continue
		}
		f := found{uploads: map[string][]string{}}
		f.err = b.listUploads(ctx, b.epochPrefix(epoch), func(key, id string, _ time.Time) error {
			f.uploads[key] = append(f.uploads[key], id)
			return nil
		})
		out[epoch] = f
	}
	return out
}

func (b *Blobs) deleteBlob(ctx context.Context, id files.BlobID, unfinished map[files.EpochID]found) error {
	key, err := b.keyOf(id)
	if err != nil {
		return err
	}
	epoch, _, _ := id.Split()
	f := unfinished[epoch]
	if f.err != nil {
		return f.err
	}
	for _, upload := range f.uploads[key] {
		if err := b.abortUpload(ctx, key, upload); err != nil {
			return err
		}
	}
	return b.remove(ctx, key)
}

// remove deletes an object; one that is not there is gone.
func (b *Blobs) remove(ctx context.Context, key string) error {
	err := b.call(ctx, "DeleteObject", func(ctx context.Context) error {
		_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.opts.Bucket, Key: &key})
		return err
	})
	if isAbsent(err) {
		return nil
	}
	return err
}

// Epochs implements files.BlobKeys. Epochs that have only parts of uploads that were never completed are among them.
func (b *Blobs) Epochs(ctx context.Context) ([]files.EpochID, error) {
	seen := map[files.EpochID]bool{}
	note := func(name string) {
		name = strings.TrimPrefix(name, b.blobsPrefix())
		if epoch, _, ok := strings.Cut(name, "/"); ok && isEpoch(epoch) {
			seen[files.EpochID(epoch)] = true
		}
	}
	err := b.list(ctx, &s3.ListObjectsV2Input{Prefix: aws.String(b.blobsPrefix()), Delimiter: aws.String("/")}, func(out *s3.ListObjectsV2Output) error {
		for _, p := range out.CommonPrefixes {
			note(aws.ToString(p.Prefix))
		}
		return nil
	})
	if err == nil {
		err = b.listUploads(ctx, b.blobsPrefix(), func(key, _ string, _ time.Time) error {
			note(key)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list epochs: %w", err)
	}
	epochs := make([]files.EpochID, 0, len(seen))
	for epoch := range seen {
		epochs = append(epochs, epoch)
	}
	slices.Sort(epochs)
	return epochs, nil
}

// Walk implements files.BlobKeys. Who has parts and no object counts as there: Delete takes both.
func (b *Blobs) Walk(ctx context.Context, epoch files.EpochID, from int64, fn func(files.BlobID) error) error {
	if !isEpoch(string(epoch)) {
		return fmt.Errorf("%q is no epoch", epoch)
	}
	prefix := b.epochPrefix(epoch)
	parts := map[int64]bool{}
	err := b.listUploads(ctx, prefix, func(key, _ string, _ time.Time) error {
		if seq, ok := numberOf(strings.TrimPrefix(key, prefix)); ok && seq >= from {
			parts[seq] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("walk blobs: %w", err)
	}
	in := &s3.ListObjectsV2Input{Prefix: &prefix}
	if from > 0 {
		in.StartAfter = aws.String(prefix + keyNumber(from-1))
	}
	err = b.list(ctx, in, func(out *s3.ListObjectsV2Output) error {
		for _, object := range out.Contents {
			seq, ok := numberOf(strings.TrimPrefix(aws.ToString(object.Key), prefix))
			if !ok || seq < from {
				continue // not a key of ours, or a store that knows no StartAfter
			}
			delete(parts, seq)
			if err := fn(files.NewBlobID(epoch, seq)); err != nil {
				return err
			}
		}
		return nil
	})
	for seq := range parts {
		if err != nil {
			break
		}
		err = fn(files.NewBlobID(epoch, seq))
	}
	if err != nil {
		return fmt.Errorf("walk blobs: %w", err)
	}
	return nil
}

// Forget implements files.BlobKeys: a bucket has no empty folders.
func (b *Blobs) Forget(_ context.Context, epoch files.EpochID) error {
	if !isEpoch(string(epoch)) {
		return fmt.Errorf("%q is no epoch", epoch)
	}
	return nil
}

// list calls fn for each page of a listing.
func (b *Blobs) list(ctx context.Context, in *s3.ListObjectsV2Input, fn func(*s3.ListObjectsV2Output) error) error {
	in.Bucket = &b.opts.Bucket
	for {
		var out *s3.ListObjectsV2Output
		err := b.call(ctx, "ListObjectsV2", func(ctx context.Context) (err error) {
			out, err = b.client.ListObjectsV2(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		if err := fn(out); err != nil {
			return err
		}
		if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextContinuationToken) == "" {
			return nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// listUploads calls fn for each multipart upload under way below a prefix.
func (b *Blobs) listUploads(ctx context.Context, prefix string, fn func(key, id string, begun time.Time) error) error {
	in := &s3.ListMultipartUploadsInput{Bucket: &b.opts.Bucket, Prefix: &prefix}
	for {
		var out *s3.ListMultipartUploadsOutput
		err := b.call(ctx, "ListMultipartUploads", func(ctx context.Context) (err error) {
			out, err = b.client.ListMultipartUploads(ctx, in)
			return err
		})
		if isAbsent(err) { // a store that keeps no list of none
			return nil
		}
		if err != nil {
			return err
		}
		for _, u := range out.Uploads {
			if key := aws.ToString(u.Key); strings.HasPrefix(key, prefix) {
				if err := fn(key, aws.ToString(u.UploadId), aws.ToTime(u.Initiated)); err != nil {
					return err
				}
			}
		}
		if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextKeyMarker) == "" {
			return nil
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
}

// removeAll deletes objects, a few at once.
func (b *Blobs) removeAll(ctx context.Context, keys []string) error {
	var group errgroup.Group
	group.SetLimit(deletesAtOnce)
	for _, key := range keys {
		group.Go(func() error { return b.remove(ctx, key) })
	}
	return group.Wait()
}
