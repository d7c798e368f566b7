// Package directive holds the directives of scenario scripts that send events, move the clock and print what came of it. Importing it
// makes them known; README.md of package scenario describes them.
//
// In go lines of a script; out come steps, which act on a world of package scenario and print text that is the same whenever the same
// happened: profile IDs as the identifiers they stand for, moments in UTC, JSON in its canonical form.
package directive

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/strict"
	"github.com/braidhq/braid/transforms/update"
)

// none is printed where there is nothing to print.
const none = "none"

// nobody is printed for a person whom no event told of.
const nobody = "nobody"

func lines(all []string) string {
	if len(all) == 0 {
		return none
	}
	return strings.Join(all, "\n")
}

// person is whom a line asks for: KEY=VALUE.
type person struct{ key, value string }

// parsePerson reads the word that says whom a line asks for.
func parsePerson(c *scenario.Compiler, w script.Word) (person, bool) {
	f, ok := w.Field()
	if !ok {
		c.ReportWord(w, "write for example: "+c.Segment().ProfileKey+"=7", "%s is not KEY=VALUE", w.Text)
		return person{}, false
	}
	keys := append(c.Segment().Rules.Keys(), update.KeyProfileID)
	for _, key := range keys {
		if f.Name == key {
			return person{key, f.Value()}, true
		}
	}
	hint := strict.Suggest(f.Name, keys)
	if hint == "" {
		hint = "its keys are " + strings.Join(keys[:len(keys)-1], ", ")
	}
	c.ReportWord(w, hint, "the segment has no stitching key %q", f.Name)
	return person{}, false
}

// attributes reads words that name attributes.
func attributes(c *scenario.Compiler, words []script.Word) (names []string, ok bool) {
	ok = true
	for _, w := range words {
		if _, known := c.Segment().File.Attributes[w.Value()]; !known {
			var all []string
			for name := range c.Segment().File.Attributes {
				all = append(all, name)
			}
			c.ReportWord(w, strict.Suggest(w.Value(), all), "the segment has no attribute %q", w.Value())
			ok = false
		}
		names = append(names, w.Value())
	}
	return names, ok
}

// printable returns a text for one line of output: quoted when it would not read as one word.
func printable(id identity.Identifier) string {
	text := id.String()
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '\\' }) {
		return id.Key + ":" + strconv.Quote(id.Value)
	}
	return text
}
