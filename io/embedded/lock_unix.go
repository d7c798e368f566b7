//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package embedded

import (
	"os"
	"syscall"
)

// errWouldBlock says that another holder has the lock.
const errWouldBlock = syscall.EWOULDBLOCK

// tryLock takes the lock or fails at once. The kernel releases it when the last descriptor of the file closes, so a killed process
// leaves none behind; descriptors are opened close-on-exec, so a child does not inherit it.
func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
