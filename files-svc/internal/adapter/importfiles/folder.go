package importfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"cloakroom.dev/libs/fault"
)

// Folder is where the bytes of the files lie. Its methods are safe for concurrent use.
type Folder struct{ root *os.Root }

// OpenFolder opens a folder.
func OpenFolder(path string) (*Folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the folder of uploads: %w", err)
	}
	return &Folder{root: root}, nil
}

// Close ends the use of the folder, not of the files that are open.
func (f *Folder) Close() error { return f.root.Close() }

// Open opens a plain file for reading and returns its size. What leads out of the folder, passes a symlink, or is no plain
// file is fault.Invalid and is not opened; what isn't there is fault.NotFound. Each names the field path, and
// there are no other errors.
func (f *Folder) Open(path string) (file *os.File, size int64, err error) {
	name := filepath.FromSlash(path)
	if !filepath.IsLocal(name) || !plainText(path) {
		return nil, 0, pathFault(fault.Invalid, "ESCAPES", "leads out of the folder of uploads")
	}
	seen, err := f.look(filepath.Clean(name))
	if err != nil {
		return nil, 0, err
	}
	// A pipe that takes the file's place now must not keep us waiting for its writer.
	file, err = f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, notThere(err)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || !os.SameFile(seen, info) {
		_ = file.Close() // it was only opened
		return nil, 0, pathFault(fault.Invalid, "NOT_A_FILE", "has changed while it was opened")
	}
	return file, info.Size(), nil
}

// look refuses symlinks on the way, even those that stay inside: a list could name one person's file as another's by them.
func (f *Folder) look(name string) (info fs.FileInfo, err error) {
	parts := strings.Split(name, string(filepath.Separator))
	for n := range parts {
		info, err = f.root.Lstat(filepath.Join(parts[:n+1]...))
		switch {
		case err != nil:
			return nil, notThere(err)
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, pathFault(fault.Invalid, "SYMLINK", "is a symbolic link, or lies behind one")
		}
	}
	if !info.Mode().IsRegular() {
		return nil, pathFault(fault.Invalid, "NOT_A_FILE", "is a folder, a device or the like")
	}
	return info, nil
}

// notThere tells what is missing from what can't be read.
func notThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) {
		return pathFault(fault.NotFound, "MISSING", "is not in the folder of uploads")
	}
	return pathFault(fault.Invalid, "UNREADABLE", "can't be opened by who runs this")
}

func pathFault(kind fault.Kind, code, detail string) error {
	err := fault.New(kind, "path "+detail)
	err.Fields = []fault.Field{{Field: "path", Code: code, Detail: detail}}
	return err
}
