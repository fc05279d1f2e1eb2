package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openUnnamed makes a file without a name on the directory's filesystem. It returns errors.ErrUnsupported where there is
// no such thing.
func openUnnamed(dir *os.File) (*os.File, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("unnamed file: %w (%w)", errors.ErrUnsupported, err)
	case err != nil:
		return nil, fmt.Errorf("unnamed file: %w", err)
	}
	return os.NewFile(uintptr(fd), "blob"), nil
}

// link gives an unnamed file its name. The name must be new: blobs are never overwritten.
func link(file, dir *os.File, name string) error {
	_, err := ignoringEINTR(func() (int, error) {
		return 0, unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", file.Fd()), int(dir.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	})
	if errors.Is(err, unix.ENOENT) { // no /proc: the other way needs a privilege, which containers without /proc may have
		_, err = ignoringEINTR(func() (int, error) {
			return 0, unix.Linkat(int(file.Fd()), "", int(dir.Fd()), name, unix.AT_EMPTY_PATH)
		})
	}
	return err
}

// createIn makes a new file in an open directory. Looking the directory up from the root each time would cost a small blob
// as much as its bytes do. The name is one component of our own making, and O_EXCL follows no link.
func createIn(_ *os.Root, dir *os.File, at place) (*os.File, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(int(dir.Fd()), at.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil, &os.PathError{Op: "openat", Path: at.path(), Err: err}
	}
	return os.NewFile(uintptr(fd), at.name), nil
}

// beginWriteOut asks the kernel to write a range out and does not wait. What goes wrong with it, fsync tells.
func beginWriteOut(file *os.File, from, length int64) {
	_ = unix.SyncFileRange(int(file.Fd()), from, length, unix.SYNC_FILE_RANGE_WRITE)
}

func ignoringEINTR(fn func() (int, error)) (int, error) {
	for {
		n, err := fn()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
