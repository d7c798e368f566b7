// Command prism does the work of `braid bench runner` on Prism, the SDK's local runner, as its users get it: with the garbage
// collector's own settings, which braid changes for itself.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/braidhq/braid/cmd/operator/bench/runner"
)

func main() {
	beam.Init()
	run := func(ctx context.Context, p *beam.Pipeline) error {
		_, err := prism.Execute(ctx, p)
		return err
	}
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "prism: braid bench runner starts this")
		os.Exit(2)
	}
	if err := runner.Do(context.Background(), os.Args[1], map[string]runner.Beam{runner.Prism: run}, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
