package faults_test

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/faults"
)

// Every socket on which the demo listens is on the loopback address.
func TestDemoListensOnLoopbackOnly(t *testing.T) {
	place := faults.NewPlace(t, "")
	process := place.StartCommand("demo", "--data", place.Data, "--for", "10m").Ready()
	listening := sockets(t, process.ID())
	for _, a := range listening {
		if !a.IP.IsLoopback() {
			t.Errorf("it listens on %v", a)
		}
	}
	// The HTTP server and the broker at least: else the test looks in the wrong place.
	for _, want := range append([]string{process.Endpoints.HTTP}, process.Endpoints.Kafka...) {
		if !slices.ContainsFunc(listening, func(a *net.TCPAddr) bool { return a.String() == want }) {
			t.Errorf("%s is not among %v", want, listening)
		}
	}
}

// sockets returns the addresses on which a process listens, by what the kernel says of it.
func sockets(t *testing.T, pid int) (out []*net.TCPAddr) {
	t.Helper()
	proc := "/proc/" + strconv.Itoa(pid)
	links, err := filepath.Glob(proc + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil { // files are closed meanwhile
			own[to] = true
		}
	}
	const listen = "0A"
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(proc + "/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listen || !own["socket:["+f[9]+"]"] {
				continue
			}
			a, err := address(f[1])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, a)
		}
	}
	udp, err := os.ReadFile(proc + "/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(udp)) {
		if f := strings.Fields(line); len(f) >= 10 && own["socket:["+f[9]+"]"] {
			t.Errorf("it has a UDP socket: %s", line)
		}
	}
	return out
}

// address reads HEX:HEX; the kernel writes an address as words in the machine's own byte order, here little-endian.
func address(text string) (*net.TCPAddr, error) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return nil, fmt.Errorf("address %q", text)
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	return &net.TCPAddr{IP: net.IP(raw), Port: int(n)}, err
}
