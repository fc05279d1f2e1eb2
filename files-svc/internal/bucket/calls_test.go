package bucket_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/s3test"
)

// What is asked of the store is what is paid for.

func (l *lied) open(t *testing.T, f files.File) *files.Content {
	t.Helper()
	c, err := l.Open(filestest.As(t.Context(), ann), ann, f.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// An answer without bytes (HEAD, 304, 412) opens a content and reads nothing of it.
func TestCalls_OpenAsksNothing(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	f := l.mustCreate(t, noise(100_000))
	l.store.Judge(nil)
	if err := l.open(t, f).Close(); err != nil {
		t.Error(err)
	}
	if n := l.store.Asked(http.MethodGet) + l.store.Asked(http.MethodHead); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// A range is one GET, from where it begins.
func TestCalls_ARangeIsOneGet(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	content := noise(100_000)
	c := l.open(t, l.mustCreate(t, content))
	l.store.Judge(nil)
	if err := c.Reach(t.Context(), 70_000); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Body.Seek(70_000, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c.Body)
	if err != nil || string(got) != string(content[70_000:]) {
		t.Errorf("%d bytes and %v", len(got), err)
	}
	if n := l.store.Asked(http.MethodGet); n != 1 {
		t.Errorf("a range takes %d GETs", n)
	}
}

// A content that is not there is found out before anybody is promised it, wherever the reading begins.
func TestCalls_ReachFindsWhatIsMissingOrCutShort(t *testing.T) {
	for _, from := range []int64{0, 70_000} {
		l := overLiar(t, s3test.InProcess(t))
		f := l.mustCreate(t, noise(100_000))
		l.store.Judge(func(r *http.Request) s3test.Fault {
			if isGet(r) {
				return s3test.Fault{Status: http.StatusNotFound, Code: "NoSuchKey"}
			}
			return s3test.Fault{}
		})
		if err := l.open(t, f).Reach(t.Context(), from); err == nil {
			t.Errorf("a missing content can be read from %d", from)
		}
		other := noise(50_000)
		l.store.Judge(func(r *http.Request) s3test.Fault {
			if isGet(r) {
				return s3test.Fault{Answer: other, Headers: http.Header{"Content-Range": {"bytes 40000-49999/50000"}}}
			}
			return s3test.Fault{}
		})
		if err := l.open(t, f).Reach(t.Context(), from); err == nil {
			t.Errorf("half a content can be read from %d", from)
		}
	}
}

// What a process left that died while it tried the store is gone when the next has tried it; what may be at work stays.
func TestCalls_ProbesThatWereLeftAreRemoved(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	// The listing is made up below; this store has one only where there is an upload.
	if _, err := l.store.Client().CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &l.store.Name, Key: aws.String("probes/HALF")}); err != nil {
		t.Fatal(err)
	}
	var removed, aborted atomic.Int64
	l.store.Judge(func(r *http.Request) s3test.Fault {
		q := r.URL.Query()
		switch {
		case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/probes/OLD"):
			removed.Add(1)
		case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/probes/HALF") && q.Get("uploadId") == "1":
			aborted.Add(1)
			return s3test.Fault{Status: http.StatusNotFound, Code: "NoSuchUpload"}
		case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/probes/NEW"):
			t.Error("a probe at work is removed")
		case q.Has("list-type") && q.Get("prefix") == "probes/":
			return s3test.Fault{Answer: fmt.Appendf(nil, `<ListBucketResult><Contents><Key>probes/OLD</Key><LastModified>2020-01-01T00:00:00Z</LastModified></Contents>
				<Contents><Key>probes/NEW</Key><LastModified>%s</LastModified></Contents></ListBucketResult>`, time.Now().UTC().Format(time.RFC3339))}
		case q.Has("uploads") && q.Get("prefix") == "probes/" && r.Method == http.MethodGet:
			return s3test.Fault{Answer: []byte(`<ListMultipartUploadsResult><Upload><Key>probes/HALF</Key><UploadId>1</UploadId>
				<Initiated>2020-01-01T00:00:00Z</Initiated></Upload></ListMultipartUploadsResult>`)}
		}
		return s3test.Fault{}
	})
	l.mustCreate(t, noise(1000))
	if removed.Load() != 1 || aborted.Load() != 1 {
		t.Errorf("%d objects removed, %d uploads aborted", removed.Load(), aborted.Load())
	}
}

// Pieces that are written as one are deleted a few at a time: a store that takes its time holds nobody long.
func TestCalls_PiecesThatCountNoMoreAreDeletedSideBySide(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	sink, err := l.stores.Blobs.AppendPartial(t.Context(), files.Partial{ID: "upload"})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	var under, most, deletes atomic.Int64
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/uploads/") {
			deletes.Add(1)
			for n := under.Add(1); n > most.Load(); { // what is written last is at most too low
				most.Store(n)
			}
			return s3test.Fault{Delay: 100 * time.Millisecond, Passing: func() { under.Add(-1) }}
		}
		return s3test.Fault{}
	})
	for n := range 36 {
		mustWrite(t, sink, noise(1000+n))
		if _, err := sink.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if deletes.Load() < 32 || most.Load() < 2 || most.Load() > 8 {
		t.Errorf("%d deletes, at most %d at once", deletes.Load(), most.Load())
	}
}
