//go:build !unix

package pebble

func takeMemory(bytes int) []byte { return make([]byte, bytes) }
func giveMemory([]byte) error     { return nil }
