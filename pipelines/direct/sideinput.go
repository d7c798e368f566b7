package direct

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec"

	"github.com/braidhq/braid/pipelines/direct/element"
	"github.com/braidhq/braid/pipelines/direct/program"
)

// sideInput is a side input at work: its elements by window, and by key if it is read so. An element of the main input waits
// until the watermark of the side input has passed the window that it sees.
type sideInput struct {
	spec *program.Side
	ups  []*flow

	mu      sync.RWMutex
	windows map[element.Window]*view
	over    mtime.Time // windows that end before are forgotten
}

// view is what of a side input is in one window. Bytes are only ever appended, so a reader keeps what it saw.
type view struct {
	all   []byte            // elements, one after another
	byKey map[string][]byte // values, one after another
}

func newSideInput(spec *program.Side) *sideInput {
	return &sideInput{spec: spec, windows: map[element.Window]*view{}, over: mtime.MinTimestamp}
}

// add takes elements in. Those in a window that was forgotten are dropped.
func (s *sideInput) add(bs []block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range bs {
		var err error
		if s.spec.Multimap {
			err = s.spec.Elements.EachPair(b, func(h element.Header, key, value []byte) error {
				for _, w := range h.Windows {
					if v := s.view(w); v != nil {
						v.byKey[string(key)] = append(v.byKey[string(key)], value...)
					}
				}
				return nil
			})
		} else {
			err = s.spec.Elements.Each(b, func(h element.Header, _, value []byte) error {
				for _, w := range h.Windows {
					if v := s.view(w); v != nil {
						v.all = append(v.all, value...)
					}
				}
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("direct: side input: %w", err)
		}
	}
	return nil
}

// view returns the view of a window, a new one if need be, nil if the window was forgotten. It needs the lock.
func (s *sideInput) view(w element.Window) *view {
	v := s.windows[w]
	if v == nil && w.Max() >= s.over {
		v = &view{byKey: map[string][]byte{}}
		s.windows[w] = v
	}
	return v
}

// read returns what is in an encoded window, of a key if the side input is read so.
func (s *sideInput) read(window, key []byte) (io.ReadCloser, error) {
	w, _, err := s.spec.Elements.Window(window)
	if err != nil {
		return nil, fmt.Errorf("direct: side input: window: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := s.windows[w]
	switch {
	case v == nil:
		return io.NopCloser(bytes.NewReader(nil)), nil
	case s.spec.Multimap:
		return io.NopCloser(bytes.NewReader(v.byKey[string(key)])), nil
	default:
		return io.NopCloser(bytes.NewReader(v.all)), nil
	}
}

// forget drops the windows that no element of the main input can see any more.
func (s *sideInput) forget(main mtime.Time, lateness int64) {
	if s.spec.Elements.Global() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = max(s.over, main-mtime.Time(lateness))
	for w := range s.windows {
		if w.Max() < s.over {
			delete(s.windows, w)
		}
	}
}

// waiting is a block of elements that see the same windows of the side inputs.
type waiting struct {
	needs []mtime.Time // per side input: what its watermark must have passed
	block block
	hold  mtime.Time
}

// sort sorts elements by what they wait for. If neither they nor the side inputs have windows, that is the same for all.
func (s *stage) sort(bs []block) ([]waiting, error) {
	var out []waiting
	if s.spec.Elements.Global() {
		for _, b := range bs {
			out = append(out, waiting{needs: s.needs([]element.Window{element.Global}), block: b})
		}
		return out, nil
	}
	for _, b := range bs {
		places := map[string]int{}
		first := len(out)
		err := s.spec.Elements.Each(b, func(h element.Header, all, _ []byte) error {
			needs := s.needs(h.Windows)
			var key []byte
			for _, n := range needs {
				key = binary.BigEndian.AppendUint64(key, uint64(n))
			}
			at, ok := places[string(key)]
			if !ok {
				at = len(out)
				places[string(key)] = at
				out = append(out, waiting{needs: needs})
			}
			out[at].block = append(out[at].block, all...)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("direct: main input: %w", err)
		}
		if len(out) == first+1 {
			out[first].block = b
		}
	}
	return out, nil
}

// needs returns for each side input the time that its watermark must have passed before elements in some windows can run.
func (s *stage) needs(ws []element.Window) []mtime.Time {
	out := make([]mtime.Time, len(s.sides))
	for i, side := range s.sides {
		out[i] = mtime.MinTimestamp
		for _, w := range ws {
			out[i] = max(out[i], side.spec.Windowing.SideWindow(w).Max())
		}
	}
	return out
}

// await queues what the side inputs are ready for, and keeps the rest. It needs e.mu.
func (s *stage) await(ws []waiting) {
	s.e.open += len(ws)
	for _, w := range ws {
		w.hold = s.in
		s.holds.add(w.hold)
		s.waiting = append(s.waiting, w)
	}
	s.release()
}

// release queues what has waited for its side inputs and need not any more. It needs e.mu.
func (s *stage) release() {
	if len(s.waiting) == 0 {
		return
	}
	marks := make([]mtime.Time, len(s.sides))
	for i, side := range s.sides {
		marks[i] = passed(side.ups)
	}
	var ready []item
	s.waiting = slices.DeleteFunc(s.waiting, func(w waiting) bool {
		for i, n := range w.needs {
			if marks[i] <= n {
				return false
			}
		}
		ready = append(ready, item{w.block, w.hold})
		return true
	})
	if len(ready) > 0 {
		s.push(ready)
	}
}

// OpenIterableSideInput returns the elements of a side input in a window.
func (b *bundle) OpenIterableSideInput(_ context.Context, id exec.StreamID, local string, w []byte) (io.ReadCloser, error) {
	return b.openSide(id, local, w, nil)
}

// OpenMultiMapSideInput returns the values that a side input has for a key in a window.
func (b *bundle) OpenMultiMapSideInput(_ context.Context, id exec.StreamID, local string, key, w []byte) (io.ReadCloser, error) {
	return b.openSide(id, local, w, key)
}

func (b *bundle) openSide(id exec.StreamID, local string, window, key []byte) (io.ReadCloser, error) {
	for _, s := range b.sides {
		if s.spec.Transform == id.PtransformID && s.spec.Local == local {
			return s.read(window, key)
		}
	}
	return nil, fmt.Errorf("direct: no side input %q of %q", local, id.PtransformID)
}

// GetSideInputCache returns a cache that keeps nothing: the side inputs are in memory anyway.
func (b *bundle) GetSideInputCache() exec.SideCache { return noCache{} }

type noCache struct{}

// QueryCache finds nothing.
func (noCache) QueryCache(context.Context, string, string, []byte, []byte) exec.ReStream { return nil }

// SetCache keeps nothing.
func (noCache) SetCache(_ context.Context, _, _ string, _, _ []byte, in exec.ReStream) exec.ReStream {
	return in
}
