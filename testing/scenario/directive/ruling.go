package directive

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	for kind, about := range map[identity.RulingKind]string{
		identity.Unlink: "Parts two identifiers: the latest link between them goes.",
		identity.Forbid: "Parts two identifiers for good: they never share a profile.",
		identity.Allow:  "Takes a forbid back.",
	} {
		scenario.Register(scenario.Directive{
			Name: string(kind), Usage: string(kind) + " TIME KEY=VALUE KEY=VALUE", Kind: scenario.Sending, About: about,
			Compile: func(c *scenario.Compiler, l *script.Line) []*scenario.Step { return compileRuling(c, l, kind) },
		})
	}
	scenario.Register(scenario.Directive{
		Name: "recheck", Usage: "recheck", Kind: scenario.Telling,
		About:   "Settles all identifiers anew, by all links and rulings, and prints what that changed.",
		Compile: compileRecheck,
	})
}

func compileRuling(c *scenario.Compiler, l *script.Line, kind identity.RulingKind) []*scenario.Step {
	words, ok := c.Words(l, 3, 3)
	if !ok {
		return nil
	}
	at, ok := c.Moment(words[0])
	if !ok {
		return nil
	}
	var ends [2]string
	for i := range ends {
		who, ok := parsePerson(c, words[1+i])
		switch {
		case !ok:
			return nil
		case who.key == update.KeyProfileID:
			c.ReportWord(words[1+i], "", "a ruling is about identifiers, not about a profile")
			return nil
		}
		ends[i] = who.key + ":" + who.value
	}
	if at < 0 {
		c.ReportWord(words[0], "", "a ruling cannot be made before 1970")
		return nil
	}
	c.Receive(at)
	d := event.Draft{ID: c.NextID(), Table: update.TableRulings, Time: at, Received: at, Key: ends[0]}
	d.Properties, _ = json.Marshal(update.RulingProperties{Ruling: kind, A: ends[0], B: ends[1]}) // texts only: cannot fail
	record, err := event.New(d)
	if err != nil {
		c.Report(l, "", "%v", err)
		return nil
	}
	r := scenario.Record{Record: record, Name: d.ID, Line: l.Number}
	r.Timestamp = at
	r.Headers = []event.Header{{Key: event.HeaderReceived, Value: strconv.AppendInt(nil, at, 10)}}
	return []*scenario.Step{{Records: []scenario.Record{r}}}
}

func compileRecheck(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	if _, ok := c.Words(l, 0, 0); !ok {
		return nil
	}
	return []*scenario.Step{{Do: func(ctx context.Context, w *scenario.World) (string, error) {
		done, err := w.Recheck(ctx)
		if err != nil {
			return "", err
		}
		var all []string
		for _, kind := range slices.Sorted(maps.Keys(done.Changes)) {
			all = append(all, fmt.Sprintf("%s %d", kind, done.Changes[kind]))
		}
		return lines(all), nil
	}}}
}
