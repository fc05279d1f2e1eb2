//go:build unix

package wire

import (
	"errors"
	"syscall"
)

const canPark = true

// speaks waits until there is a byte to read, and takes nothing out. It reports false at an end, an error or the read deadline.
func speaks(raw syscall.RawConn) (spoken bool) {
	err := raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		for errors.Is(err, syscall.EINTR) {
			n, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		}
		spoken = err == nil && n > 0
		return !errors.Is(err, syscall.EAGAIN)
	})
	return spoken && err == nil
}
