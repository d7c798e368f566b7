package accumulator

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// How many cells of sessions are kept.
const (
	maxSessionCells = 1024 // for counting sessions
	maxCounterCells = 32   // for counting within the current one
)

// sessions knows the sessions of events: runs with pauses of at most gap between them. It either counts them, or (current) adds up
// what the events of the current session say.
//
// Time is cut into cells as long as the gap, so two events of one cell are always in one session, and whether neighbouring cells
// belong together shows in the last event of one and the first of the next. The state is the newest limit cells that have events,
// each with its first and last moment and its count. A cell pushed out by newer ones never comes back, so the state is a function
// of the set of events, whatever their order, and so is the answer past the limit: sessions counts those it still knows and says
// overflow; the current session is exact unless it reaches back to a cell that is gone, and says overflow then.
//
// In bytes: uvarint gap in milliseconds; uvarint cells*2, + 1 when some are gone; then from the newest cell on: its number (varint;
// after the first: how many empty cells are between, uvarint), first moment from the cell's begin, length, count (uvarints).
type sessions struct {
	limit   int
	current bool
}

// sessionCell is what happened from number*gap to (number+1)*gap-1 milliseconds.
type sessionCell struct {
	number      int64
	first, last int64
	count       uint64
}

type sessionState struct {
	gap   int64
	gone  bool          // cells older than these are gone
	cells []sessionCell // newest first
}

// sessionBuffer lets most states be decoded on the stack.
type sessionBuffer [maxCounterCells + 1]sessionCell

func cellNumber(t, gap int64) int64 {
	n := t / gap
	if t%gap < 0 {
		n--
	}
	return n
}

// head reads what comes before the cells; n is how many there are.
func (x sessions) head(r *Reader) (s sessionState, n int) {
	gap := r.Uvarint()
	if gap < uint64(MinSession.Milliseconds()) || gap > uint64(MaxSession.Milliseconds()) {
		r.Fail()
	}
	flagged := r.Uvarint()
	s.gap, s.gone, n = int64(gap), flagged&1 == 1, int(min(flagged>>1, maxSessionCells+1))
	if n == 0 || n > x.limit || s.gone && n < x.limit {
		r.Fail()
	}
	return s, n
}

// farTime bounds moments, so that no arithmetic on them overflows.
const farTime = 1 << 61

func (s *sessionState) cell(r *Reader, before *sessionCell) (c sessionCell) {
	if before == nil {
		c.number = r.Varint()
	} else {
		c.number = before.number - 1 - int64(min(r.Uvarint(), farTime))
	}
	if r.bad || c.number < -farTime/s.gap || c.number > farTime/s.gap {
		r.Fail()
		return sessionCell{}
	}
	first, length := r.Uvarint(), r.Uvarint()
	c.count = r.Uvarint()
	gap := uint64(s.gap)
	if first >= gap || length >= gap-first || c.count > math.MaxInt64 {
		r.Fail()
		return sessionCell{}
	}
	c.first = c.number*s.gap + int64(first)
	c.last = c.first + int64(length)
	return c
}

func (x sessions) read(state []byte, buf []sessionCell) (sessionState, error) {
	r := Reader{b: state}
	s, n := x.head(&r)
	s.cells = buf
	for i := 0; i < n && !r.bad; i++ {
		var before *sessionCell
		if i > 0 {
			before = &s.cells[i-1]
		}
		s.cells = append(s.cells, s.cell(&r, before))
	}
	return s, r.Done()
}

func (s *sessionState) appendHead(dst []byte, n int) []byte {
	flagged := uint64(n) << 1
	if s.gone {
		flagged |= 1
	}
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(s.gap)), flagged)
}

func (s *sessionState) appendCell(dst []byte, c, before *sessionCell) []byte {
	if before == nil {
		dst = binary.AppendVarint(dst, c.number)
	} else {
		dst = binary.AppendUvarint(dst, uint64(before.number-1-c.number))
	}
	dst = binary.AppendUvarint(dst, uint64(c.first-c.number*s.gap))
	dst = binary.AppendUvarint(dst, uint64(c.last-c.first))
	return binary.AppendUvarint(dst, c.count)
}

func (s *sessionState) append(dst []byte, limit int) []byte {
	if len(s.cells) > limit {
		s.cells, s.gone = s.cells[:limit], true
	}
	dst = s.appendHead(dst, len(s.cells))
	var before *sessionCell
	for i := range s.cells {
		dst = s.appendCell(dst, &s.cells[i], before)
		before = &s.cells[i]
	}
	return dst
}

func (c sessionCell) join(d sessionCell) sessionCell {
	return sessionCell{c.number, min(c.first, d.first), max(c.last, d.last), addCapped(c.count, d.count)}
}

// Add implements Accumulator.
func (x sessions) Add(dst, state []byte, spec Spec, o Observation) ([]byte, error) {
	c := sessionCell{first: o.Order.Time, last: o.Order.Time, count: 1}
	if x.current {
		n, err := increment(o.Value)
		if err != nil {
			return dst, err
		}
		c.count = n
	}
	gap := spec.Session.Milliseconds()
	if gap < MinSession.Milliseconds() || gap > MaxSession.Milliseconds() || c.first < -farTime/2 || c.first > farTime/2 {
		return dst, Refuse(OutOfRange, "a moment or a session beyond all bounds")
	}
	c.number = cellNumber(c.first, gap)
	if len(state) == 0 {
		s := sessionState{gap: gap, cells: []sessionCell{c}}
		return s.append(dst, x.limit), nil
	}
	r := Reader{b: state}
	s, n := x.head(&r)
	newest := s.cell(&r, nil)
	if r.bad || s.gap != gap {
		return dst, ErrDamaged
	}
	// Almost always the newest cell grows or a newer one begins: then the older ones are copied unread.
	switch {
	case c.number == newest.number:
		c = c.join(newest)
		dst = s.appendHead(dst, n)
		dst = s.appendCell(dst, &c, nil)
		return append(dst, r.b...), nil
	case c.number > newest.number && n < x.limit:
		dst = s.appendHead(dst, n+1)
		dst = s.appendCell(dst, &c, nil)
		dst = s.appendCell(dst, &newest, &c)
		return append(dst, r.b...), nil
	}
	var buf sessionBuffer
	s, err := x.read(state, buf[:0])
	if err != nil {
		return dst, err
	}
	i, found := slices.BinarySearchFunc(s.cells, c.number, func(d sessionCell, n int64) int { return cmp.Compare(n, d.number) })
	switch {
	case found:
		s.cells[i] = s.cells[i].join(c)
	case i == x.limit && s.gone:
		return dst, ErrUnchanged
	default:
		s.cells = slices.Insert(s.cells, i, c)
	}
	return s.append(dst, x.limit), nil
}

// Merge implements Accumulator.
func (x sessions) Merge(dst, a, b []byte) ([]byte, error) {
	var bufA, bufB sessionBuffer
	s, err := x.read(a, bufA[:0])
	if err != nil {
		return dst, err
	}
	t, err := x.read(b, bufB[:0])
	if err != nil {
		return dst, err
	}
	if s.gap != t.gap {
		return dst, ErrDamaged
	}
	var buf [2 * maxCounterCells]sessionCell
	u := sessionState{gap: s.gap, gone: s.gone || t.gone, cells: buf[:0]}
	for len(s.cells) > 0 || len(t.cells) > 0 {
		switch {
		case len(t.cells) == 0 || len(s.cells) > 0 && s.cells[0].number > t.cells[0].number:
			u.cells, s.cells = append(u.cells, s.cells[0]), s.cells[1:]
		case len(s.cells) == 0 || t.cells[0].number > s.cells[0].number:
			u.cells, t.cells = append(u.cells, t.cells[0]), t.cells[1:]
		default:
			u.cells = append(u.cells, s.cells[0].join(t.cells[0]))
			s.cells, t.cells = s.cells[1:], t.cells[1:]
		}
	}
	return u.append(dst, x.limit), nil
}

// Result implements Accumulator.
func (x sessions) Result(state []byte, spec Spec, now int64) (Result, error) {
	if len(state) == 0 {
		return countResult(0), nil
	}
	var buf sessionBuffer
	s, err := x.read(state, buf[:0])
	if err != nil {
		return Result{}, err
	}
	if x.current && now > s.cells[0].last+s.gap {
		return countResult(0), nil
	}
	from := spec.from(now)
	if !x.current && s.cells[0].last < from {
		return countResult(0), nil
	}
	count, runs := s.cells[0].count, 1
	for i := 1; i < len(s.cells); i++ {
		if s.cells[i-1].first-s.cells[i].last > s.gap {
			if x.current {
				return countResult(count), nil
			}
			if s.cells[i].last < from {
				return countResult(uint64(runs)), nil
			}
			runs++
		}
		count = addCapped(count, s.cells[i].count)
	}
	if !x.current {
		count = uint64(runs)
	}
	r := countResult(count)
	r.Overflow = r.Overflow || s.gone
	return r, nil
}

// Next implements Timed: the current session ends, or the earliest one leaves the window.
func (x sessions) Next(state []byte, spec Spec, now int64) (int64, error) {
	if len(state) == 0 || !x.current && spec.Window == 0 {
		return 0, nil
	}
	var buf sessionBuffer
	s, err := x.read(state, buf[:0])
	if err != nil {
		return 0, err
	}
	if x.current {
		return earlier(s.cells[0].last+s.gap+1, 0, now), nil
	}
	next := int64(0)
	for _, c := range s.cells {
		next = earlier(next, spec.leaves(c.last, now), now)
	}
	return next, nil
}

// Check implements Accumulator.
func (x sessions) Check(state []byte) error {
	var buf sessionBuffer
	_, err := x.read(state, buf[:0])
	return err
}

// sessionSpan answers when the current session began, or how long it has lasted from its first to its last event, in whole units; null
// or 0 when there is none. Its states are those of a counter with session.
type sessionSpan struct {
	sessions
	start bool
}

// Result implements Accumulator.
func (x sessionSpan) Result(state []byte, spec Spec, now int64) (Result, error) {
	none := Result{}
	if !x.start {
		none = countResult(0)
	}
	if len(state) == 0 {
		return none, nil
	}
	var buf sessionBuffer
	s, err := x.read(state, buf[:0])
	if err != nil {
		return Result{}, err
	}
	last := s.cells[0].last
	if now > last+s.gap {
		return none, nil
	}
	i := 0
	for i+1 < len(s.cells) && s.cells[i].first-s.cells[i+1].last <= s.gap {
		i++
	}
	r := Result{Value: TimeValue(s.cells[i].first), Overflow: s.gone && i == len(s.cells)-1}
	if !x.start {
		r.Value = IntegerValue((last - s.cells[i].first) / spec.unit(time.Second))
	}
	return r, nil
}
