package clickhouse

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/braidhq/braid/io/embedded"
)

// The library, its version, and what its package must be. They change together.
const (
	Package      = "@chdb/lib-linux-x64-gnu"
	Version      = "26.7.3-stable.1"
	integrity    = "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==" // SHA-512
	packageBytes = 177_817_999
	libraryBytes = 566_330_096
	libraryName  = "libchdb.so"
)

// alternatives end the errors that wrap ErrUnavailable.
const alternatives = "; put a server of your own into braid.yaml (clickhouse: 'clickhouse://USER@HOST:9440/?secure=true'), or run without the batch path (clickhouse: off)"

// cacheDir returns where the library of this version lies.
func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w%s", ErrUnavailable, err, alternatives)
	}
	return filepath.Join(cache, "braid", "clickhouse", Version), nil
}

// Find returns the file of the library in the user's cache. The error wraps fs.ErrNotExist if it has not been fetched, and
// ErrUnavailable if there is none for this platform.
func Find() (string, error) {
	if !supported {
		return "", fmt.Errorf("%w: there is no library for this platform, only for Linux on 64-bit Intel and AMD processors%s", ErrUnavailable, alternatives)
	}
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, libraryName)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("embedded ClickHouse has not been fetched: %w", err)
	}
	return path, nil
}

// Progress is how far a fetch has come.
type Progress struct {
	// Step says what is being done: fetch, verify or unpack.
	Step string
	// Done and Total are bytes.
	Done, Total int64
}

// FindOrFetch returns the library, and fetches it where it is not there: begin is called before that, and progress with each tenth of each
// step.
func FindOrFetch(ctx context.Context, begin func(), progress func(step string, percent int64)) (string, error) {
	library, err := Find()
	if !errors.Is(err, fs.ErrNotExist) {
		return library, err
	}
	begin()
	said := int64(-1)
	return Fetch(ctx, func(p Progress) {
		if tenth := 10 * p.Done / max(p.Total, 1); tenth != said {
			said = tenth
			progress(p.Step, 10*tenth)
		}
	})
}

// Fetch returns the file of the library, and has the npm client fetch it into the user's cache if it is not there. What another
// process is fetching is waited for; a package that was fetched but not unpacked is not fetched again. Report, if set, is told
// a few times a second. The error wraps ErrUnavailable if it cannot be had here.
func Fetch(ctx context.Context, report func(Progress)) (string, error) {
	if report == nil {
		report = func(Progress) {}
	}
	path, err := Find()
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	lock, err := waitForLock(ctx, dir)
	if err != nil {
		return "", err
	}
	defer lock.Release()
	if path, err := Find(); err == nil {
		return path, nil
	}
	archive := filepath.Join(dir, "package.tgz")
	if _, err := os.Stat(archive); err != nil {
		if err := pack(ctx, dir, archive, report); err != nil {
			return "", err
		}
	}
	if err := verify(archive, report); err != nil {
		os.Remove(archive)
		return "", err
	}
	path = filepath.Join(dir, libraryName)
	if err := unpack(archive, path, report); err != nil {
		return "", fmt.Errorf("unpacking the library of embedded ClickHouse: %w", err)
	}
	os.Remove(archive) // it is of no more use, and large
	return path, nil
}

func waitForLock(ctx context.Context, dir string) (*embedded.DirectoryLock, error) {
	for {
		lock, err := embedded.LockDirectory(dir)
		if !errors.Is(err, embedded.ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// pack has npm fetch the package. npm knows the user's registry, proxy and credentials; it says nothing of how far it is, so its files are
// looked at.
func pack(ctx context.Context, dir, archive string, report func(Progress)) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("%w: it comes through npm, and there is no npm here; install it (it is part of Node.js)%s", ErrUnavailable, alternatives)
	}
	work, err := os.MkdirTemp(dir, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	c := exec.CommandContext(ctx, npm, "pack", Package+"@"+Version, "--pack-destination", work, "--cache", filepath.Join(work, "cache"), "--loglevel", "error")
	c.Dir = work
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				report(Progress{"fetch", min(largest(work), packageBytes), packageBytes})
			}
		}
	}()
	out, err := c.CombinedOutput()
	close(done)
	<-watched
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: npm could not fetch %s@%s: %s%s", ErrUnavailable, Package, Version, lastLine(out, err), alternatives)
	}
	files, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%w: npm fetched %s@%s, but left %d packages%s", ErrUnavailable, Package, Version, len(files), alternatives)
	}
	report(Progress{"fetch", packageBytes, packageBytes})
	return os.Rename(files[0], archive)
}

// lastLine returns the line of npm's output that says what is wrong.
func lastLine(out []byte, err error) string {
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.Contains(line, "ERR!") || strings.Contains(line, "error") {
			return line
		}
	}
	return err.Error()
}

// largest returns the size of the largest file below a directory: the package, wherever npm puts it while it comes.
func largest(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				size = max(size, info.Size())
			}
		}
		return nil // files come and go
	})
	return size
}

// verify compares a package with its checksum.
func verify(archive string, report func(Progress)) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, &counted{r: f, step: "verify", total: packageBytes, report: report}); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != integrity {
		return fmt.Errorf("%w: %s@%s is not what it should be: its SHA-512 is %s and not %s%s", ErrUnavailable, Package, Version, got, integrity, alternatives)
	}
	return nil
}

// unpack takes the library out of a package; the file is there only when it is complete.
func unpack(archive, path string, report func(Progress)) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	files := tar.NewReader(plain)
	for {
		header, err := files.Next()
		if err != nil {
			return fmt.Errorf("looking for %s: %w", libraryName, err)
		}
		if filepath.Base(header.Name) == libraryName {
			break
		}
	}
	part := path + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, &counted{r: files, step: "unpack", total: libraryBytes, report: report})
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		os.Remove(part)
		return err
	}
	return os.Rename(part, path)
}

// counted tells how much has been read.
type counted struct {
	r           io.Reader
	step        string
	done, total int64
	report      func(Progress)
	told        time.Time
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if now := time.Now(); now.Sub(c.told) > 250*time.Millisecond || err != nil {
		c.told = now
		c.report(Progress{c.step, min(c.done, c.total), c.total})
	}
	return n, err
}
