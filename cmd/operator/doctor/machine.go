package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/dustin/go-humanize"

	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/transforms/update"
)

// Below these the doctor warns.
const (
	leastDisk  = 5 << 30 // bytes free
	leastFiles = 4096    // open files: the store alone takes up to 1000
)

func (e *examination) limits() {
	n, ok := openFiles()
	switch {
	case !ok:
	case n < leastFiles:
		e.say("open files", Warn, fmt.Sprintf("ulimit -n %d", 4*leastFiles), "at most %d, %d are good to have", n, leastFiles)
	default:
		e.say("open files", OK, "", "at most %d", n)
	}
}

// data looks at the data directory without making it.
func (e *examination) data() {
	dir := e.Deployment.Data
	existing := dir
	for {
		if info, err := os.Stat(existing); err == nil {
			if !info.IsDir() {
				e.say("data directory", Fail, "name another with --data, or data: in braid.yaml", "%s is no directory", existing)
				return
			}
			break
		}
		parent := filepath.Dir(existing)
		if parent == existing {
			break
		}
		existing = parent
	}
	if err := writable(existing); err != nil {
		e.say("data directory", Fail, "give this user the right to write, or name another with --data", "%s cannot be written: %v", existing, unwrapped(err))
	} else {
		e.holder(dir, existing == dir)
	}
	usage, err := vfs.Default.GetDiskUsage(existing)
	switch {
	case err != nil:
		e.say("disk", Warn, "", "the free space of %s is not known: %v", existing, err)
	case usage.AvailBytes < leastDisk:
		e.say("disk", Warn, "make room, or lower kafka.retention.size", "%s free, %s are good to have", humanize.IBytes(usage.AvailBytes), humanize.IBytes(leastDisk))
	default:
		e.say("disk", OK, "", "%s free", humanize.IBytes(usage.AvailBytes))
	}
}

// writable tries to write a file, and removes it.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".braid-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// holder says who has the data directory.
func (e *examination) holder(dir string, exists bool) {
	if !exists {
		e.say("data directory", OK, "", "%s, not made yet", dir)
		return
	}
	lock, err := embedded.LockDirectory(dir)
	switch {
	case errors.Is(err, embedded.ErrLocked):
		e.running = true
		text, _, _ := strings.Cut(err.Error(), ";") // what comes after it is advice for those who want the directory
		e.say("data directory", OK, "", "%s", text)
	case err != nil:
		e.say("data directory", Fail, "", "%v", err)
	default:
		lock.Release()
		e.say("data directory", OK, "", "%s, writable and free", dir)
	}
}

// listen looks whether the node answers, or whether the port is free for it.
func (e *examination) listen(ctx context.Context) {
	address := e.Deployment.Listen
	if node, ok, err := e.Deployment.Published(); ok && err == nil && e.running {
		address = node.HTTP
	}
	if !e.running {
		e.port("http", address, "stop what has it, or choose another listen: in braid.yaml")
		return
	}
	if host, port, err := net.SplitHostPort(address); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		e.say("http", Fail, "", "%v", err)
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		e.say("http", Warn, "is another braid command at work? else look at the node's log", "the data directory is in use, but no node answers at %s", address)
		return
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // only shown
	if answer.StatusCode != http.StatusOK {
		e.say("http", Warn, "look at the node's log", "the node at %s is not ready: %s", address, strings.TrimSpace(string(body)))
		return
	}
	e.say("http", OK, "", "the node at %s is ready", address)
}

// port looks whether an address is free.
func (e *examination) port(subject, address, next string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		e.say(subject, Fail, next, "%s cannot be listened on: %v", address, unwrapped(err))
		return
	}
	l.Close()
	e.say(subject, OK, "", "%s is free", address)
}

func (e *examination) store(ctx context.Context) {
	c := e.Deployment
	u, err := url.Parse(c.StoreURL())
	if err != nil {
		e.say("store", Fail, "", "%v", err)
		return
	}
	if c.StoreEmbedded() {
		if _, err := os.Stat(u.Path); errors.Is(err, fs.ErrNotExist) {
			e.say("store", OK, "", "none yet; 'braid run' makes it in %s", u.Path)
			return
		}
		if e.running {
			e.say("store", OK, "", "%s, open in the running node", u.Path)
			return
		}
	}
	store, err := update.OpenStore(ctx, u.String())
	if err != nil {
		e.say("store", Fail, "", "%v", err)
		return
	}
	defer store.Close()
	if e.Segment == nil {
		e.say("store", OK, "", "%s opens", u.Redacted())
		return
	}
	progress, err := update.ReadProgress(ctx, store, e.Segment.Name)
	if err != nil {
		e.say("store", Fail, "", "%v", err)
		return
	}
	e.say("store", OK, "", "%s opens; progress of %d partitions", u.Redacted(), len(progress))
}

// programs looks for what some features or tests use if it is there.
func (e *examination) programs() {
	for _, p := range []struct{ name, use string }{
		{"java", "tests against Kafka and Flink"},
		{"npm", "embedded ClickHouse, the web SDK"},
		{"postgres", "tests of the distributed store"},
		{"chromium", "browser tests"},
	} {
		if path, err := exec.LookPath(p.name); err == nil {
			e.say(p.name, OK, "", "%s (optional: %s)", path, p.use)
		} else {
			e.say(p.name, OK, "", "not installed (optional: %s)", p.use)
		}
	}
}
