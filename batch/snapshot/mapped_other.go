//go:build !unix

package snapshot

import "os"

// mapFile reads a file, where files cannot be mapped.
func mapFile(path string) (data []byte, free func(), err error) {
	data, err = os.ReadFile(path)
	return data, func() {}, err
}
