package httpapi

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

func TestVerified_SpeaksForBytesNobodyTouched(t *testing.T) {
	now := time.Now()
	v := newVerified(func() time.Time { return now })
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(size int64) *files.Content {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return &files.Content{File: files.File{Blob: "b", Size: size}, Body: f}
	}
	holds := func(says string, want bool, size int64) time.Time {
		t.Helper()
		written, got := v.look(open(size))
		if got != want {
			t.Errorf("%s: holds is %v", says, got)
		}
		return written
	}
	v.note("b", holds("never read", false, alwaysVerify+1))
	holds("read", true, alwaysVerify+1)
	v.note("b", holds("small", false, alwaysVerify))
	now = now.Add(verifiedFor)
	v.note("b", holds("read long ago", false, alwaysVerify+1))
	if err := os.Chtimes(path, now, now.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	holds("written to since", false, alwaysVerify+1)
	for i := range 2 * maxVerified {
		v.note(files.BlobID(fmt.Sprint(i)), now)
	}
	if len(v.stamps) > maxVerified {
		t.Errorf("%d are remembered", len(v.stamps))
	}
}
