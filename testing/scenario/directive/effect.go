package directive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/update"
	"github.com/tidwall/gjson"
)

func init() {
	scenario.Register(scenario.Directive{
		Name: "effects", Usage: "effects [TOPIC] [count]", Kind: scenario.Telling,
		About:   "Prints what others hear of, records of all topics or of one, since they were asked for last.",
		Compile: compileEffects,
	})
	scenario.Register(scenario.Directive{
		Name: "changes", Usage: "changes [count]", Kind: scenario.Telling,
		About:   "Prints how events changed who belongs together, since the line before that asked for it.",
		Compile: compileChanges,
	})
	scenario.Register(scenario.Directive{
		Name: "rejected", Usage: "rejected [count]", Kind: scenario.Telling,
		About:   "Prints what was not used since the line before that asked: events, identifiers, values of attributes.",
		Compile: compileRejected,
	})
	scenario.Register(scenario.Directive{
		Name: "aliases", Usage: "aliases", Kind: scenario.Telling,
		About:   "Prints every profile ID that was ever given out, and which profile it leads to now.",
		Compile: compileAliases,
	})
}

// counted reads the last word when it is count.
func counted(words []script.Word) ([]script.Word, bool) {
	if n := len(words); n > 0 && words[n-1].Text == "count" {
		return words[:n-1], true
	}
	return words, false
}

// tally counts texts: one line each with its number, sorted.
func tally(texts []string) string {
	count := map[string]int{}
	for _, text := range texts {
		count[text]++
	}
	var all []string
	for _, text := range slices.Sorted(maps.Keys(count)) {
		all = append(all, fmt.Sprintf("%s %d", text, count[text]))
	}
	return lines(all)
}

// told is how far the effects were read: those of each topic by effects, and all by changes.
type told struct {
	effects map[string]int
	changes int
}

func compileEffects(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 0, 2)
	if !ok {
		return nil
	}
	words, count := counted(words)
	topic := ""
	switch {
	case len(words) == 1:
		topic = words[0].Value()
	case len(words) > 1:
		c.ReportWord(words[1], "write: effects [TOPIC] [count]", "%s is too much", words[1].Text)
		return nil
	}
	return []*scenario.Step{{Do: func(_ context.Context, w *scenario.World) (string, error) {
		t := scenario.State[told](w)
		if t.effects == nil {
			t.effects = map[string]int{}
		}
		var all, kinds []string
		for i, e := range w.Effects() {
			if topic != "" && e.Topic != topic || i < t.effects[e.Topic] {
				continue
			}
			t.effects[e.Topic] = i + 1
			text, err := w.Tell(e)
			if err != nil {
				return "", err
			}
			all = append(all, w.Cause(e)+" "+e.Topic+": "+text)
			kinds = append(kinds, e.Topic)
		}
		if count {
			return tally(kinds), nil
		}
		return lines(all), nil
	}}}
}

func compileChanges(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 0, 1)
	if !ok {
		return nil
	}
	rest, count := counted(words)
	if len(rest) > 0 {
		c.ReportWord(rest[0], "write: changes [count]", "%s is too much", rest[0].Text)
		return nil
	}
	return []*scenario.Step{{Do: func(_ context.Context, w *scenario.World) (string, error) {
		from := &scenario.State[told](w).changes
		var all, kinds []string
		for _, e := range w.Effects()[*from:] {
			if e.Topic != update.TopicIdentityChanges {
				continue
			}
			text, err := w.Tell(e)
			if err != nil {
				return "", err
			}
			all = append(all, w.Cause(e)+" "+text)
			kinds = append(kinds, gjson.GetBytes(e.Value, "kind").Str)
		}
		*from = len(w.Effects())
		if count {
			return tally(kinds), nil
		}
		return lines(all), nil
	}}}
}

func compileRejected(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 0, 1)
	if !ok {
		return nil
	}
	rest, count := counted(words)
	if len(rest) > 0 {
		c.ReportWord(rest[0], "write: rejected [count]", "%s is too much", rest[0].Text)
		return nil
	}
	return []*scenario.Step{{Do: func(_ context.Context, w *scenario.World) (string, error) {
		var all, reasons []string
		for _, t := range w.Troubles() {
			all = append(all, t.Event+" "+t.Text)
			reasons = append(reasons, t.Reason)
		}
		if count {
			return tally(reasons), nil
		}
		return lines(all), nil
	}}}
}

func compileAliases(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	if _, ok := c.Words(l, 0, 0); !ok {
		return nil
	}
	return []*scenario.Step{{Do: func(ctx context.Context, w *scenario.World) (string, error) {
		var all []string
		for _, id := range w.GivenOut() {
			doc, err := w.Reader().Find(ctx, update.KeyProfileID, id.String())
			var split *update.SplitError
			if err != nil && !errors.As(err, &split) {
				return "", err
			}
			line := w.Name(id)
			switch {
			case split != nil:
				line += " was split"
			case doc == nil:
				line += " leads to " + nobody
			case w.Reader().Folder().ID(doc) != id:
				line += " leads to " + w.Name(w.Reader().Folder().ID(doc))
			}
			all = append(all, line)
		}
		return lines(all), nil
	}}}
}
