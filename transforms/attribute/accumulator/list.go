package accumulator

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Act says what an event does to a list.
type Act uint8

// The acts. The zero Act tells something of an item.
const (
	ActPut    Act = iota // tells something of the item
	ActDelete            // takes the item out: what came before is forgotten
	ActClear             // takes all items out
)

// maxItemEvents is how many events are known of one item.
const maxItemEvents = 64

// DefaultItems is how many items a list has at most, by default.
const DefaultItems = 100

// list keeps what events told of items, such as the products in a cart. An event counts unless its item, or all items, were taken out
// later: later by the order of events, so a late removal takes out what came before it and leaves what came after.
//
// Of each item the newest maxItemEvents events are kept, and what is older than the last touch (put or deletion) of Items+1 items is
// dropped: the answer is about the Items of them touched last. Each rule drops what enough of a greater order stands against, hence the
// state is a function of the set of events, whatever their order.
//
// In bytes: uvarint Items; uvarint number of fields, their aggregations; the latest clear; uvarint number of items; then by ascending
// value each item: its value, the latest deletion, uvarint number of its events, and each by ascending order: its order, and a value for
// each field. Clear and deletion are a byte 0, or 1 and an order.
type list struct{}

type listState struct {
	items  int
	fields []Aggregation
	clear  *orderKey
	all    []listItem
}

func (r *Reader) register() *orderKey {
	if r.bad || len(r.b) == 0 || r.b[0] > 1 {
		r.Fail()
		return nil
	}
	set := r.b[0] == 1
	if r.b = r.b[1:]; !set {
		return nil
	}
	k := r.order()
	return &k
}

func appendRegister(dst []byte, k *orderKey) []byte {
	if k == nil {
		return append(dst, 0)
	}
	return k.append(append(dst, 1))
}

// latest returns the later of two registers.
func latest(a, b *orderKey) *orderKey {
	if a == nil || b != nil && b.compare(*a) > 0 {
		return b
	}
	return a
}

func readList(state []byte) (listState, error) {
	r := Reader{b: state}
	var s listState
	s.items = int(min(r.Uvarint(), 1<<20))
	for _, f := range r.Bytes(r.Uvarint()) {
		if f == 0 || Aggregation(f) > AggregateDistinct {
			r.Fail()
		}
		s.fields = append(s.fields, Aggregation(f))
	}
	s.clear = r.register()
	n := r.Uvarint()
	if r.bad || s.items == 0 || n > uint64(len(r.b)) {
		return s, ErrDamaged
	}
	s.all = make([]listItem, 0, n+1)
	for range n {
		from := r.b
		if t := r.skipValue(); t == Null || t == Integer || t == Time {
			r.Fail()
		}
		item := listItem{value: from[:len(from)-len(r.b)], deleted: r.register()}
		events := r.Uvarint()
		if r.bad || events > maxItemEvents || events == 0 && item.deleted == nil {
			return s, ErrDamaged
		}
		item.events = make([]listEvent, 0, events+1)
		for range events {
			e := listEvent{orderKey: r.order()}
			from := r.b
			for range s.fields {
				if t := r.skipValue(); t == Integer || t == Time {
					r.Fail()
				}
			}
			e.fields = from[:len(from)-len(r.b)]
			item.events = append(item.events, e)
		}
		if r.bad {
			return s, ErrDamaged
		}
		s.all = append(s.all, item)
	}
	return s, r.Done()
}

func (s *listState) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.items))
	dst = binary.AppendUvarint(dst, uint64(len(s.fields)))
	for _, f := range s.fields {
		dst = append(dst, byte(f))
	}
	dst = appendRegister(dst, s.clear)
	dst = binary.AppendUvarint(dst, uint64(len(s.all)))
	for _, item := range s.all {
		dst = appendRegister(append(dst, item.value...), item.deleted)
		dst = binary.AppendUvarint(dst, uint64(len(item.events)))
		for _, e := range item.events {
			dst = append(e.append(dst), e.fields...)
		}
	}
	return dst
}

// settle drops what does not count any more.
func (s *listState) settle() {
	for i := range s.all {
		item := &s.all[i]
		if item.deleted != nil && s.clear != nil && item.deleted.compare(*s.clear) <= 0 {
			item.deleted = nil
		}
		item.cut(latest(s.clear, item.deleted))
		item.events = item.events[max(0, len(item.events)-maxItemEvents):]
	}
	s.all = slices.DeleteFunc(s.all, func(i listItem) bool { return i.empty() })
	if len(s.all) <= s.items {
		return
	}
	ranked := make([]orderKey, len(s.all))
	for i := range s.all {
		ranked[i] = s.all[i].touched()
	}
	slices.SortFunc(ranked, func(a, b orderKey) int { return b.compare(a) })
	below := func(k orderKey) bool { return k.compare(ranked[s.items]) < 0 }
	for i := range s.all {
		item := &s.all[i]
		if item.deleted != nil && below(*item.deleted) {
			item.deleted = nil
		}
		item.events = slices.DeleteFunc(item.events, func(e listEvent) bool { return below(e.orderKey) })
	}
	s.all = slices.DeleteFunc(s.all, func(i listItem) bool { return i.empty() })
}

// item returns the item of a value, made if need be.
func (s *listState) item(value []byte) *listItem {
	i, found := slices.BinarySearchFunc(s.all, value, func(i listItem, v []byte) int { return bytes.Compare(i.value, v) })
	if !found {
		s.all = slices.Insert(s.all, i, listItem{value: value})
	}
	return &s.all[i]
}

// Add implements Accumulator.
func (list) Add(dst, state []byte, spec Spec, o Observation) ([]byte, error) {
	s := listState{items: spec.Items}
	if s.items == 0 {
		s.items = DefaultItems
	}
	for _, f := range spec.Fields {
		s.fields = append(s.fields, f.How)
	}
	var told []byte
	var err error
	if o.Act == ActPut {
		if told, err = s.told(spec, o); err != nil {
			return dst, err
		}
	}
	var value []byte
	if o.Act != ActClear {
		switch o.Value.Type() {
		case Null, Time, List:
			return dst, Refuse(WrongType, "a "+o.Value.Type().String()+", where an item's text, number or bool is needed")
		}
		value = appendScalar(nil, o.Value)
	}
	if len(state) > 0 {
		items, fields := s.items, s.fields
		if s, err = readList(state); err != nil {
			return dst, err
		}
		if s.items != items || !slices.Equal(s.fields, fields) {
			return dst, ErrDamaged
		}
	}
	var packed [16]byte
	key := newOrderKey(&packed, o.Order)
	switch o.Act {
	case ActClear:
		s.clear = latest(s.clear, &key)
	case ActDelete:
		item := s.item(value)
		item.deleted = latest(item.deleted, &key)
	default:
		item := s.item(value)
		e := listEvent{key, told}
		i, _ := slices.BinarySearchFunc(item.events, e, listEvent.compare)
		item.events = slices.Insert(item.events, i, e)
	}
	s.settle()
	return s.append(dst), nil
}

// told returns the encoded values of the fields.
func (s *listState) told(spec Spec, o Observation) ([]byte, error) {
	var told []byte
	for i, how := range s.fields {
		var v Value
		if i < len(o.Fields) {
			v = o.Fields[i]
		}
		if how.numeric() && !v.IsNull() {
			if _, ok := v.Decimal(); !ok {
				return nil, Refuse(WrongType, spec.Fields[i].Name+", a "+v.Type().String()+", where a number is needed")
			}
		}
		if t := v.Type(); t == Time || t == List {
			return nil, Refuse(WrongType, "a "+t.String()+", where a text, number or bool is needed")
		}
		told = appendScalar(told, v)
	}
	return told, nil
}

// appendScalar appends a value, numbers as decimals.
func appendScalar(dst []byte, v Value) []byte {
	if v.Type() == Integer {
		d, _ := v.Decimal()
		v = DecimalValue(d)
	}
	return AppendValue(dst, v)
}

// Merge implements Accumulator.
func (list) Merge(dst, a, b []byte) ([]byte, error) {
	s, err := readList(a)
	if err != nil {
		return dst, err
	}
	t, err := readList(b)
	if err != nil {
		return dst, err
	}
	if s.items != t.items || !slices.Equal(s.fields, t.fields) {
		return dst, ErrDamaged
	}
	s.clear = latest(s.clear, t.clear)
	for _, from := range t.all {
		into := s.item(from.value)
		into.deleted = latest(into.deleted, from.deleted)
		into.events = append(into.events, from.events...)
		slices.SortFunc(into.events, listEvent.compare)
	}
	s.settle()
	return s.append(dst), nil
}

// Check implements Accumulator.
func (list) Check(state []byte) error {
	s, err := readList(state)
	if err != nil {
		return err
	}
	for i, item := range s.all {
		if i > 0 && bytes.Compare(s.all[i-1].value, item.value) >= 0 || !slices.IsSortedFunc(item.events, listEvent.compare) {
			return ErrDamaged
		}
	}
	settled := s
	settled.all = slices.Clone(s.all)
	for i := range settled.all {
		settled.all[i].events = slices.Clone(settled.all[i].events)
	}
	settled.settle()
	if len(state) == 0 || !bytes.Equal(settled.append(nil), state) {
		return ErrDamaged
	}
	return nil
}
