package accumulator

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"
)

// windowed gives any accumulator a window that moves on with time. Event time is cut into panes of one length; each pane has a state of
// its own, and the answer is that of the window's panes merged. The window is a whole number of panes, the last being the one under way,
// so it moves on by a pane at a time, and what came from ahead of time counts at once.
//
// A pane is forgotten when it cannot be a part of the window any more, even if the newest event came Ahead of its time. That
// follows from the newest pane alone, so the state is a function of the observations, whatever their order.
//
// In bytes: the header of the inner kind; uvarint length of a pane in milliseconds; uvarint number of panes that are kept; then from the
// newest pane on: its number (varint; after the first: how many empty panes are between, uvarint), and its state (uvarint length, bytes).
type windowed struct{ inner *Kind }

const windowVersion = 1

// Ahead is how far ahead of the clock an event's order time may be.
const Ahead = 5 * time.Minute

// MaxPanes is how many panes a window may have.
const MaxPanes = 3000

// pane is what happened from number*length to (number+1)*length-1 milliseconds.
type pane struct {
	number int64
	state  []byte
}

type panes struct {
	kind   *Kind
	length int64  // milliseconds
	keep   int64  // panes back from the newest one, which counts as one
	panes  []pane // newest first
}

// panesOf returns how many panes there are in a window, at most.
func (s Spec) panesOf() int64 {
	if s.Pane <= 0 {
		return 0
	}
	window := s.Window
	if s.Days {
		window += time.Hour // a day of 25 hours
	}
	return int64((window + s.Pane - 1) / s.Pane)
}

// horizon returns how many panes are kept: those of the window, and as many as the newest event may be ahead.
func (s Spec) horizon() int64 { return s.panesOf() + int64((Ahead+s.Pane-1)/s.Pane) + 1 }

// since returns the number of the window's first pane.
func (s Spec) since(now int64) int64 {
	length := s.Pane.Milliseconds()
	if !s.Days {
		return cellNumber(now, length) - s.panesOf() + 1
	}
	return cellNumber(s.midnight(now, 1-int(s.Window/(24*time.Hour))), length)
}

// midnight returns when the local day begins that is so many days after today.
func (s Spec) midnight(now int64, days int) int64 {
	location := s.Location
	if location == nil {
		location = time.UTC
	}
	today := time.UnixMilli(now).In(location)
	return time.Date(today.Year(), today.Month(), today.Day()+days, 0, 0, 0, 0, location).UnixMilli()
}

// from returns the first moment of the window, for accumulators that keep moments; without a window all are in it.
func (s Spec) from(now int64) int64 {
	switch {
	case s.Days:
		return s.since(now) * s.Pane.Milliseconds()
	case s.Window > 0:
		return now - s.Window.Milliseconds() + 1
	}
	return math.MinInt64
}

func (p *panes) head(state []byte) (version uint8, rest []byte, err error) {
	kind, version, body, err := readHeader(state)
	if err != nil {
		return 0, nil, err
	}
	r := Reader{b: body}
	length, keep := r.Uvarint(), r.Uvarint()
	if r.bad || kind.tag == tagWindowed || length < 1000 || length > 1<<40 || keep < 1 || keep > 2*MaxPanes {
		return 0, nil, ErrDamaged
	}
	p.kind, p.length, p.keep = kind, int64(length), int64(keep)
	return version, r.b, nil
}

// first reads the newest pane.
func (p *panes) first(r *Reader) pane {
	n := pane{number: r.Varint()}
	if n.number < -farTime/p.length || n.number > farTime/p.length {
		r.Fail()
	}
	n.state = r.Bytes(r.Uvarint())
	if len(n.state) == 0 {
		r.Fail()
	}
	return n
}

func readPanes(state []byte) (panes, error) {
	var p panes
	version, rest, err := p.head(state)
	if err != nil {
		return p, err
	}
	r := Reader{b: rest}
	newest := p.first(&r)
	p.panes = append(p.panes, newest)
	for last := newest.number; !r.bad && len(r.b) > 0; {
		between := r.Uvarint()
		if between >= uint64(p.keep) {
			return p, ErrDamaged
		}
		n := pane{number: last - 1 - int64(between), state: r.Bytes(r.Uvarint())}
		if len(n.state) == 0 || n.number <= newest.number-p.keep {
			return p, ErrDamaged
		}
		p.panes = append(p.panes, n)
		last = n.number
	}
	if err := r.Done(); err != nil {
		return p, err
	}
	for i := range p.panes {
		if p.panes[i].state, err = p.kind.present(version, p.panes[i].state); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *panes) appendHead(dst []byte) []byte {
	dst = p.kind.AppendHeader(dst)
	dst = binary.AppendUvarint(dst, uint64(p.length))
	return binary.AppendUvarint(dst, uint64(p.keep))
}

func (p *panes) append(dst []byte) []byte {
	dst = p.appendHead(dst)
	for i, n := range p.panes {
		if i == 0 {
			dst = binary.AppendVarint(dst, n.number)
		} else {
			dst = binary.AppendUvarint(dst, uint64(p.panes[i-1].number-1-n.number))
		}
		dst = binary.AppendUvarint(dst, uint64(len(n.state)))
		dst = append(dst, n.state...)
	}
	return dst
}

// forget drops the panes that no window reaches any more.
func (p *panes) forget() {
	oldest := p.panes[0].number - p.keep
	p.panes = slices.DeleteFunc(p.panes, func(n pane) bool { return n.number <= oldest })
}

// Add implements Accumulator.
func (x windowed) Add(dst, state []byte, spec Spec, o Observation) ([]byte, error) {
	length := spec.Pane.Milliseconds()
	if length < 1000 || o.Order.Time < -farTime/2 || o.Order.Time > farTime/2 {
		return dst, Refuse(OutOfRange, "a moment beyond all bounds")
	}
	number, acc := cellNumber(o.Order.Time, length), x.inner.Accumulator
	var buf [256]byte
	if len(state) == 0 {
		added, err := acc.Add(buf[:0], nil, spec, o)
		if err != nil {
			return dst, err
		}
		p := panes{kind: x.inner, length: length, keep: spec.horizon(), panes: []pane{{number, added}}}
		return p.append(dst), nil
	}
	// Almost always the newest pane grows: then the older ones are copied unread.
	var p panes
	version, rest, err := p.head(state)
	if err != nil {
		return dst, err
	}
	if p.length != length || p.keep != spec.horizon() || !x.inner.Reads(p.kind) {
		return dst, ErrDamaged
	}
	r := Reader{b: rest}
	newest := p.first(&r)
	if r.bad {
		return dst, ErrDamaged
	}
	if newest.number == number && version == x.inner.Version {
		added, err := acc.Add(buf[:0], newest.state, spec, o)
		if err != nil {
			return dst, err
		}
		p.kind, p.panes = x.inner, []pane{{number, added}}
		return append(p.append(dst), r.b...), nil
	}
	if p, err = readPanes(state); err != nil {
		return dst, err
	}
	p.kind = x.inner
	i, found := slices.BinarySearchFunc(p.panes, number, func(n pane, number int64) int { return cmp.Compare(number, n.number) })
	var old []byte
	if found {
		old = p.panes[i].state
	}
	added, err := acc.Add(buf[:0], old, spec, o)
	switch {
	case err != nil:
		return dst, err
	case found:
		p.panes[i].state = added
	case number <= newest.number-p.keep:
		return dst, ErrUnchanged
	default:
		p.panes = slices.Insert(p.panes, i, pane{number, added})
	}
	p.forget()
	return p.append(dst), nil
}

// Merge implements Accumulator.
func (windowed) Merge(dst, a, b []byte) ([]byte, error) {
	p, err := readPanes(a)
	if err != nil {
		return dst, err
	}
	q, err := readPanes(b)
	if err != nil {
		return dst, err
	}
	if p.kind != q.kind || p.length != q.length || p.keep != q.keep {
		return dst, ErrDamaged
	}
	both := panes{kind: p.kind, length: p.length, keep: p.keep, panes: make([]pane, 0, len(p.panes)+len(q.panes))}
	for len(p.panes) > 0 || len(q.panes) > 0 {
		switch {
		case len(q.panes) == 0 || len(p.panes) > 0 && p.panes[0].number > q.panes[0].number:
			both.panes, p.panes = append(both.panes, p.panes[0]), p.panes[1:]
		case len(p.panes) == 0 || q.panes[0].number > p.panes[0].number:
			both.panes, q.panes = append(both.panes, q.panes[0]), q.panes[1:]
		default:
			n := pane{number: p.panes[0].number}
			if n.state, err = p.kind.Accumulator.Merge(nil, p.panes[0].state, q.panes[0].state); err != nil {
				return dst, err
			}
			both.panes = append(both.panes, n)
			p.panes, q.panes = p.panes[1:], q.panes[1:]
		}
	}
	both.forget()
	return both.append(dst), nil
}

// Result implements Accumulator.
func (x windowed) Result(state []byte, spec Spec, now int64) (Result, error) {
	acc := x.inner.Accumulator
	if len(state) == 0 {
		return acc.Result(nil, spec, now)
	}
	p, err := readPanes(state)
	if err != nil {
		return Result{}, err
	}
	if !x.inner.Reads(p.kind) {
		return Result{}, ErrDamaged
	}
	from := spec.since(now)
	var whole, spare []byte
	for i, n := range p.panes {
		switch {
		case n.number < from:
		case i == 0:
			whole = n.state
		default:
			merged, err := acc.Merge(spare[:0], whole, n.state)
			if err != nil {
				return Result{}, err
			}
			if i > 1 { // before that it belongs to the caller
				spare = whole
			}
			whole = merged
		}
	}
	return acc.Result(whole, spec, now)
}

// Next implements Timed: the earliest pane of the window leaves it, or the day ends.
func (x windowed) Next(state []byte, spec Spec, now int64) (int64, error) {
	if len(state) == 0 {
		return 0, nil
	}
	p, err := readPanes(state)
	if err != nil {
		return 0, err
	}
	from := spec.since(now)
	for _, n := range slices.Backward(p.panes) {
		switch {
		case n.number < from:
		case spec.Days:
			return spec.midnight(now, 1), nil
		default:
			return (n.number + spec.panesOf()) * p.length, nil
		}
	}
	return 0, nil
}

// leaves returns when what happened at t is not within the window any more.
func (s Spec) leaves(t, now int64) int64 {
	if s.Days {
		return s.midnight(now, 1)
	}
	return t + s.Window.Milliseconds()
}

// Check implements Accumulator.
func (x windowed) Check(state []byte) error {
	p, err := readPanes(state)
	if err != nil {
		return asDamaged(err)
	}
	if x.inner != nil && !x.inner.Reads(p.kind) {
		return ErrDamaged
	}
	for _, n := range p.panes {
		if err := p.kind.Accumulator.Check(n.state); err != nil {
			return err
		}
	}
	return nil
}

// PaneResult is what one pane answers by itself.
type PaneResult struct {
	From, To int64 // epoch milliseconds; To is not included
	Result
}

// Panes returns the answers of the panes that a window has at a moment, earliest first; nil for a kind that has none.
func (k *Kind) Panes(state []byte, spec Spec, now int64) ([]PaneResult, error) {
	x, ok := k.Accumulator.(windowed)
	if !ok || len(state) == 0 {
		return nil, nil
	}
	p, err := readPanes(state)
	if err != nil {
		return nil, err
	}
	var out []PaneResult
	from := spec.since(now)
	for _, n := range slices.Backward(p.panes) {
		if n.number < from {
			continue
		}
		r, err := x.inner.Accumulator.Result(n.state, spec, now)
		if err != nil {
			return nil, err
		}
		out = append(out, PaneResult{n.number * p.length, (n.number + 1) * p.length, r})
	}
	return out, nil
}

// asDamaged makes of an unknown kind within a state what the bytes are then.
func asDamaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return errors.Join(ErrDamaged, err)
}
