package identity

import (
	"fmt"
	"regexp"
	"strings"
)

// Policy says which of several competing links of a key wins.
type Policy string

// The policies. The empty value means KeepFirst.
const (
	KeepFirst    Policy = "keep_first"     // the earliest link: an identifier stays with the person it was first seen with
	MoveToLatest Policy = "move_to_latest" // the latest link: it moves on to whoever used it last, as a shared device does
)

// MaxValueBytes is the length an identifier's value may have at most after normalization.
const MaxValueBytes = 512

// KeyRule is one stitching key of the configuration. Keys are listed most identifying first.
type KeyRule struct {
	// Name of the key; required.
	Name string `yaml:"name" json:"name" jsonschema:"required,description=Name of the stitching key."`
	// Normalize is none, trim, lower, email, phone or {phone: REGION}; default trim.
	Normalize Normalization `yaml:"normalize,omitempty" json:"normalize,omitzero"`
	// Replace is applied to normalized values, in its order; default nothing.
	Replace []Replacement `yaml:"replace,omitempty" json:"replace,omitempty" jsonschema:"description=What is replaced in normalized values\\, in this order."`
	// Policy is keep_first or move_to_latest; default keep_first.
	Policy Policy `yaml:"policy,omitempty" json:"policy,omitempty" jsonschema:"enum=keep_first,enum=move_to_latest,default=keep_first,description=Which of several competing links of this key wins."`
	// Unique says that a profile has one value of the key at most; default false.
	Unique bool `yaml:"unique,omitempty" json:"unique,omitempty" jsonschema:"description=Whether a profile has one value of this key at most."`
	// Limit is how many values of the key a profile may have; default any number.
	Limit *Limit `yaml:"limit,omitempty" json:"limit,omitempty" jsonschema:"description=How many values of this key a profile may have."`
	// Saturation is how many more identifying identifiers a value may be seen with: one with more of them is shared by many people and
	// joins nobody. Default DefaultSaturation; 0: any number.
	Saturation *int `yaml:"saturation,omitempty" json:"saturation,omitempty" jsonschema:"minimum=0,maximum=60,default=50,description=How many more identifying identifiers a value may be seen with. One with more of them is shared by many people and joins nobody. 0: any number."`
	// Hash says that values must not be stored raw: only a keyed hash of them enters the stream. The secret comes from the environment.
	// Default false.
	Hash bool `yaml:"hash,omitempty" json:"hash,omitempty" jsonschema:"description=Whether only a keyed hash of values enters the stream. The secret comes from the environment variable BRAID_HASH_SECRET."`
	// ValidRegexp must match the whole normalized value when it is set (RE2 syntax).
	ValidRegexp string `yaml:"valid_regexp,omitempty" json:"valid_regexp,omitempty" jsonschema:"description=A value counts only when this RE2 expression matches it from end to end."`
	// InvalidTexts are values that never identify anybody; compared after normalization.
	InvalidTexts []string `yaml:"invalid_texts,omitempty" json:"invalid_texts,omitempty" jsonschema:"description=Values that identify nobody."`
	// InvalidRegexp matches values that never identify anybody, from end to end (RE2 syntax).
	InvalidRegexp string `yaml:"invalid_regexp,omitempty" json:"invalid_regexp,omitempty" jsonschema:"description=A value that this RE2 expression matches from end to end identifies nobody."`
	// Junk is refuse or allow: whether well-known values such as null, anonymous, 0 or zero UUIDs identify nobody; default refuse.
	Junk JunkRule `yaml:"junk,omitempty" json:"junk,omitempty" jsonschema:"enum=refuse,enum=allow,default=refuse,description=Whether well-known junk such as null\\, anonymous\\, 0 or a UUID of zeros identifies nobody."`
}

// Replacement replaces what an expression matches.
type Replacement struct {
	// Pattern is matched anywhere in the value (RE2 syntax); required.
	Pattern string `yaml:"pattern" json:"pattern" jsonschema:"required,description=RE2 expression\\, matched anywhere in the value."`
	// With takes its place; $1 is the first group. Default nothing.
	With string `yaml:"with,omitempty" json:"with,omitempty" jsonschema:"description=What takes its place; $1 is the first group."`
}

// JunkRule says what becomes of well-known junk.
type JunkRule string

// The rules for junk. The empty value means RefuseJunk.
const (
	RefuseJunk JunkRule = "refuse"
	AllowJunk  JunkRule = "allow"
)

// DefaultSaturation is the default of KeyRule.Saturation, and MaxSaturation what it may be at most: so many refused links a document
// remembers for sure.
const (
	DefaultSaturation = 50
	MaxSaturation     = 60
)

// FieldError tells which field of a rule is wrong.
type FieldError struct {
	Field   string // YAML name of the field
	Message string
}

// Error returns the field and what is wrong with it.
func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Validate checks the rule by itself and returns a FieldError for each field that is wrong.
func (k KeyRule) Validate() []*FieldError {
	var errs []*FieldError
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if k.Name == "" {
		wrong("name", "a stitching key needs a name")
	}
	if err := k.Normalize.validate(); err != nil {
		wrong("normalize", "%v", err)
	}
	if err := k.validateLimit(); err != nil {
		wrong("limit", "%v", err)
	}
	if n := k.Saturation; n != nil && (*n < 0 || *n > MaxSaturation) {
		wrong("saturation", "%d is not within 0 and %d", *n, MaxSaturation)
	}
	switch k.Junk {
	case "", RefuseJunk, AllowJunk:
	default:
		wrong("junk", "unknown rule %q; use refuse or allow", string(k.Junk))
	}
	for i, r := range k.Replace {
		if _, err := regexp.Compile(r.Pattern); err != nil || r.Pattern == "" {
			wrong("replace", "pattern %d: %q is not an expression that could match anything", i+1, r.Pattern)
		}
	}
	if _, err := compileWhole(k.InvalidRegexp); err != nil {
		wrong("invalid_regexp", "%v", err)
	}
	switch k.Policy {
	case "", KeepFirst, MoveToLatest:
	default:
		wrong("policy", "unknown policy %q; use keep_first or move_to_latest", string(k.Policy))
	}
	if _, err := compileWhole(k.ValidRegexp); err != nil {
		wrong("valid_regexp", "%v", err)
	}
	for _, text := range k.InvalidTexts {
		if strings.TrimSpace(text) == "" {
			wrong("invalid_texts", "an empty text is always invalid; remove it")
		}
	}
	return errs
}

func compileWhole(expr string) (*regexp.Regexp, error) {
	if expr == "" {
		return nil, nil
	}
	if _, err := regexp.Compile(expr); err != nil { // so that the message speaks of the user's own text
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expr + `)\z`)
}

// Refusal says why a value does not count as an identifier. The empty Refusal means that it does.
type Refusal string

// The reasons for which a value is refused.
const (
	NotConfigured Refusal = "not_configured"
	NotAString    Refusal = "not_a_string"
	Empty         Refusal = "empty"
	TooLong       Refusal = "too_long"
	NotAnEmail    Refusal = "not_an_email"
	NotAPhone     Refusal = "not_a_phone"
	KnownJunk     Refusal = "known_junk"
	NotHashed     Refusal = "not_hashed"
	NameCase      Refusal = "name_case_mismatch"
	InvalidRegexp Refusal = "fails_valid_regexp"
	InvalidText   Refusal = "invalid_text"
	NotPrintable  Refusal = "control_character"
)

// RefusedError says that a value asked for cannot be an identifier.
type RefusedError struct {
	Key    string
	Reason Refusal
}

// Error names the key and the reason, but not the value, which may be personal data.
func (e *RefusedError) Error() string { return fmt.Sprintf("this value of %q: %s", e.Key, e.Reason) }
