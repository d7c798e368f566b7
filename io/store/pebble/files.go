package pebble

import (
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// logCategory is the write category the library gives to its write-ahead log.
const logCategory vfs.DiskWriteCategory = "pebble-wal"

// files is the file system as the library sees it: every change passes the gate, and with skipLogSync the write-ahead log is
// written but not synced.
//
// Why skipLogSync keeps what a killed process acknowledged: the library's log writer hands all bytes of a commit to Write before it
// asks for a sync, and buffers nothing behind that; it releases the committer after Sync returned. So the bytes are in the operating
// system's page cache by then, which outlives the process. Tables and manifests are synced as ever, in the background, and a log is
// deleted only after its table is in place; so even a power cut costs no more than the end of the log.
type files struct {
	vfs.FS
	gate        *gate
	skipLogSync bool
}

// Lock does nothing: the directory was locked before the library came to it.
func (f files) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap lets the library find the file system below.
func (f files) Unwrap() vfs.FS { return f.FS }

func (f files) change(op func() error) error { return f.gate.do(true, op) }

func (f files) open(category vfs.DiskWriteCategory, op func() (vfs.File, error)) (opened vfs.File, err error) {
	err = f.change(func() (err error) {
		opened, err = op()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &file{File: opened, gate: f.gate, skipSync: f.skipLogSync && category == logCategory}, nil
}

func (f files) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(category, func() (vfs.File, error) { return f.FS.Create(name, category) })
}

func (f files) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(category, func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, category) })
}

func (f files) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	return f.open(category, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, options...) })
}

func (f files) OpenDir(name string) (vfs.File, error) {
	return f.open(vfs.WriteCategoryUnspecified, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f files) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(func() error { return f.FS.MkdirAll(dir, perm) })
}

func (f files) Rename(old, name string) error {
	return f.change(func() error { return f.FS.Rename(old, name) })
}

func (f files) Link(old, name string) error {
	return f.change(func() error { return f.FS.Link(old, name) })
}

// Remove and RemoveAll pass errors on: the library expects and survives them.

func (f files) Remove(name string) (err error) {
	_ = f.change(func() error { err = f.FS.Remove(name); return nil })
	return err
}

func (f files) RemoveAll(name string) (err error) {
	_ = f.change(func() error { err = f.FS.RemoveAll(name); return nil })
	return err
}

// file is a file that is written.
type file struct {
	vfs.File
	gate     *gate
	skipSync bool
}

func (f *file) Write(p []byte) (written int, err error) {
	err = f.gate.do(true, func() error {
		n, err := f.File.Write(p[written:])
		written += n
		return err
	})
	return written, err
}

func (f *file) WriteAt(p []byte, offset int64) (written int, err error) {
	err = f.gate.do(true, func() error {
		n, err := f.File.WriteAt(p[written:], offset+int64(written))
		written += n
		return err
	})
	return written, err
}

// A failed sync is not tried again: the operating system may have dropped the pages it could not write.

func (f *file) Sync() error { return f.sync(f.File.Sync) }

func (f *file) SyncData() error { return f.sync(f.File.SyncData) }

func (f *file) SyncTo(length int64) (full bool, err error) {
	err = f.sync(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

func (f *file) sync(op func() error) error {
	if f.skipSync {
		return nil
	}
	return f.gate.do(false, op)
}
