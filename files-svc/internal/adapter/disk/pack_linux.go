package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// locksHold says that lockFile keeps other processes out.
const locksHold = true

// fdatasync makes a file's bytes durable, and of its inode what is needed to read them.
func fdatasync(f *os.File) error {
	_, err := ignoringEINTR(func() (int, error) { return 0, unix.Fdatasync(int(f.Fd())) })
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// punchHole gives a range back to the filesystem; it reads as zeros. Where there is no such thing, the room comes back when
// the file goes.
func punchHole(f *os.File, from, length int64) error {
	_, err := ignoringEINTR(func() (int, error) {
		return 0, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, length)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}
