// Package bucket_test holds the files core over a bucket to its promises: one process on it, several, and a store that lies.
package bucket_test

import (
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/s3"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/s3test"
)

// open opens a bucket as one process does.
func open(t testing.TB, b s3test.Bucket, change ...func(*s3.Options)) *s3.Blobs {
	t.Helper()
	opts := s3.Options{
		Endpoint: b.Endpoint, Region: s3test.Region, Bucket: b.Name, PathStyle: true, AccessKey: b.AccessKey, SecretKey: b.SecretKey,
		PartBytes: 5 << 20,
	}
	for _, c := range change {
		c(&opts)
	}
	blobs, err := s3.New(opts)
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

func TestService(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		filestest.RunService(t, func(t *testing.T) filestest.Stores {
			return filestest.Stores{Catalog: filestest.NewCatalog(), Blobs: open(t, bucket(t))}
		})
	})
}

func TestUploads(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		filestest.RunUploads(t, func(t *testing.T) filestest.Stores {
			return filestest.Stores{Catalog: filestest.NewCatalog(), Blobs: open(t, bucket(t))}
		})
	})
}
