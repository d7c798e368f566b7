//go:build !(linux && amd64)

package clickhouse

import "os/exec"

const supported = false

func detach(*exec.Cmd) {}

// Host does nothing: there is no library for this platform, so no process is ever the child of a Server.
func Host() {}
