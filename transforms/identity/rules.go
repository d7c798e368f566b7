package identity

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/braidhq/braid/transforms/event"
	"github.com/tidwall/gjson"
)

// Rules are the stitching keys of a segment, compiled. They are immutable and safe for concurrent use.
type Rules struct {
	keys    []key
	index   map[string]int
	profile string
}

type key struct {
	KeyRule
	valid   *regexp.Regexp
	invalid map[string]bool
}

// NewRules compiles keys, listed most identifying first. The profile key must be one of them.
func NewRules(keys []KeyRule, profileKey string) (*Rules, error) {
	r := &Rules{index: make(map[string]int, len(keys)), profile: profileKey}
	for i, rule := range keys {
		if errs := rule.Validate(); len(errs) > 0 {
			return nil, fmt.Errorf("key %q: %w", rule.Name, errs[0])
		}
		if _, ok := r.index[rule.Name]; ok {
			return nil, fmt.Errorf("key %q is listed twice", rule.Name)
		}
		valid, err := compileWhole(rule.ValidRegexp)
		if err != nil {
			return nil, fmt.Errorf("key %q: valid_regexp: %w", rule.Name, err)
		}
		k := key{KeyRule: rule, valid: valid, invalid: make(map[string]bool, len(rule.InvalidTexts))}
		for _, text := range rule.InvalidTexts {
			k.invalid[rule.Normalize.apply(text)] = true
		}
		r.index[rule.Name] = i
		r.keys = append(r.keys, k)
	}
	if _, ok := r.index[profileKey]; !ok {
		return nil, fmt.Errorf("profile key %q is not one of the stitching keys", profileKey)
	}
	return r, nil
}

// ProfileKey returns the name of the profile key.
func (r *Rules) ProfileKey() string { return r.profile }

// Keys returns the names of the stitching keys, most identifying first.
func (r *Rules) Keys() []string {
	names := make([]string, len(r.keys))
	for i, k := range r.keys {
		names[i] = k.Name
	}
	return names
}

// Priority returns the rank of a key: 0 is the most identifying. A key that is no longer configured ranks behind all others.
func (r *Rules) Priority(key string) int {
	if i, ok := r.index[key]; ok {
		return i
	}
	return len(r.keys)
}

// Compare orders identifiers by the priority of their keys, most identifying first, then by key and value.
func (r *Rules) Compare(a, b Identifier) int {
	if d := r.Priority(a.Key) - r.Priority(b.Key); d != 0 {
		return d
	}
	return a.Compare(b)
}

// Policy returns the policy of a key, KeepFirst for one that is not configured.
func (r *Rules) Policy(key string) Policy {
	if i, ok := r.index[key]; ok && r.keys[i].Policy == MoveToLatest {
		return MoveToLatest
	}
	return KeepFirst
}

// Normalize returns the identifier that a raw value of a key stands for, or the reason why it identifies nobody.
func (r *Rules) Normalize(name, value string) (Identifier, Refusal) {
	i, ok := r.index[name]
	if !ok {
		return Identifier{}, NotConfigured
	}
	k := &r.keys[i]
	value = k.Normalize.apply(value)
	switch {
	case value == "":
		return Identifier{}, Empty
	case len(value) > MaxValueBytes:
		return Identifier{}, TooLong
	case strings.ContainsFunc(value, unicode.IsControl):
		return Identifier{}, NotPrintable
	case k.Normalize == Email && !looksLikeEmail(value):
		return Identifier{}, NotAnEmail
	case k.invalid[value]:
		return Identifier{}, InvalidText
	case k.valid != nil && !k.valid.MatchString(value):
		return Identifier{}, InvalidRegexp
	}
	return Identifier{Key: name, Value: value}, ""
}

// Source says in which field of a table's events the values of a key are found.
type Source struct {
	Key   string
	Field string
}

// RefusedValue is a value that an event carried for a key and that does not count.
type RefusedValue struct {
	Key    string
	Value  string // as text, cut to 64 bytes
	Reason Refusal
}

// Identify returns the valid identifiers of an event, most identifying first, and what it carried in vain. Absent fields are
// neither.
func (r *Rules) Identify(e *event.Event, sources []Source) (ids []Identifier, refused []RefusedValue) {
	for _, s := range sources {
		field := e.KeyField(s.Field)
		if !field.Exists() {
			continue
		}
		var id Identifier
		reason := NotAString
		if field.Type == gjson.String {
			id, reason = r.Normalize(s.Key, field.Str)
		}
		if reason != "" {
			text := field.String()
			refused = append(refused, RefusedValue{Key: s.Key, Value: strings.ToValidUTF8(text[:min(len(text), 64)], ""), Reason: reason})
			continue
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, r.Compare)
	return ids, refused
}
