package e2e

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"cloakroom.dev/libs/s3test"

	"cloakroom.dev/tests/harness"
)

// onBucket starts a stack whose files lie in a bucket.
func onBucket(t *testing.T, b s3test.Bucket) *harness.Stack {
	t.Helper()
	dir := harness.ConfigDir(t, harness.Replace(t, "  storagePolicyRef:\n    name: default\n  # Contracts", `  blobs:
    s3:
      endpoint: `+b.Endpoint+`
      bucket: `+b.Name+`
      prefix: cloakroom/
      accessKey: {env: TEST_BUCKET_ACCESS}
      secretKey: {env: TEST_BUCKET_SECRET}
      partSize: 5Mi
      memory: 20Mi
  storagePolicyRef:
    name: default
  # Contracts`))
	return harness.Start(t, "CONFIG_DIR="+dir, "TEST_BUCKET_ACCESS="+b.AccessKey.Reveal(), "TEST_BUCKET_SECRET="+b.SecretKey.Reveal())
}

func TestBucket_FilesThroughTheGateway(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		b := bucket(t)
		s := onBucket(t, b)
		ada := harness.NewClient(t, s.Public).SignUp()
		content := randomBytes(12 << 20)
		at := ada.Upload("large.bin", content).Is(201).Header.Get("Location")
		isFile(t, ada, at, content)
		part := ada.Do("GET", at+"/content", nil, harness.Header("Range", "bytes=6000000-6000099")).Is(http.StatusPartialContent)
		if !bytes.Equal(part.Body, content[6000000:6000100]) {
			t.Error("a range has other bytes")
		}
		ada.Do("PUT", at+"/content", strings.NewReader("smaller"), harness.Header("Content-Type", "text/plain")).Is(200)
		isFile(t, ada, at, []byte("smaller"))

		whole := randomBytes(7<<20 + 3)
		upload := ada.Do("POST", "/v1/uploads", nil, tus("Upload-Length", strconv.Itoa(len(whole)))).Is(201).Header.Get("Location")
		for offset := 0; offset < len(whole); {
			end := min(len(whole), offset+3<<20)
			ada.Do("PATCH", upload, bytes.NewReader(whole[offset:end]), tus("Content-Type", offsetStream, "Upload-Offset", strconv.Itoa(offset))).Is(204)
			offset = end
		}
		isFile(t, ada, ada.Do("HEAD", upload, nil, tus()).Is(200).Header.Get("Location"), whole)

		ada.Do("DELETE", at, nil).Is(204)
		ada.Do("GET", at+"/content", nil).Is(404)
		for _, key := range b.Keys(t) {
			if !strings.HasPrefix(key, "cloakroom/blobs/") {
				t.Errorf("%s is in the bucket", key)
			}
		}
	})
}
