package identity

import (
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/strict"
)

// Limit says how many values of a key a profile may have.
type Limit struct {
	// Count is how many there may be; required, at least 1.
	Count int `yaml:"count" json:"count" jsonschema:"required,minimum=1,description=How many values of the key a profile may have."`
	// Per is the time within which they count, by when each was first seen linked; default for ever.
	Per strict.Duration `yaml:"per,omitempty" json:"per,omitzero" jsonschema:"description=The time within which they count; without it for ever."`
}

func (k KeyRule) limit() *Limit {
	if k.Unique {
		return &Limit{Count: 1}
	}
	return k.Limit
}

func (k KeyRule) validateLimit() error {
	switch {
	case k.Limit == nil:
		return nil
	case k.Unique:
		return fmt.Errorf("unique already says that there is one; leave one of the two out")
	case k.Limit.Count < 1:
		return fmt.Errorf("count: a profile must be allowed at least 1 value")
	}
	return nil
}

// exceeded reports whether so many values, each at the time of its first link (epoch milliseconds, in any order), are too many.
func (l *Limit) exceeded(times []int64) bool {
	if len(times) <= l.Count {
		return false
	}
	if l.Per == 0 {
		return true
	}
	slices.Sort(times)
	for i := l.Count; i < len(times); i++ {
		if times[i]-times[i-l.Count] < l.Per.Milliseconds() {
			return true
		}
	}
	return false
}

// Full reports whether identifiers include as many values of a key as a profile may have, whenever it got them, or more.
func (r *Rules) Full(ids ...[]Identifier) bool {
	return r.counts(ids, func(n, most int) bool { return n >= most })
}

// Exceeded reports whether identifiers include more values of a key than a profile may have, whenever it got them.
func (r *Rules) Exceeded(ids ...[]Identifier) bool {
	return r.counts(ids, func(n, most int) bool { return n > most })
}

// counts reports whether the number of values of any limited key meets a condition.
func (r *Rules) counts(ids [][]Identifier, condition func(n, most int) bool) bool {
	for key, limit := range r.limits {
		n := 0
		for _, list := range ids {
			for _, id := range list {
				if id.Key == key {
					n++
				}
			}
		}
		if condition(n, limit.Count) {
			return true
		}
	}
	return false
}

// holdings are the values of limited keys in each set of a forest.
type holdings struct {
	rules *Rules
	held  map[int]map[string][]int64 // set -> key -> time of the first link of each value
}

// newHoldings returns nil when no key is limited.
func newHoldings(rules *Rules, members []Identifier, edges []Edge) *holdings {
	if len(rules.limits) == 0 {
		return nil
	}
	first := map[Identifier]int64{}
	for _, e := range edges {
		for _, end := range [...]Identifier{e.Leader, e.Other} {
			if at, known := first[end]; rules.limits[end.Key] != nil && (!known || e.First.Time < at) {
				first[end] = e.First.Time
			}
		}
	}
	h := &holdings{rules: rules, held: map[int]map[string][]int64{}}
	for i, m := range members {
		if rules.limits[m.Key] != nil {
			h.held[i] = map[string][]int64{m.Key: {first[m]}}
		}
	}
	return h
}

// exceeded returns the key of which two sets have too many values together.
func (h *holdings) exceeded(a, b int) bool {
	if h == nil || h.held[a] == nil || h.held[b] == nil {
		return false
	}
	for key, times := range h.held[b] {
		if have := h.held[a][key]; len(have) > 0 && h.rules.limits[key].exceeded(slices.Concat(have, times)) {
			return true
		}
	}
	return false
}

// join gives what one set holds to another.
func (h *holdings) join(into, from int) {
	if h == nil || h.held[from] == nil {
		return
	}
	if h.held[into] == nil {
		h.held[into] = map[string][]int64{}
	}
	for key, times := range h.held[from] {
		h.held[into][key] = append(h.held[into][key], times...)
	}
	delete(h.held, from)
}
