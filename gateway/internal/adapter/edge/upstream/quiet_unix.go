//go:build unix

package upstream

import (
	"errors"
	"syscall"
)

// nothingToRead looks into a socket without waiting and without taking anything out: neither bytes, nor an end, nor an error.
func nothingToRead(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if !errors.Is(err, syscall.EINTR) {
			return errors.Is(err, syscall.EAGAIN)
		}
	}
}
