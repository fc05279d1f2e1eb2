package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A second copy takes what is new: contents by their size, packs always, and holes stay holes.
func TestCopyTree_TakesWhatIsNew(t *testing.T) {
	data, into := t.TempDir(), t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(data, "blobs/epoch/0", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copied := func(want int) {
		t.Helper()
		n, err := copyTree(context.Background(), data, into, "blobs", false)
		if err != nil || n != want {
			t.Errorf("%d files copied, want %d, %v", n, want, err)
		}
		for _, name := range []string{"1", "2", packName} {
			have, _ := os.ReadFile(filepath.Join(into, "blobs/epoch/0", name))
			if now, err := os.ReadFile(filepath.Join(data, "blobs/epoch/0", name)); err == nil && !bytes.Equal(have, now) {
				t.Errorf("%s is not as it is", name)
			}
		}
	}
	holes := make([]byte, 8<<20)
	copy(holes[5<<20:], "in the middle")
	write("1", []byte("one"))
	write("2", bytes.Repeat([]byte("two"), 100_000))
	write(packName, holes)
	copied(3)
	copy(holes, "entry")
	write(packName, holes)
	copied(1)
	write("1", []byte("one, whole now"))
	copied(2)
	var stat syscall.Stat_t
	if err := syscall.Stat(filepath.Join(into, "blobs/epoch/0", packName), &stat); err != nil || stat.Blocks*512 > 1<<20 {
		t.Errorf("the copy of a pack with holes takes %d blocks, %v", stat.Blocks, err)
	}
}
