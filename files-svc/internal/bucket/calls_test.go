package bucket_test

import (
	"io"
	"net/http"
	"testing"

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
