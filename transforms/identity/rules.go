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
	limits  map[string]*Limit // by key
	// saturation is how many leaders a value of a key may have; none for the profile key and others without such a limit.
	saturation map[string]int
	secret     []byte // see WithSecret
}

type key struct {
	KeyRule
	valid, never *regexp.Regexp
	replace      []*regexp.Regexp // the patterns of Replace
	invalid      map[string]bool
}

// NewRules compiles keys, listed most identifying first. The profile key must be one of them.
func NewRules(keys []KeyRule, profileKey string) (*Rules, error) {
	r := &Rules{index: make(map[string]int, len(keys)), profile: profileKey, limits: map[string]*Limit{}, saturation: map[string]int{}}
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
		never, err := compileWhole(rule.InvalidRegexp)
		if err != nil {
			return nil, fmt.Errorf("key %q: invalid_regexp: %w", rule.Name, err)
		}
		k := key{KeyRule: rule, valid: valid, never: never, invalid: make(map[string]bool, len(rule.InvalidTexts))}
		for _, r := range rule.Replace {
			pattern, err := regexp.Compile(r.Pattern)
			if err != nil {
				return nil, fmt.Errorf("key %q: replace: %w", rule.Name, err)
			}
			k.replace = append(k.replace, pattern)
		}
		for _, text := range rule.InvalidTexts { // as they are written, and as they are normalized
			normalized, _ := k.normalize(text)
			k.invalid[text], k.invalid[normalized] = true, true
		}
		r.index[rule.Name] = i
		switch {
		case rule.Name == profileKey:
		case rule.Saturation == nil:
			r.saturation[rule.Name] = DefaultSaturation
		case *rule.Saturation > 0:
			r.saturation[rule.Name] = *rule.Saturation
		}
		if limit := rule.limit(); limit != nil {
			r.limits[rule.Name] = limit
		}
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

// Saturated reports whether a value of a key that so many others lead is shared by too many to join anybody.
func (r *Rules) Saturated(key string, leaders int) bool {
	most, limited := r.saturation[key]
	return limited && leaders > most
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
	if k.Hash {
		if known, refusal, ok := recognize(value); ok {
			return Identifier{Key: name, Value: known}, refusal
		}
		if len(r.secret) == 0 {
			return Identifier{}, NotHashed
		}
	}
	raw := value
	value, refusal := k.normalize(value)
	switch {
	case value == "":
		return Identifier{}, Empty
	case len(value) > MaxValueBytes:
		return Identifier{}, TooLong
	case strings.ContainsFunc(value, unicode.IsControl):
		return Identifier{}, NotPrintable
	case k.invalid[value] || k.invalid[raw]:
		return Identifier{}, InvalidText
	case k.Junk != AllowJunk && isJunk(value):
		return Identifier{}, KnownJunk
	case refusal != "":
		return Identifier{}, refusal
	case k.never != nil && k.never.MatchString(value):
		return Identifier{}, InvalidText
	case k.valid != nil && !k.valid.MatchString(value):
		return Identifier{}, InvalidRegexp
	}
	if k.Hash {
		value = r.concealed(name, value)
	}
	return Identifier{Key: name, Value: value}, ""
}

// normalize returns the normalized value, or why there is none.
func (k *key) normalize(value string) (string, Refusal) {
	value, refusal := k.Normalize.apply(value)
	for i, pattern := range k.replace {
		value = pattern.ReplaceAllString(value, k.Replace[i].With)
	}
	return value, refusal
}

// Parse returns the identifier that a text "key:value" stands for, its value normalized. A *RefusedError says why it identifies nobody;
// any other error, that the text is none.
func (r *Rules) Parse(text string) (Identifier, error) {
	raw, err := ParseIdentifier(text)
	if err != nil {
		return Identifier{}, err
	}
	id, reason := r.Normalize(raw.Key, raw.Value)
	if reason != "" {
		return Identifier{}, &RefusedError{Key: raw.Key, Reason: reason}
	}
	return id, nil
}

// Source says in which field of a table's events the values of a key are found.
type Source struct {
	Key   string
	Field string
}

// RefusedValue is a value that an event carried for a key and that does not count.
type RefusedValue struct {
	Key    string  `json:"key"`
	Value  string  `json:"value,omitempty"` // as text, cut to 64 bytes; empty when it must not be kept raw
	Reason Refusal `json:"reason"`
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
			refused = append(refused, r.Refuse(s.Key, field.String(), reason))
			continue
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, r.Compare)
	return ids, r.unmapped(e, sources, refused)
}

// unmapped adds what stands among the identifiers of an event and is no source of its table: most likely a name that is written wrong.
func (r *Rules) unmapped(e *event.Event, sources []Source, refused []RefusedValue) []RefusedValue {
	e.Field("identifiers").ForEach(func(name, value gjson.Result) bool {
		key, reason := name.Str, NotConfigured
		for _, s := range sources {
			if event.PathHead(s.Field) == name.Str || s.Field == name.Str {
				return true
			}
			if strings.EqualFold(s.Field, name.Str) {
				key, reason = s.Key, NameCase
			}
		}
		refused = append(refused, r.Refuse(key, value.String(), reason))
		return true
	})
	return refused
}

// Refuse returns what is told of a value that identifies nobody.
func (r *Rules) Refuse(key, value string, reason Refusal) RefusedValue {
	if i, ok := r.index[key]; ok && r.keys[i].Hash {
		value = ""
	}
	return RefusedValue{Key: key, Value: strings.ToValidUTF8(value[:min(len(value), 64)], ""), Reason: reason}
}
