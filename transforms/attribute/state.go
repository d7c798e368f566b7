package attribute

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
)

// State is what one definition has seen: in canonical form, the kind and version first. Data is never changed in place, so copies
// of a State share it.
type State struct {
	Hash Hash
	Data []byte
}

// States is sorted by Hash, each Hash once.
type States []State

// StateError tells which state could not be read. It wraps ErrDamaged or ErrKind.
type StateError struct {
	Hash Hash
	Err  error
}

// Error says which state it is about.
func (e *StateError) Error() string {
	return fmt.Sprintf("state of attribute definition %016x: %v", uint64(e.Hash), e.Err)
}

// Unwrap returns the cause.
func (e *StateError) Unwrap() error { return e.Err }

// Find returns the data of a definition, or nil.
func (s States) Find(h Hash) []byte {
	if i, ok := s.search(h); ok {
		return s[i].Data
	}
	return nil
}

func (s States) search(h Hash) (int, bool) {
	return slices.BinarySearchFunc(s, h, func(s State, h Hash) int { return cmp.Compare(s.Hash, h) })
}

// Merge returns the states of all that a and b have seen together. It is commutative and associative, does not change a or b, and
// may share memory with them. The error is a *StateError; then the states are nil.
func Merge(a, b States) (States, error) {
	if len(a) == 0 {
		return b, nil
	}
	if len(b) == 0 {
		return a, nil
	}
	size, common := 0, 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch c := cmp.Compare(a[i].Hash, b[j].Hash); {
		case c < 0:
			i++
		case c > 0:
			j++
		default:
			size += len(a[i].Data) + len(b[j].Data)
			common++
			i, j = i+1, j+1
		}
	}
	out := make(States, 0, len(a)+len(b)-common)
	var arena []byte
	if common > 0 {
		arena = make([]byte, 0, size+8*common)
	}
	for len(a) > 0 && len(b) > 0 {
		switch c := cmp.Compare(a[0].Hash, b[0].Hash); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			from := len(arena)
			var err error
			if arena, err = accumulator.Merge(arena, a[0].Data, b[0].Data); err != nil {
				return nil, &StateError{Hash: a[0].Hash, Err: err}
			}
			out = append(out, State{Hash: a[0].Hash, Data: arena[from:len(arena):len(arena)]})
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...), nil
}

// Check returns nil when all states are well-formed, sorted and of known kinds, and a *StateError about the first that is not.
func (s States) Check() error {
	for i, st := range s {
		if i > 0 && s[i-1].Hash >= st.Hash {
			return &StateError{Hash: st.Hash, Err: fmt.Errorf("%w: out of order", accumulator.ErrDamaged)}
		}
		k, body, err := accumulator.Open(st.Data)
		if err == nil {
			err = k.Accumulator.Check(body)
		}
		if err != nil {
			return &StateError{Hash: st.Hash, Err: err}
		}
	}
	return nil
}

// Append appends all states as bytes: their number, then per state its hash, length and data. Equal states give equal bytes.
func (s States) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	for _, st := range s {
		dst = binary.BigEndian.AppendUint64(dst, uint64(st.Hash))
		dst = binary.AppendUvarint(dst, uint64(len(st.Data)))
		dst = append(dst, st.Data...)
	}
	return dst
}

// DecodeStates reads what Append wrote; the states share memory with b. It looks at the frame only, not into the states: see Check.
// The error wraps ErrDamaged.
func DecodeStates(b []byte) (States, error) {
	r := accumulator.NewReader(b)
	n := r.Uvarint()
	if n > uint64(len(b)/9) {
		return nil, accumulator.ErrDamaged
	}
	if n == 0 {
		return nil, r.Done()
	}
	s := make(States, 0, n)
	for range n {
		head := r.Bytes(8)
		if r.Bad() {
			return nil, accumulator.ErrDamaged
		}
		h := Hash(binary.BigEndian.Uint64(head))
		data := r.Bytes(r.Uvarint())
		if len(s) > 0 && s[len(s)-1].Hash >= h {
			return nil, accumulator.ErrDamaged
		}
		s = append(s, State{Hash: h, Data: data[:len(data):len(data)]})
	}
	return s, r.Done()
}
