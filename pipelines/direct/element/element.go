// Package element reads encoded Beam elements without decoding them.
//
// What passes between two stages of the direct runner is bytes: element after element, each as the SDK's data sink writes it
// (timestamp, windows, pane, value). A runner must know the windows, and where a key ends and its value begins, but not what
// they mean. A Reader finds these places. For the coders that real pipelines use it only adds up lengths; for the others it
// asks the SDK's decoder and throws the value away.
package element

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
)

// ErrMalformed is the error for bytes that are no sequence of elements of the expected coders.
var ErrMalformed = errors.New("element: malformed encoding")

// Window is an interval of event time: Start is inside, End is not. The global window is one like any other.
type Window struct{ Start, End mtime.Time }

// Global is the global window.
var Global = Window{Start: mtime.MinTimestamp, End: mtime.EndOfGlobalWindowTime + 1}

// Max returns the last moment of the window.
func (w Window) Max() mtime.Time { return w.End - 1 }

// Header is what an element carries beside its value.
type Header struct {
	Time    mtime.Time
	Windows []Window // valid until the next element is read
}

// Reader reads the elements of one PCollection. It may be used by several goroutines.
type Reader struct {
	global  bool
	element skip
	key     skip // nil if the elements are no pairs
	value   skip
}

// NewReader returns a reader of elements of the given coder in the given windows. It fails for windows that are neither the
// global one nor intervals, and for coders that the SDK does not know.
func NewReader(element *coder.Coder, windows *coder.WindowCoder) (*Reader, error) {
	if windows.Payload != "" || windows.Kind != coder.GlobalWindow && windows.Kind != coder.IntervalWindow {
		return nil, fmt.Errorf("element: window coder %v is not known", windows)
	}
	r := &Reader{global: windows.Kind == coder.GlobalWindow}
	var err error
	if r.element, err = skipper(element); err != nil {
		return nil, err
	}
	if coder.IsKV(element) {
		if r.key, err = skipper(element.Components[0]); err != nil {
			return nil, err
		}
		if r.value, err = skipper(element.Components[1]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Global reports whether the elements are all in the global window.
func (r *Reader) Global() bool { return r.global }

// Each calls f with each element of a block: its header, all its bytes including the header, and its value.
func (r *Reader) Each(block []byte, f func(h Header, all, value []byte) error) error {
	var h Header
	for len(block) > 0 {
		at, err := r.header(block, &h)
		if err != nil {
			return err
		}
		n, err := r.element(block[at:])
		if err != nil {
			return err
		}
		if err := f(h, block[:at+n], block[at:at+n]); err != nil {
			return err
		}
		block = block[at+n:]
	}
	return nil
}

// EachPair calls f with each element of a block of pairs.
func (r *Reader) EachPair(block []byte, f func(h Header, key, value []byte) error) error {
	if r.key == nil {
		return fmt.Errorf("%w: the elements are no pairs", ErrMalformed)
	}
	var h Header
	for len(block) > 0 {
		at, err := r.header(block, &h)
		if err != nil {
			return err
		}
		k, err := r.key(block[at:])
		if err != nil {
			return err
		}
		v, err := r.value(block[at+k:])
		if err != nil {
			return err
		}
		if err := f(h, block[at:at+k], block[at+k:at+k+v]); err != nil {
			return err
		}
		block = block[at+k+v:]
	}
	return nil
}

// header reads a header into h and returns its length.
func (r *Reader) header(b []byte, h *Header) (int, error) {
	if len(b) < 12 {
		return 0, ErrMalformed
	}
	h.Time = mtime.Time(int64(binary.BigEndian.Uint64(b)) + math.MinInt64)
	count := int(binary.BigEndian.Uint32(b[8:]))
	at := 12
	h.Windows = h.Windows[:0]
	if r.global {
		h.Windows = append(h.Windows, Global)
		count = 0
	}
	for range count {
		w, n, err := r.Window(b[at:])
		if err != nil {
			return 0, err
		}
		h.Windows = append(h.Windows, w)
		at += n
	}
	if at >= len(b) {
		return 0, ErrMalformed
	}
	pane := b[at] >> 4 // how many numbers follow
	at++
	if pane > 2 {
		return 0, ErrMalformed
	}
	for range pane {
		_, n := binary.Uvarint(b[at:])
		if n <= 0 {
			return 0, ErrMalformed
		}
		at += n
	}
	return at, nil
}

// Window reads one encoded window and returns its length.
func (r *Reader) Window(b []byte) (Window, int, error) {
	if r.global {
		return Global, 0, nil
	}
	if len(b) < 9 {
		return Window{}, 0, ErrMalformed
	}
	end := mtime.Time(int64(binary.BigEndian.Uint64(b)) + math.MinInt64)
	size, n := binary.Uvarint(b[8:])
	if n <= 0 {
		return Window{}, 0, ErrMalformed
	}
	return Window{Start: end - mtime.Time(size), End: end}, 8 + n, nil
}

// AppendHeader appends the header of an element in one window.
func (r *Reader) AppendHeader(b []byte, t mtime.Time, w Window, p typex.PaneInfo) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(int64(t)-math.MinInt64))
	b = binary.BigEndian.AppendUint32(b, 1)
	if !r.global {
		b = binary.BigEndian.AppendUint64(b, uint64(int64(w.End)-math.MinInt64))
		b = binary.AppendUvarint(b, uint64(w.End-w.Start))
	}
	first := byte(p.Timing) << 2
	if p.IsFirst {
		first |= 1
	}
	if p.IsLast {
		first |= 2
	}
	switch {
	case p.Index == 0 && p.NonSpeculativeIndex == 0 || p.Timing == typex.PaneUnknown:
		return append(b, first)
	case p.Index == p.NonSpeculativeIndex:
		return binary.AppendUvarint(append(b, first|1<<4), uint64(p.Index))
	default:
		return binary.AppendUvarint(binary.AppendUvarint(append(b, first|2<<4), uint64(p.Index)), uint64(p.NonSpeculativeIndex))
	}
}
