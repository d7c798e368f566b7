package element

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec"
)

// skip returns the length of the value that b begins with.
type skip func(b []byte) (int, error)

// skipper returns the skip of a coder.
func skipper(c *coder.Coder) (skip, error) {
	switch c.Kind {
	case coder.Bytes, coder.String, coder.Custom, coder.LP:
		if c.Kind == coder.Custom && c.Custom != nil && c.Custom.Name == "schema" {
			break // a row with or without a length, as its type is
		}
		return skipPrefixed, nil
	case coder.VarInt:
		return skipVarint, nil
	case coder.Double:
		return fixed(8), nil
	case coder.Bool:
		return fixed(1), nil
	case coder.KV:
		first, err := skipper(c.Components[0])
		if err != nil {
			return nil, err
		}
		second, err := skipper(c.Components[1])
		if err != nil {
			return nil, err
		}
		return func(b []byte) (int, error) {
			n, err := first(b)
			if err != nil {
				return 0, err
			}
			m, err := second(b[n:])
			return n + m, err
		}, nil
	case coder.Nullable:
		value, err := skipper(c.Components[0])
		if err != nil {
			return nil, err
		}
		return func(b []byte) (int, error) {
			switch {
			case len(b) > 0 && b[0] == 0:
				return 1, nil
			case len(b) > 0 && b[0] == 1:
				n, err := value(b[1:])
				return 1 + n, err
			}
			return 0, ErrMalformed
		}, nil
	}
	return decoded(c)
}

// skipPrefixed skips a length and as many bytes.
func skipPrefixed(b []byte) (int, error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return 0, ErrMalformed
	}
	return n + int(size), nil
}

func skipVarint(b []byte) (int, error) {
	_, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, ErrMalformed
	}
	return n, nil
}

func fixed(size int) skip {
	return func(b []byte) (int, error) {
		if len(b) < size {
			return 0, ErrMalformed
		}
		return size, nil
	}
}

// decoded skips what the SDK's decoder reads; it takes memory for as much as a length announces, so what it is given must have been
// written here. Decoders may keep state, so no two calls share one at a time.
func decoded(c *coder.Coder) (s skip, err error) {
	// The SDK panics on a coder that it does not know.
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("element: coder %v: %v", c, p)
		}
	}()
	pool := sync.Pool{New: func() any { return exec.MakeElementDecoder(c) }}
	pool.Put(exec.MakeElementDecoder(c))
	return func(b []byte) (n int, err error) {
		defer func() {
			if p := recover(); p != nil {
				n, err = 0, fmt.Errorf("%w: %v", ErrMalformed, p)
			}
		}()
		r := bytes.NewReader(b)
		d := pool.Get().(exec.ElementDecoder)
		if _, err := d.Decode(r); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		pool.Put(d)
		return len(b) - r.Len(), nil
	}, nil
}
