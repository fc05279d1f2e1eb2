package replicas_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/s3"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/s3test"
)

// inBucket is what one process has of a shared bucket.
func inBucket(t testing.TB, b s3test.Bucket) *s3.Blobs {
	t.Helper()
	blobs, err := s3.New(s3.Options{
		Endpoint: b.Endpoint, Region: s3test.Region, Bucket: b.Name, PathStyle: true, AccessKey: b.AccessKey, SecretKey: b.SecretKey,
		PartBytes: 5 << 20, Memory: 20 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	return blobs
}

// Two processes on one database and one bucket take turns at one upload, in chunks below and above a part. Whatever one of
// them sent that no row heard of does not count.
func TestBucket_UploadGoesOnAtTheOtherReplica(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		dsn, shared := template.New(t), bucket(t)
		one, two := inBucket(t, shared), inBucket(t, shared)
		at := []*files.Service{join(t, dsn).serve(t, one, files.Options{}), join(t, dsn).serve(t, two, files.Options{})}
		content := make([]byte, 17<<20)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(content) // never fails
		ctx := filestest.As(t.Context(), ann)
		up, err := at[0].CreateUpload(ctx, ann, files.NewUpload{File: files.NewFile{Name: "f", Size: int64(len(content))}})
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; up.State == files.UploadOpen; n++ {
			size := min([]int{1 << 20, 100, 6<<20 + 1}[n%3], len(content)-int(up.Offset))
			piece := content[up.Offset:][:size]
			unheard, err := two.AppendPartial(ctx, files.Partial{ID: up.ID, Size: up.Offset, Parts: up.Parts})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := unheard.Write(noise(size)); err != nil {
				t.Fatal(err)
			}
			if _, err := unheard.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			if err := unheard.Close(); err != nil {
				t.Fatal(err)
			}
			up, err = at[n%2].AppendUpload(ctx, ann, up.ID, files.Chunk{
				Offset: up.Offset, Size: int64(size), Content: bytes.NewReader(piece), AtLength: true,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		c, err := at[1].Open(ctx, ann, up.File)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got, err := io.ReadAll(c.Verified(ctx)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes read back, %v", len(got), len(content), err)
		}
		filestest.Audit(t, filestest.Stores{Catalog: join(t, dsn).catalog, Blobs: inBucket(t, shared)}, ann)
		for _, key := range shared.Keys(t) {
			if bytes.Contains([]byte(key), []byte("uploads/")) {
				t.Errorf("%s is left of the upload", key)
			}
		}
	})
}

func noise(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{9, byte(size)}).Read(content) // never fails
	return content
}
