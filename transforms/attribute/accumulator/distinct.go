package accumulator

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sort"

	"github.com/cespare/xxhash/v2"
)

// maxDistinct is how many different values are counted exactly; it takes 8 bytes for each.
const maxDistinct = 4096

// distinct counts different values by the hash (XXH64, seed 0) of their canonical JSON. Its state is the maxDistinct+1 least hashes,
// ascending, 8 bytes each, big endian. As long as no more than maxDistinct are there they are all there are, and the answer is
// exact; past that it is the estimate k / (place of hash k+1 between 0 and 1), with a standard error of 1.6 %. Which hashes are the
// least depends on the set of values only, never on order.
type distinct struct{}

const hashSize = 8

func hashAt(state []byte, i int) uint64 { return binary.BigEndian.Uint64(state[i*hashSize:]) }

func checkHashes(state []byte) (n int, err error) {
	if len(state)%hashSize != 0 || len(state) > (maxDistinct+1)*hashSize {
		return 0, ErrDamaged
	}
	return len(state) / hashSize, nil
}

// Add implements Accumulator.
func (distinct) Add(dst, state []byte, _ Spec, o Observation) ([]byte, error) {
	if o.Value.IsNull() {
		return dst, Refuse(WrongType, "null, where a value is needed")
	}
	n, err := checkHashes(state)
	if err != nil {
		return dst, err
	}
	var buf [512]byte
	h := xxhash.Sum64(o.Value.AppendJSON(buf[:0]))
	i := sort.Search(n, func(i int) bool { return hashAt(state, i) >= h })
	if i < n && hashAt(state, i) == h || i > maxDistinct {
		return dst, ErrUnchanged
	}
	dst = append(dst, state[:i*hashSize]...)
	dst = binary.BigEndian.AppendUint64(dst, h)
	return append(dst, state[i*hashSize:min(n, maxDistinct)*hashSize]...), nil
}

// Merge implements Accumulator.
func (x distinct) Merge(dst, a, b []byte) ([]byte, error) {
	if x.Check(a) != nil || x.Check(b) != nil {
		return dst, ErrDamaged
	}
	for n := 0; n <= maxDistinct; n++ {
		switch {
		case len(a) == 0:
			return append(dst, b[:min(len(b), (maxDistinct+1-n)*hashSize)]...), nil
		case len(b) == 0:
			return append(dst, a[:min(len(a), (maxDistinct+1-n)*hashSize)]...), nil
		}
		h, g := hashAt(a, 0), hashAt(b, 0)
		dst = binary.BigEndian.AppendUint64(dst, min(h, g))
		if h <= g {
			a = a[hashSize:]
		}
		if g <= h {
			b = b[hashSize:]
		}
	}
	return dst, nil
}

// Result implements Accumulator.
func (distinct) Result(state []byte, _ Spec, _ int64) (Result, error) {
	n, err := checkHashes(state)
	if err != nil {
		return Result{}, err
	}
	if n <= maxDistinct {
		return Result{Value: IntegerValue(int64(n))}, nil
	}
	estimate := uint64(math.MaxInt64)
	if greatest := hashAt(state, maxDistinct); greatest > 2*maxDistinct {
		estimate, _ = bits.Div64(maxDistinct, 0, greatest) // maxDistinct * 2^64 / greatest, below 2^63
	}
	return Result{Value: IntegerValue(int64(estimate)), Approximate: true}, nil
}

// Check implements Accumulator.
func (distinct) Check(state []byte) error {
	n, err := checkHashes(state)
	if err != nil || n == 0 {
		return ErrDamaged
	}
	for i := 1; i < n; i++ {
		if hashAt(state, i-1) >= hashAt(state, i) {
			return ErrDamaged
		}
	}
	return nil
}
