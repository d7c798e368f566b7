// Command fetch has npm fetch the library of the embedded ClickHouse into the user's cache. What is there stays.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/braidhq/braid/io/embedded/clickhouse"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	last := ""
	path, err := clickhouse.Fetch(ctx, func(p clickhouse.Progress) {
		if p.Step != last {
			last = p.Step
			fmt.Fprintf(os.Stderr, "%s %s@%s\n", p.Step, clickhouse.Package, clickhouse.Version)
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
