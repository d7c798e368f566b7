package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/braidhq/braid/transforms/event"
)

// Values of keys that must not be stored raw are concealed before an event enters the stream: what stands there, and in documents, is a
// keyed hash (HMAC-SHA-256, RFC 2104, cut to 128 bits) of the key's name and the normalized value; or why the value does not count.
const (
	concealedPrefix = "h1."
	refusedPrefix   = "h0."
	concealedBytes  = len(concealedPrefix) + 26
)

// MinSecret is how many bytes the secret for concealing must have.
const MinSecret = 16

// WithSecret returns the same rules with the secret by which values are concealed; without one they can only be recognized.
func (r *Rules) WithSecret(secret string) *Rules {
	with := *r
	with.secret = []byte(secret)
	return &with
}

// Conceals returns the names of the keys whose values are concealed.
func (r *Rules) Conceals() []string {
	var names []string
	for _, k := range r.keys {
		if k.Hash {
			names = append(names, k.Name)
		}
	}
	return names
}

// concealed returns a value of a key as it stands in the stream.
func (r *Rules) concealed(key, value string) string {
	mac := hmac.New(sha256.New, r.secret)
	mac.Write([]byte(key))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	return concealedPrefix + encoding.EncodeToString(mac.Sum(nil)[:16])
}

// refusals are the reasons that may stand in place of a value; anything else there was sent by somebody else.
var refusals = []Refusal{NotAString, Empty, TooLong, NotAnEmail, NotAPhone, InvalidRegexp, InvalidText, NotPrintable, KnownJunk}

// recognize reads a value of a key that is concealed: the value as it stands there, why it does not count, or false when it is raw.
func recognize(value string) (string, Refusal, bool) {
	switch {
	case len(value) == concealedBytes && strings.HasPrefix(value, concealedPrefix):
		if _, err := encoding.DecodeString(value[len(concealedPrefix):]); err == nil {
			return value, "", true
		}
	case strings.HasPrefix(value, refusedPrefix) && slices.Contains(refusals, Refusal(value[len(refusedPrefix):])):
		return "", Refusal(value[len(refusedPrefix):]), true
	}
	return "", "", false
}

// Conceal returns an event, given as JSON, with the values concealed that must not be stored raw, wherever a source of its table finds
// them. Without such values it is the event itself.
func (r *Rules) Conceal(raw []byte, sources []Source) []byte {
	for _, s := range sources {
		if i, ok := r.index[s.Key]; !ok || !r.keys[i].Hash {
			continue
		}
		for _, top := range [...]string{"identifiers", "properties", "context"} {
			path := top + "." + s.Field
			e := event.Event{Raw: raw}
			field := e.Field(path)
			if !field.Exists() || field.Type == gjson.Null {
				continue
			}
			text := refusedPrefix + string(NotAString)
			if field.Type == gjson.String {
				id, reason := r.Normalize(s.Key, field.Str)
				if text = id.Value; reason != "" {
					text = refusedPrefix + string(reason)
				}
			}
			raw = e.SetText(path, text)
		}
	}
	return raw
}
