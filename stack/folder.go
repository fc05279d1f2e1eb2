package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"cloakroom.dev/stack/config"
)

// folder is the data folder: everything the stack knows is in it, so copying it while the stack is stopped is a backup.
//
//	bootstrap.json     the first admin's credentials, made once
//	config/            the resources, made once, yours to edit
//	secrets/           the key that encrypts signing keys, made once
//	auth.db files.db   people and sessions, the catalogue of files
//	blobs/             the bytes of the files
//	status/            what became of each resource
//	endpoints.json     where this run listens
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the folder when it is missing and holds it for this process: two stacks on one folder would each
// think that they are its only writer. What names the folder is setting, for whoever has named a wrong one.
func openFolder(path, setting string) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder: %w; set %s to a folder you may write", err, setting)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w; set %s to a folder you may write", err, setting)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the folder %s is in use by another stack; stop it, or set %s to another folder", path, setting)
	}
	return &folder{path, lock}, nil
}

func (f *folder) join(name string) string { return filepath.Join(f.path, name) }

// close gives the folder free; the kernel does the same for a process that was killed.
func (f *folder) close() error {
	_ = os.Remove(f.join(endpointsFile)) // it may never have been written
	return f.lock.Close()
}

// keyFile is where AuthConfig's keyEncryption points by default.
const keyFile = "secrets/key-encryption"

// makeSecret makes the key that encrypts the signing keys, unless it is there. It refuses to make a second one for a
// database that was encrypted under the first.
func (f *folder) makeSecret() error {
	path := f.join(keyFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if _, err := os.Stat(f.join("auth.db")); err == nil {
		return fmt.Errorf("%s is missing, and without it the keys in auth.db can't be read; restore it from the backup", path)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails since Go 1.24
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the key folder: %w", err)
	}
	return writeDurably(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600)
}

// makeConfig writes the development resources where there are none, for people to edit.
func (f *folder) makeConfig() (string, error) {
	dir := f.join("config")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	// Through a second folder, so that a kill leaves all of them or none.
	part := f.join("config.part")
	if err := os.RemoveAll(part); err != nil {
		return "", fmt.Errorf("make the configuration folder: %w", err)
	}
	if err := os.CopyFS(part, config.Files); err != nil {
		return "", fmt.Errorf("make the configuration folder: %w", err)
	}
	if err := os.Rename(part, dir); err != nil {
		return "", fmt.Errorf("make the configuration folder: %w", err)
	}
	return dir, syncFolder(f.path)
}

// writeDurably writes a whole file or none: a new file, synced, moved into place, the folder synced.
func writeDurably(path string, content []byte, mode os.FileMode) error {
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
