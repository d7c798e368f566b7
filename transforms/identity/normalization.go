package identity

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"

	"github.com/braidhq/braid/transforms/strict"
)

// Form names a way of bringing values into the form in which they are compared and stored.
type Form string

// The forms. The empty value means Trim. All but Verbatim also bring Unicode into its composed form (NFC).
const (
	Verbatim Form = "none"  // as it came
	Trim     Form = "trim"  // white space around it removed
	Lower    Form = "lower" // trimmed and in lower case
	Email    Form = "email" // trimmed, in lower case, and it must have the shape local@domain
	Phone    Form = "phone" // a telephone number in its international form (E.164): +4930123456
)

var forms = []Form{Verbatim, Trim, Lower, Email, Phone}

// Normalization says how values of a key are made comparable. In YAML it is a form, or {phone: REGION}.
type Normalization struct {
	Form Form
	// Region is the ISO 3166 code of the country that telephone numbers without a country code belong to; empty: there are none such.
	Region string
}

// UnmarshalStrict reads either form.
func (n *Normalization) UnmarshalStrict(v strict.Value) {
	switch v.Kind() {
	case strict.Null:
	case strict.Map:
		var m struct {
			Phone string `yaml:"phone"`
		}
		v.Decode(&m)
		*n = Normalization{Phone, m.Phone}
	default:
		v.Decode(&n.Form)
	}
}

// MarshalJSON writes what UnmarshalStrict reads.
func (n Normalization) MarshalJSON() ([]byte, error) {
	if n.Region != "" {
		return json.Marshal(map[Form]string{n.Form: n.Region})
	}
	return json.Marshal(n.Form)
}

// IsZero reports whether nothing is said.
func (n Normalization) IsZero() bool { return n == Normalization{} }

func (n Normalization) validate() error {
	if n.Form != "" && !slices.Contains(forms, n.Form) {
		return fmt.Errorf("unknown normalization %q; use none, trim, lower, email, phone or {phone: REGION}", string(n.Form))
	}
	if n.Region != "" && !phonenumbers.GetSupportedRegions()[n.Region] {
		hint := strict.Suggest(strings.ToUpper(n.Region), slices.Collect(maps.Keys(phonenumbers.GetSupportedRegions())))
		if hint != "" {
			hint = "; " + hint
		}
		return fmt.Errorf("%q is no region; use a country's two capital letters, such as US%s", n.Region, hint)
	}
	return nil
}

// apply returns the normalized value, or why there is none.
func (n Normalization) apply(value string) (string, Refusal) {
	if n.Form == Verbatim {
		return value, ""
	}
	value = composed(strings.TrimSpace(value))
	switch n.Form {
	case Lower:
		value = strings.ToLower(value)
	case Email:
		if value = strings.ToLower(value); value != "" && !looksLikeEmail(value) {
			return value, NotAnEmail
		}
	case Phone:
		if value == "" {
			return value, ""
		}
		number, err := phonenumbers.Parse(value, n.Region)
		if err != nil || !phonenumbers.IsValidNumber(number) {
			return value, NotAPhone
		}
		value = phonenumbers.Format(number, phonenumbers.E164)
	}
	return value, ""
}

// composed returns the text in Unicode's composed form, in which equal texts have equal bytes.
func composed(text string) string {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return norm.NFC.String(text)
		}
	}
	return text
}

func looksLikeEmail(value string) bool {
	at := strings.LastIndexByte(value, '@')
	return at > 0 && at < len(value)-1 && !strings.ContainsFunc(value, unicode.IsSpace)
}
