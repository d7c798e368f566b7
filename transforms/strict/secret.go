package strict

import (
	"fmt"
	"log/slog"
	"regexp"
)

// Secret is a text that must not stand in the file: there it is a reference, ${NAME}, and its value comes from the environment.
// However it is printed, encoded or logged, it shows only ***.
type Secret struct {
	name   string
	reveal func() string // a function, so that not even reflection prints the value
}

const hidden = "***"

var reference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// NewSecret returns a secret that holds a value.
func NewSecret(value string) Secret { return Secret{reveal: func() string { return value }} }

// Reveal returns the value. It is empty for the zero Secret.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.Reveal() != "" }

// Name returns the environment variable the secret came from.
func (s Secret) Name() string { return s.name }

// String returns ***, or nothing when the secret is not set.
func (s Secret) String() string {
	if !s.IsSet() {
		return ""
	}
	return hidden
}

// Format prints what String returns, for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText returns what String returns; JSON and YAML use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

func (d *Document) decodeSecret(n *node, s *Secret) {
	if n.kind != Text {
		d.report(n, n.path, "", "a reference to the environment is needed, such as ${NAME}; found %s", n.kind)
		return
	}
	m := reference.FindStringSubmatch(n.text)
	if m == nil { // the text may be the secret itself: it is not repeated
		d.report(n, n.path, "", "a secret does not belong in a file; put it in an environment variable and write ${NAME}")
		return
	}
	value, ok := "", false
	if d.env != nil {
		value, ok = d.env(m[1])
	}
	if !ok || value == "" {
		d.report(n, n.path, "", "the environment variable %s is not set", m[1])
		return
	}
	*s = NewSecret(value)
	s.name = m[1]
}
