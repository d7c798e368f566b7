package directive

import (
	"context"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/strict"
)

func init() {
	scenario.Register(scenario.Directive{
		Name: "now", Usage: "now TIME", Kind: scenario.Acting,
		About:   "Moves the clock to TIME without an event; what is due then happens.",
		Compile: compileNow,
	})
	scenario.Register(scenario.Directive{
		Name: "wait", Usage: "wait DURATION", Kind: scenario.Acting,
		About:   "Moves the clock on by DURATION without an event; what is due then happens.",
		Compile: compileWait,
	})
}

func compileNow(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 1, 1)
	if !ok {
		return nil
	}
	ms, ok := c.Moment(words[0])
	switch {
	case !ok:
		return nil
	case ms < c.Clock():
		c.ReportWord(words[0], "", "the clock does not go back; it is %s", script.FormatMoment(c.Clock()))
		return nil
	}
	return moveTo(c, ms)
}

func compileWait(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 1, 1)
	if !ok {
		return nil
	}
	d, err := strict.ParseDuration(words[0].Value())
	ms := c.Clock() + d.Milliseconds()
	if err == nil {
		_, err = script.Within(ms)
	}
	if err != nil {
		c.ReportWord(words[0], "", "%v", err)
		return nil
	}
	return moveTo(c, ms)
}

func moveTo(c *scenario.Compiler, ms int64) []*scenario.Step {
	c.Receive(ms)
	return []*scenario.Step{{Do: func(ctx context.Context, w *scenario.World) (string, error) { return "", w.SetClock(ctx, ms) }}}
}
