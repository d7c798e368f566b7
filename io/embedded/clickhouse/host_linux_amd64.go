package clickhouse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

const supported = true

// detach keeps a signal for the parent's process group, such as Ctrl-C in a terminal, from the child: the parent ends it in good order.
func detach(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// Host makes this process the child of a Server if it was started as one, and then does not return. Programs that call Start call it
// before anything else.
func Host() {
	text := os.Getenv(orderVariable)
	if text == "" {
		return
	}
	os.Unsetenv(orderVariable)
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = host(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// host runs the server until standard input ends or SIGTERM comes.
func host(o order) error {
	runtime.LockOSThread()
	library, err := purego.Dlopen(o.Library, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return fmt.Errorf("loading %s: %w", o.Library, err)
	}
	var handleSignals func(enabled int32)
	var cmdline func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	var failure func(result unsafe.Pointer) string
	purego.RegisterLibFunc(&handleSignals, library, "chdb_set_signal_handlers_enabled")
	purego.RegisterLibFunc(&cmdline, library, "chdb_query_cmdline")
	purego.RegisterLibFunc(&failure, library, "chdb_result_error")
	handleSignals(0) // else it replaces Go's handlers, and a nil pointer hangs the process

	blocked, release, err := os.Pipe()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	go func() {
		select {
		case <-terminate:
		case <-ended:
		}
		release.Close()
	}()

	// The last query blocks on the pipe; its end is the end of the server.
	script := "SYSTEM START LISTEN TCP; " +
		"SELECT getServerPort('tcp_port') INTO OUTFILE " + quote(o.PortFile) + " FORMAT TSV; " +
		"SELECT count() FROM file(" + quote("/proc/self/fd/"+strconv.Itoa(int(blocked.Fd()))) + ", 'LineAsString', 'l String') FORMAT Null"
	arguments := []string{
		"clickhouse", "--path=" + o.Dir, "--config-file=" + o.Config, "--listen_host=127.0.0.1", "--tcp_port=" + strconv.Itoa(o.Port), "--query=" + script,
	}
	argv, pin := cStrings(arguments)
	defer pin.Unpin()
	result := cmdline(int32(len(arguments)), argv)
	runtime.KeepAlive(blocked)
	if result == nil {
		return errors.New("the server gave no result")
	}
	if text := strings.Clone(failure(result)); text != "" {
		return errors.New(text)
	}
	return nil
}

// cStrings returns an argv that stays where it is until the pinner lets go.
func cStrings(texts []string) (unsafe.Pointer, *runtime.Pinner) {
	pin := &runtime.Pinner{}
	pointers := make([]*byte, len(texts)+1)
	for i, t := range texts {
		text := append([]byte(t), 0)
		pin.Pin(&text[0])
		pointers[i] = &text[0]
	}
	pin.Pin(&pointers[0])
	return unsafe.Pointer(&pointers[0]), pin
}

func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
