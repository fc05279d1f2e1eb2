package hostile

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/libs/s3test"

	"cloakroom.dev/tests/harness"
)

// A bucket that does what stores and networks do wrong, seen from the gateway.

const partedSize = 6 << 20 // two parts

func toBlob(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }

// uploaded holds that a content is a file that reads back.
func uploaded(t *testing.T, c *harness.Client, content []byte) harness.File {
	t.Helper()
	f := c.Upload("f", content).Is(201).File()
	readsBack(t, c, f, content)
	return f
}

func readsBack(t *testing.T, c *harness.Client, f harness.File, content []byte) {
	t.Helper()
	if a := c.Do("GET", "/v1/files/"+f.ID+"/content", nil, harness.Header("If-Match", f.ETag)).Is(200); !bytes.Equal(a.Body, content) {
		t.Errorf("%d of %d bytes read back", len(a.Body), len(content))
	}
}

// comeAgain holds that an upload is refused for now and that nothing of it shows.
func comeAgain(t *testing.T, c *harness.Client, content []byte) {
	t.Helper()
	a := c.Upload("never", content)
	a.Refused(503, "UNAVAILABLE")
	if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || seconds < 1 {
		t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
	}
	if body := c.Do("GET", "/v1/files", nil).Is(200).Body; bytes.Contains(body, []byte(`"never"`)) {
		t.Errorf("a refused upload is listed: %s", body)
	}
}

func TestBucket_ThatLiesStallsAndLosesAnswers(t *testing.T) {
	store := s3test.Lie(t, s3test.InProcess(t))
	c, _ := onBucket(t, store.Bucket)
	ada := c.SignUp()
	kept := bytes.Repeat([]byte("kept "), 400)
	file := uploaded(t, ada, kept)
	large := bytes.Repeat([]byte("part "), partedSize/5)

	t.Run("the answer to the last call is lost", func(t *testing.T) {
		var lost atomic.Int64
		store.Judge(func(r *http.Request) s3test.Fault {
			if toBlob(r) && (r.Method == http.MethodPost && r.URL.Query().Has("uploadId") || r.Method == http.MethodPut && !r.URL.Query().Has("uploadId")) {
				lost.Add(1)
				return s3test.Fault{Lost: true}
			}
			return s3test.Fault{}
		})
		uploaded(t, ada, large)
		uploaded(t, ada, kept)
		if lost.Load() < 2 {
			t.Errorf("%d answers were lost", lost.Load())
		}
	})
	t.Run("other bytes than were sent", func(t *testing.T) {
		store.Judge(func(r *http.Request) s3test.Fault { return s3test.Fault{Flip: toBlob(r) && r.Method == http.MethodPut} })
		comeAgain(t, ada, kept)
		comeAgain(t, ada, large)
	})
	t.Run("SlowDown", func(t *testing.T) {
		var asked atomic.Int64
		store.Judge(func(r *http.Request) s3test.Fault {
			if toBlob(r) && r.Method == http.MethodPut && asked.Add(1) <= 2 {
				return s3test.Fault{Status: 503, Code: "SlowDown"}
			}
			return s3test.Fault{}
		})
		uploaded(t, ada, kept)
		store.Judge(func(*http.Request) s3test.Fault { return s3test.Fault{Status: 503, Code: "SlowDown"} })
		comeAgain(t, ada, kept)
		ada.Do("GET", "/v1/files/"+file.ID+"/content", nil, harness.Header("If-Match", file.ETag)).Refused(503, "UNAVAILABLE")
		if n := store.Asked(http.MethodPut) + store.Asked(http.MethodGet); n > 8 {
			t.Errorf("a store that asks to be spared was asked %d times", n)
		}
		ada.Do("HEAD", "/v1/files/"+file.ID+"/content", nil).Is(200) // rows serve on
	})
	t.Run("stalls", func(t *testing.T) {
		var first atomic.Bool
		store.Judge(func(r *http.Request) s3test.Fault {
			if toBlob(r) && r.Method == http.MethodPut && first.CompareAndSwap(false, true) {
				return s3test.Fault{Delay: time.Minute}
			}
			return s3test.Fault{}
		})
		began := time.Now()
		uploaded(t, ada, kept)
		if took := time.Since(began); took > 30*time.Second { // a try has 20 s ÷ 3
			t.Errorf("one silent answer costs %s", took)
		}
	})
	t.Run("fewer bytes, and a line that breaks", func(t *testing.T) {
		store.Judge(func(r *http.Request) s3test.Fault {
			if toBlob(r) && r.Method == http.MethodGet {
				return s3test.Fault{Cut: 500_000}
			}
			return s3test.Fault{}
		})
		uploaded(t, ada, large) // goes on by range
		store.Judge(func(r *http.Request) s3test.Fault {
			if toBlob(r) && r.Method == http.MethodGet {
				return s3test.Fault{Short: 10}
			}
			return s3test.Fault{}
		})
		if a := ada.Try("GET", "/v1/files/"+file.ID+"/content", nil, harness.Header("If-Match", file.ETag)); a.Err == nil && a.Status == 200 {
			t.Errorf("%d of %d bytes pass for the whole", len(a.Body), len(kept))
		}
	})
	store.Judge(nil)
	uploaded(t, ada, kept)
}
