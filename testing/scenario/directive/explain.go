package directive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/profile"
)

func init() {
	scenario.Register(scenario.Directive{
		Name: "explain", Usage: "explain KEY=VALUE", Kind: scenario.Showing,
		About:   "Prints why the identifiers of a profile belong together, and what each set of them contributed.",
		Compile: compileExplain,
	})
}

func compileExplain(c *scenario.Compiler, l *script.Line) []*scenario.Step {
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
		for _, e := range v.document.Tree(w.Segment().Rules).Edges() {
			all = append(all, fmt.Sprintf("%s with %s: %s at %s, %s", printable(e.Leader), printable(e.Other), e.At.ID, script.FormatMoment(e.At.Time), e.Policy))
		}
		cells := slices.SortedStableFunc(slices.Values(v.document.Cells), func(a, b *profile.Cell) int { return a.First.Compare(b.First) })
		for _, cell := range cells {
			line, err := explainCell(w, cell)
			if err != nil {
				return "", err
			}
			all = append(all, line)
		}
		return lines(all), nil
	}}}
}

// explainCell tells what all events with one set of identifiers contributed.
func explainCell(w *scenario.World, c *profile.Cell) (string, error) {
	leader := c.Leader(w.Segment().Rules)
	names := []string{printable(leader)}
	for _, id := range c.Identifiers {
		if id != leader {
			names = append(names, printable(id))
		}
	}
	var states attribute.States
	for _, b := range c.Buckets {
		var err error
		if states, err = attribute.Merge(states, b.States); err != nil {
			return "", err
		}
	}
	results, err := w.Segment().Attributes.Results(w.Now(), states, nil)
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("cell %s: %s, %s", strings.Join(names, " "), scenario.Count(int(c.Events()), "event"), seen(c.First.Time, c.Last.Time, c.Events()))
	for _, r := range results {
		if hash, ok := w.Segment().Attributes.Hash(r.Name); ok && states.Find(hash) != nil {
			line += ", " + r.Name + " " + value(r)
		}
	}
	return line, nil
}
