package s3_test

import (
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/s3"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/s3test"
)

// options are those of a bucket.
func options(b s3test.Bucket) s3.Options {
	return s3.Options{
		Endpoint: b.Endpoint, Region: s3test.Region, Bucket: b.Name, PathStyle: true, AccessKey: b.AccessKey, SecretKey: b.SecretKey,
		PartBytes: 5 << 20,
	}
}

func open(t testing.TB, opts s3.Options) *s3.Blobs {
	t.Helper()
	b, err := s3.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestBlobs(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		filestest.RunBlobs(t, func(t *testing.T) files.Blobs { return open(t, options(bucket(t))) })
	})
}
