package directive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

func init() {
	scenario.Register(scenario.Directive{
		Name: "profile", Usage: "profile KEY=VALUE [ATTRIBUTE]...", Kind: scenario.Showing,
		About:   "Prints a profile: its ID, events, identifiers and the attributes that have anything to say, or those named.",
		Compile: compileProfile,
	})
	scenario.Register(scenario.Directive{
		Name: "profiles", Usage: "profiles [count | ATTRIBUTE...]", Kind: scenario.Showing,
		About:   "Prints all profiles, one line each: ID, identifiers and the attributes named; or how many there are.",
		Compile: compileProfiles,
	})
	scenario.Register(scenario.Directive{
		Name: "identifiers", Usage: "identifiers KEY=VALUE", Kind: scenario.Showing,
		About:   "Prints every identifier of a profile with its events, when it was seen first and last.",
		Compile: compileIdentifiers,
	})
}

// listed is how many identifiers one line lists; the others are counted.
const listed = 12

// view is a profile as of the world's clock with the document it was made of.
type view struct {
	*profile.View
	document *profile.Document
}

// find returns the profile of a person, or the text that says why there is none.
func (p person) find(ctx context.Context, w *scenario.World) (*view, string, error) {
	doc, err := w.Reader().Find(ctx, p.key, p.value)
	var refused *identity.RefusedError
	switch {
	case errors.As(err, &refused):
		return nil, nobody + ", " + string(refused.Reason), nil
	case err != nil:
		return nil, "", err
	case doc == nil:
		return nil, nobody, nil
	}
	v, err := w.Reader().Folder().Fold(doc, w.Now())
	return &view{v, doc}, "", err
}

func compileProfile(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 1, -1)
	if !ok {
		return nil
	}
	who, ok := parsePerson(c, words[0])
	names, known := attributes(c, words[1:])
	if !ok || !known {
		return nil
	}
	return []*scenario.Step{{Do: func(ctx context.Context, w *scenario.World) (string, error) {
		v, missing, err := who.find(ctx, w)
		if v == nil || err != nil {
			return missing, err
		}
		out := []string{
			"profile " + w.Name(v.ID),
			fmt.Sprintf("events %d, %s", v.Events, seen(v.First, v.Last, v.Events)),
			"identifiers " + v.list(),
		}
		shown, err := v.attributes(w, names)
		if err != nil {
			return "", err
		}
		return lines(append(out, shown...)), nil
	}}}
}

func seen(first, last int64, events uint64) string {
	if events == 0 {
		return "never"
	}
	return script.FormatSpan(first, last)
}

// list returns the identifiers in one line.
func (v *view) list() string {
	var all []string
	for _, id := range v.Identifiers[:min(len(v.Identifiers), listed)] {
		all = append(all, printable(id.Identifier))
	}
	text := strings.Join(all, " ")
	if more := len(v.Identifiers) + v.Unlisted - len(all); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// attributes prints the attributes named, or all that have anything to say: those that an event contributed to.
func (v *view) attributes(w *scenario.World, names []string) (out []string, err error) {
	empty, err := w.Segment().Attributes.Results(w.Now(), nil, nil)
	if err != nil {
		return nil, err
	}
	for i, r := range v.Attributes {
		if len(names) == 0 && !v.contributes(w, r.Name) && r.Value.Equal(empty[i].Value) {
			continue
		}
		if len(names) > 0 && !slices.Contains(names, r.Name) {
			continue
		}
		out = append(out, r.Name+" "+value(r))
	}
	if len(v.Audiences) > 0 && (len(names) == 0 || slices.Contains(names, "audiences")) {
		out = append(out, "audiences "+strings.Join(v.Audiences, " "))
	}
	return out, nil
}

func (v *view) contributes(w *scenario.World, name string) bool {
	hash, ok := w.Segment().Attributes.Hash(name)
	return ok && slices.ContainsFunc(v.document.Cells, func(c *profile.Cell) bool {
		return slices.ContainsFunc(c.Buckets, func(b profile.Bucket) bool { return b.States.Find(hash) != nil })
	})
}

func value(r accumulator.Result) string {
	text := r.Value.String()
	if r.Overflow {
		text += " (overflow)"
	}
	if r.Approximate {
		text += " (approximate)"
	}
	return text
}

func compileProfiles(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 0, -1)
	if !ok {
		return nil
	}
	count := len(words) == 1 && words[0].Text == "count"
	var names []string
	if !count {
		if names, ok = attributes(c, words); !ok {
			return nil
		}
	}
	return []*scenario.Step{{Do: func(ctx context.Context, w *scenario.World) (string, error) {
		var all []string
		for doc, err := range w.Reader().Documents(ctx) {
			if err != nil {
				return "", err
			}
			folded, err := w.Reader().Folder().Fold(doc, w.Now())
			if err != nil {
				return "", err
			}
			v := &view{folded, doc}
			line := w.Name(v.ID) + ": " + scenario.Count(int(v.Events), "event") + ", " + v.list()
			for _, name := range names {
				for _, r := range v.Attributes {
					if r.Name == name {
						line += ", " + name + " " + value(r)
					}
				}
			}
			all = append(all, line)
		}
		if count {
			return scenario.Count(len(all), "profile"), nil
		}
		slices.Sort(all)
		return lines(all), nil
	}}}
}

func compileIdentifiers(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 1, 1)
	if !ok {
		return nil
	}
	who, ok := parsePerson(c, words[0])
	if !ok {
		return nil
	}
	return []*scenario.Step{{Do: func(ctx context.Context, w *scenario.World) (string, error) {
		v, missing, err := who.find(ctx, w)
		if v == nil || err != nil {
			return missing, err
		}
		var all []string
		for _, id := range v.Identifiers {
			all = append(all, fmt.Sprintf("%s: %s, %s", printable(id.Identifier), scenario.Count(int(id.Events), "event"), seen(id.First.Time, id.Last.Time, id.Events)))
		}
		if v.Unlisted > 0 {
			all = append(all, fmt.Sprintf("and %d more that were seen longer ago", v.Unlisted))
		}
		return lines(all), nil
	}}}
}
