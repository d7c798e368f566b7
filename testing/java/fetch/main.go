// Command fetch has Maven fetch the jars of the Java programs that tests run, into the user's cache. What is there stays.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/braidhq/braid/testing/flink"
	"github.com/braidhq/braid/testing/java"
	"github.com/braidhq/braid/testing/kafka"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	for _, jars := range []java.Jars{kafka.Jars, flink.Jars} {
		if err := jars.Fetch(ctx, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "fetch:", err)
			os.Exit(1)
		}
	}
}
