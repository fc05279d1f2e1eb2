//go:build !unix

package wire

import "syscall"

const canPark = false

// speaks is never asked.
func speaks(syscall.RawConn) bool { return false }
