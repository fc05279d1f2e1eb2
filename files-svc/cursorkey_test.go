package filessvc

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCursorKey_IsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cursor.key")
	first, err := cursorKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := cursorKey(path)
	if err != nil || again != first || first == [32]byte{} {
		t.Errorf("got %x after %x, %v", again, first, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if fresh, err := cursorKey(path); err != nil || fresh == first {
		t.Errorf("a damaged key was not replaced: %v", err)
	}
}
