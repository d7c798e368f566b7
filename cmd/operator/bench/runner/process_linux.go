package runner

import (
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ, which is the same on every Linux that Go runs on.
const ticksPerSecond = 100

// processor returns the seconds of processor time that the process has used.
func (p *process) processor() float64 {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	_, rest, _ := strings.Cut(string(text), ") ") // the name of the program may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond
}
