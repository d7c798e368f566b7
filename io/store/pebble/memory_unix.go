//go:build unix

package pebble

import "syscall"

// takeMemory returns memory outside of the heap. The system gives the pages as they are written to.
func takeMemory(bytes int) []byte {
	memory, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, bytes) // giveMemory leaves it to the collector: the system does not know it
	}
	return memory
}

func giveMemory(memory []byte) error {
	if err := syscall.Munmap(memory); err != nil && err != syscall.EINVAL {
		return err
	}
	return nil
}
