// Package s3test gives each test a bucket of its own: in a versitygw, in a container that all test binaries of one `go test` share
// (Container), or in a store inside the test's process (InProcess). They differ where S3-compatible stores do:
// one knows checksums, conditions and copies of parts, the other none of it.
//
// Lie puts a proxy in front of either, which does what stores and networks do wrong.
//
// The image is CLOAKROOM_TEST_S3_IMAGE, else the one that tests/images made, else the official one. Without docker a test
// that asks for a container is skipped, loudly; where CI=true it fails.
package s3test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"cloakroom.dev/libs/internal/container"
	"cloakroom.dev/libs/secret"
)

// Region is the region of all stores here.
const Region = "us-east-1"

const (
	accessKey = "cloakroom-test"
	secretKey = "cloakroom-test-secret"
)

// versitygw keeps its buckets in memory: nothing waits for a disk.
var versitygw = &container.Kind{
	Name: "s3", Title: "an S3-compatible store", Port: "7070/tcp", Ready: answers, Tmpfs: []string{"/data"},
	ImageEnv: "CLOAKROOM_TEST_S3_IMAGE", Local: "cloakroom-test/versitygw:1", Official: "versity/versitygw:latest",
	Env: []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey},
}

var shared = sync.OnceValues(func() (*container.Server, error) { return versitygw.Shared("posix", "/data") })

// answers takes any answer, be it a refusal.
func answers(address string) error {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + address + "/")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Bucket is one bucket, addressed in the path.
type Bucket struct {
	Endpoint  string
	Name      string
	AccessKey secret.String
	SecretKey secret.String
}

// Client talks to the bucket's store as anybody could.
func (b Bucket) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(b.Endpoint), Region: Region, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(b.AccessKey.Reveal(), b.SecretKey.Reveal(), ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

// Keys lists all keys.
func (b Bucket) Keys(t testing.TB) (keys []string) {
	t.Helper()
	pages := s3.NewListObjectsV2Paginator(b.Client(), &s3.ListObjectsV2Input{Bucket: &b.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			t.Fatalf("list the bucket: %v", err)
		}
		for _, object := range page.Contents {
			keys = append(keys, aws.ToString(object.Key))
		}
	}
	return keys
}

var made atomic.Int64

// make makes a bucket in the store at an endpoint.
func makeBucket(t testing.TB, endpoint string) Bucket {
	t.Helper()
	b := Bucket{
		Endpoint: endpoint, Name: fmt.Sprintf("test-%d-%d", os.Getpid(), made.Add(1)),
		AccessKey: secret.NewString(accessKey), SecretKey: secret.NewString(secretKey),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := b.Client().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b.Name}); err != nil {
		t.Fatalf("make a bucket: %v", err)
	}
	return b
}

// InProcess makes a bucket in a store of this test alone. It goes with the test.
func InProcess(t testing.TB) Bucket {
	t.Helper()
	server := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(server.Close)
	return makeBucket(t, server.URL)
}

// Container makes a bucket in the shared container.
func Container(t testing.TB) Bucket {
	t.Helper()
	versitygw.Need(t)
	s, err := shared()
	if err != nil {
		t.Fatalf("start an S3-compatible store: %v", err)
	}
	return makeBucket(t, "http://"+s.Address)
}

// Each runs a test on both stores.
func Each(t *testing.T, run func(t *testing.T, b func(t testing.TB) Bucket)) {
	t.Helper()
	for name, bucket := range map[string]func(testing.TB) Bucket{"container": Container, "in process": InProcess} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { run(t, bucket) })
	}
}
