// Command ownbinary is Braid as a company builds it for itself: all of braid's commands, and three things of its own. In go page views
// over HTTP, which screen looks at first, and orders in the topic raw.orders, which orderLines takes apart; out come profiles that
// know, among other things, on which days of the week a person comes.
//
// The README in this folder says how to run it.
package main

import "github.com/braidhq/braid/cmd"

func main() { cmd.Main(options()...) }

// options is all that this binary adds. segment.yaml names the attribute kind, braid.yaml the topic that the transform reads; the
// event function runs by itself.
func options() []cmd.Option {
	return []cmd.Option{
		cmd.WithEvent("screen", screen),
		cmd.WithTransform("order_lines", orderLines),
		cmd.WithAttribute(weekdays),
	}
}
