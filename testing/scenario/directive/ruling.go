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
		Name: "links", Usage: "links TIME KEY=VALUE KEY=VALUE...", Kind: scenario.Sending,
		About:   "Imports that identifiers belong together, as a batch identity graph says it; it is nobody's event.",
		Compile: compileLinks,
	})
	scenario.Register(scenario.Directive{
		Name: "recheck", Usage: "recheck", Kind: scenario.Telling,
		About:   "Settles all identifiers anew, by all links and rulings, and prints what that changed.",
		Compile: compileRecheck,
	})
}

func compileRuling(c *scenario.Compiler, l *script.Line, kind identity.RulingKind) []*scenario.Step {
	at, ids, ok := statement(c, l, 2)
	if !ok {
		return nil
	}
	return state(c, l, update.TableRulings, at, ids[0], update.RulingProperties{Ruling: kind, A: ids[0], B: ids[1]})
}

func compileLinks(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	at, ids, ok := statement(c, l, -1)
	if !ok {
		return nil
	}
	return state(c, l, update.TableLinks, at, ids[0], update.LinkProperties{Identifiers: ids, Origin: "script"})
}

// statement reads a time and identifiers: so many, or two and more.
func statement(c *scenario.Compiler, l *script.Line, n int) (at int64, ids []string, ok bool) {
	most := n + 1
	if n < 0 {
		most = -1
	}
	words, ok := c.Words(l, max(n, 2)+1, most)
	if !ok {
		return 0, nil, false
	}
	if at, ok = c.Moment(words[0]); !ok {
		return 0, nil, false
	}
	if at < 0 {
		c.ReportWord(words[0], "", "nothing can be said before 1970")
		return 0, nil, false
	}
	rules := c.Segment().Rules.WithSecret(scenario.Secret)
	for _, w := range words[1:] {
		who, ok := parsePerson(c, w)
		switch {
		case !ok:
			return 0, nil, false
		case who.key == update.KeyProfileID:
			c.ReportWord(w, "", "this is about identifiers, not about a profile")
			return 0, nil, false
		}
		if id, reason := rules.Normalize(who.key, who.value); reason == "" && slices.Contains(rules.Conceals(), who.key) {
			who.value = id.Value
		}
		ids = append(ids, who.key+":"+who.value)
	}
	return at, ids, true
}

// state sends an event that says something about identifiers.
func state(c *scenario.Compiler, l *script.Line, table string, at int64, key string, properties any) []*scenario.Step {
	c.Receive(at)
	d := event.Draft{ID: c.NextID(), Table: table, Time: at, Received: at, Key: key}
	d.Properties, _ = json.Marshal(properties) // texts only: cannot fail
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
