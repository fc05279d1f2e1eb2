package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks a file for one writer until it is closed, and does not wait.
func lockFile(f *os.File) error {
	_, err := ignoringEINTR(func() (int, error) { return 0, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	return err
}
