package attribute_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/attribute/attributetest"
	"github.com/braidhq/braid/transforms/event"
	"pgregory.net/rapid"
)

// longest is a kind of a company's own: it keeps the longest text, the first in the alphabet of those of one length.
type longest struct{}

func (longest) better(a, b []byte) int {
	return cmp.Or(cmp.Compare(len(b), len(a)), bytes.Compare(a, b))
}

func (l longest) Add(dst, state []byte, _ accumulator.Spec, o accumulator.Observation) ([]byte, error) {
	text, ok := o.Value.Text()
	if !ok || text == "" {
		return dst, accumulator.Refuse(accumulator.WrongType, "a text is needed")
	}
	if len(state) > 0 && l.better(state, []byte(text)) <= 0 {
		return dst, accumulator.ErrUnchanged
	}
	return append(dst, text...), nil
}

func (l longest) Merge(dst, a, b []byte) ([]byte, error) {
	if l.better(b, a) < 0 {
		a = b
	}
	return append(dst, a...), nil
}

func (longest) Result(state []byte, _ accumulator.Spec, _ int64) (accumulator.Result, error) {
	if len(state) == 0 {
		return accumulator.Result{}, nil
	}
	return accumulator.Result{Value: accumulator.TextValue(string(state))}, nil
}

func (longest) Check(state []byte) error {
	if len(state) == 0 {
		return accumulator.ErrDamaged
	}
	return nil
}

var longestKind = accumulator.Kind{
	Name: "longest", Version: 2, Value: accumulator.Required, Accumulator: longest{},
	Upgrade: func(version uint8, state []byte) ([]byte, error) { return bytes.TrimSuffix(state, []byte("!")), nil }, // 1 ended with !
}

func init() {
	if err := accumulator.Register(longestKind); err != nil {
		panic(err)
	}
}

func TestCustomLaws(t *testing.T) {
	texts := rapid.Map(rapid.StringN(0, 5, -1), accumulator.TextValue)
	attributetest.Laws(t, longestKind, accumulator.Spec{}, attributetest.Observations(texts))
}

func Example_custom() {
	// longest implements Accumulator; an init function or an option of cmd.Main has called Register with
	// Kind{Name: "longest", Version: 2, Value: Required, Accumulator: longest{}, ...}.
	set, err := attribute.NewSet(
		[]attribute.Definition{{Name: "longest_search", Kind: "longest", Event: "searched", Value: "properties.query"}},
		map[string]attribute.EventRef{"searched": {Index: 0, Meaning: "table search"}}, attribute.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var phone, laptop attribute.States
	for i, query := range []string{"mat", "yoga mat", "ball"} {
		e := &event.Event{Order: event.Order{Time: int64(i)}, Raw: []byte(`{"properties":{"query":"` + query + `"}}`)}
		if i%2 == 0 {
			phone, _, err = set.Add(phone, e, []int{0})
		} else {
			laptop, _, err = set.Add(laptop, e, []int{0})
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	both, err := attribute.Merge(phone, laptop)
	if err != nil {
		fmt.Println(err)
	}
	results, err := set.Results(0, both, nil)
	fmt.Println(results[0].Name, results[0].Value, err)
	// Output: longest_search "yoga mat" <nil>
}

func TestCustomKindRoundTripsAndUpgrades(t *testing.T) {
	set := newSet(t, attribute.Definition{Name: "it", Kind: "longest", Event: "any", Value: "properties.v"})
	states, _, err := set.Add(nil, at(0, `{"properties":{"v":"hello"}}`), []int{0})
	if err != nil {
		t.Fatal(err)
	}
	back, err := attribute.DecodeStates(states.Append(nil))
	if err != nil || back.Check() != nil {
		t.Fatalf("%v, %v", err, back.Check())
	}
	if got := answers(t, set, 0, back)["it"]; got != `"hello"` {
		t.Errorf("result = %s", got)
	}
	old := attribute.States{{Hash: states[0].Hash, Data: []byte("\xff\x01\x07longestgood morning!")}}
	merged, err := attribute.Merge(old, states)
	if err != nil {
		t.Fatal(err)
	}
	if got := answers(t, set, 0, merged)["it"]; got != `"good morning"` {
		t.Errorf("merged with a state of version 1: %s", got)
	}
	newer := attribute.States{{Hash: states[0].Hash, Data: []byte("\xff\x03\x07longestx")}}
	if _, err := attribute.Merge(newer, states); !errors.Is(err, accumulator.ErrKind) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("merged with a state of version 3: %v", err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	for name, k := range map[string]accumulator.Kind{
		"a built-in name":      {Name: "sum", Version: 1, Accumulator: longest{}},
		"a registered name":    longestKind,
		"an odd name":          {Name: "My-Kind", Version: 1, Accumulator: longest{}},
		"version 0":            {Name: "mine", Accumulator: longest{}},
		"no accumulator":       {Name: "mine", Version: 1},
		"a need out of bounds": {Name: "mine", Version: 1, Accumulator: longest{}, Value: 7},
	} {
		if err := accumulator.Register(k); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, k := range accumulator.Kinds() {
		if _, ok := accumulator.Find(k.Name); !ok {
			t.Errorf("%s is listed but unknown", k.Name)
		}
	}
}
