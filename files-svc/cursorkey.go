package filessvc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// cursorKey reads the key that seals list cursors, or makes it: at the first start, and when the file is damaged. It lies
// beside the catalogue, since cursors must outlive a restart; whoever loses it loses the cursors under way and nothing
// else.
func cursorKey(path string) (key [32]byte, err error) {
	raw, err := os.ReadFile(path)
	switch {
	case err == nil && len(raw) == len(key):
		return [32]byte(raw), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return key, fmt.Errorf("read cursor key: %w", err)
	}
	_, _ = rand.Read(key[:]) // never fails since Go 1.24
	if err := writeKey(path, key); err != nil {
		return key, fmt.Errorf("keep cursor key: %w", err)
	}
	return key, nil
}

// writeKey puts the key under its name whole, so that a crash leaves no half of it.
func writeKey(path string, key [32]byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(key[:])
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
