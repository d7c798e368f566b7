//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package embedded

import (
	"errors"
	"os"
	"runtime"
)

var errWouldBlock = errors.New("locked")

// tryLock refuses: two processes on one directory would destroy it, and this system offers no lock that ends with its holder.
func tryLock(*os.File) error {
	return errors.New("a data directory cannot be locked on " + runtime.GOOS + ": use a Kafka cluster instead of the embedded broker")
}
