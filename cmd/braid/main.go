// Command braid is a real-time customer data platform in one binary; 'braid --help' says what it can do.
package main

import "github.com/braidhq/braid/cmd"

func main() { cmd.Main() }
