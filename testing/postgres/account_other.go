//go:build !unix

package postgres

import "syscall"

func account() *syscall.SysProcAttr { return nil }

func own(string) error { return nil }
