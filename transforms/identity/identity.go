// Package identity decides which identifiers belong to one person.
//
// In go the identifiers that events carried together, out comes a forest: every tree is one person, as far as the events tell.
// The most identifying identifier of an event leads; each other one is linked to it, and a link weighs as much as its first
// sighting (or its latest, by the key's policy). The profile key is exclusive: two of its values never share a tree. Refusing the
// links that would join two of them, earliest first, is Kruskal's minimum spanning forest of the graph in which all profile-key
// identifiers are contracted into one root. Hence the result is a function of the set of links, whatever the order they came in,
// and one new link is settled by looking at the two trees it touches (Contest).
package identity

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
)

// Identifier is a stitching key's name with one normalized value, for example email:ann@example.com.
type Identifier struct {
	Key   string
	Value string
}

// String returns the identifier as "key:value".
func (i Identifier) String() string { return i.Key + ":" + i.Value }

// Compare orders identifiers by key name, then value.
func (i Identifier) Compare(o Identifier) int {
	if c := strings.Compare(i.Key, o.Key); c != 0 {
		return c
	}
	return strings.Compare(i.Value, o.Value)
}

// ParseIdentifier reads the form String writes; the value may contain colons.
func ParseIdentifier(s string) (Identifier, error) {
	key, value, ok := strings.Cut(s, ":")
	if !ok || key == "" || value == "" {
		return Identifier{}, fmt.Errorf("identifier %q: want KEY:VALUE", s)
	}
	return Identifier{Key: key, Value: value}, nil
}

// ID is a 128-bit hash of a namespace and an identifier. A profile is known by the ID of one of its identifiers, so every profile
// ID ever given out resolves by itself.
type ID [16]byte

// NewID returns the ID of an identifier within a namespace: the first half of the SHA-256 of the length-prefixed parts.
func NewID(namespace string, i Identifier) ID {
	var buf [160]byte
	b := appendPart(buf[:0], namespace)
	b = appendPart(b, i.Key)
	b = append(b, i.Value...)
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// NewSetID returns the ID of a set of identifiers, which must be sorted by Compare. It never equals the ID of a single identifier.
func NewSetID(namespace string, set []Identifier) ID {
	var buf [320]byte
	b := appendPart(buf[:0], namespace)
	b = append(b, 0)
	for _, i := range set {
		b = appendPart(b, i.Key)
		b = appendPart(b, i.Value)
	}
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

func appendPart(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the ID as 26 lower-case base32 characters.
func (id ID) String() string { return encoding.EncodeToString(id[:]) }

// Append appends what String returns.
func (id ID) Append(dst []byte) []byte { return encoding.AppendEncode(dst, id[:]) }

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	b, err := encoding.DecodeString(s)
	if err != nil || len(b) != len(ID{}) {
		return ID{}, fmt.Errorf("profile ID %q: want 26 characters of a-z and 2-7", s)
	}
	return ID(b), nil
}
