package attribute

import (
	"regexp"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
)

// Imported is what a batch run found for a person: values by where they come from, as Definition.From says it. Nil is nothing.
type Imported map[string]accumulator.Value

var importedFrom = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,63}\.[a-zA-Z_][a-zA-Z0-9_]{0,63}$`)

// Imports returns where the imported attributes of the set come from, in the order of definition; one that several name comes once.
func (s *Set) Imports() []string {
	var all []string
	seen := map[string]bool{}
	for _, c := range s.definitions {
		if c.From != "" && !seen[c.From] {
			all, seen[c.From] = append(all, c.From), true
		}
	}
	return all
}
