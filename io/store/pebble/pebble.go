// Package pebble is the store of a single process: an ordered key-value store in a directory, kept by the Pebble library.
//
// Opened by URL as pebble:DIR?durability=process|fsync&memtable=SIZE&cache=SIZE&rows=SIZE. In goes what update.Store takes; a row lies in
// Pebble under its key with the version before the value. A commit becomes one Pebble batch: its conditions are checked and it is
// applied under a lock, and it waits for the write-ahead log outside of it, so that committers share one wait.
//
// What a read returns is already safe: a Get that sees a commit whose log write is under way waits for it. After a failure of the
// disk the store answers every call with the reason and writes nothing any more; a full disk is waited for.
package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"sync"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/braidhq/braid/transforms/update"
)

func init() {
	update.RegisterStore("pebble", func(_ context.Context, u *url.URL) (update.Store, error) {
		dir, options, err := ParseURL(u)
		if err != nil {
			return nil, err
		}
		return Open(dir, options)
	})
}

// Store is an open data directory. It is safe for concurrent use.
type Store struct {
	dir  string
	db   *lsm.DB
	gate *gate

	commitMu sync.Mutex // conditions hold from their check to the end of the apply
	recent   recentRows
	flights  flights
	versions versions

	life    sync.RWMutex // held shared by calls under way
	closed  bool
	commits sync.WaitGroup // commits under way, also those whose caller gave up waiting
}

var _ update.Store = (*Store)(nil)

// Keys in Pebble: rows and what the store keeps for itself do not meet.
const (
	rowPrefix  = 'r'
	afterRows  = 'r' + 1
	metaPrefix = 'm'
)

// versionBytes stand before every value.
const versionBytes = 8

// Open opens the store in dir, creating it when dir is absent or empty.
func Open(dir string, options Options) (*Store, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("store directory %q: %w", dir, err)
	}
	if dir, err = canonical(options.FS, dir); err != nil {
		return nil, fmt.Errorf("store directory %q: %w", dir, err)
	}
	s := &Store{dir: dir, gate: newGate(dir, options.Logger), recent: newRecentRows(options.Rows)}
	unlock, err := prepareDirectory(options.FS, dir)
	if err != nil {
		return nil, err
	}
	s.gate.unlock = unlock
	s.db, err = lsm.Open(dir, libraryOptions(options, s.gate))
	if err != nil && clearUnborn(options.FS, dir) == nil {
		s.db, err = lsm.Open(dir, libraryOptions(options, s.gate))
	}
	if err == nil {
		err = s.gate.err()
	}
	if err == nil {
		err = s.versions.load(s.db)
	}
	if err != nil {
		if s.db != nil {
			err = errors.Join(err, s.db.Close())
		}
		return nil, errors.Join(fmt.Errorf("store directory %q: %w", dir, err), unlock())
	}
	s.gate.guard.Store(true)
	return s, nil
}

// Close implements update.Store. It reports an error when the disk failed or is full; acknowledged commits are safe all the same.
func (s *Store) Close() error {
	s.life.Lock()
	if s.closed {
		s.life.Unlock()
		return nil
	}
	s.closed = true
	s.life.Unlock()

	ended := make(chan error, 1)
	go func() {
		s.commits.Wait()
		ended <- errors.Join(s.db.Close(), s.recent.release())
	}()
	for {
		trouble := s.gate.trouble()
		if err := s.gate.err(); err != nil {
			s.gate.freeze()
			return errors.Join(err, s.gate.unlock())
		}
		select {
		case err := <-ended:
			return errors.Join(err, s.gate.unlock())
		case <-trouble:
		}
	}
}

// Metrics returns the library's own figures as a readable table.
func (s *Store) Metrics() string { return s.db.Metrics().String() }

func libraryOptions(o Options, g *gate) *lsm.Options {
	out := &lsm.Options{
		FS:                          files{FS: o.FS, gate: g, skipLogSync: o.Durability == Process},
		Logger:                      libraryLogger{g},
		CacheSize:                   o.Cache + 2*o.MemTable, // the library takes the memory of memtables out of the cache
		MemTableSize:                uint64(o.MemTable),
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       40,
		LBaseMaxBytes:               max(64<<20, 4*o.MemTable),
		MaxOpenFiles:                500,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		FormatMajorVersion:          lsm.FormatValueSeparation,
		EventListener: &lsm.EventListener{
			BackgroundError: func(err error) {
				g.log.Error("store: background work failed and is tried again", "directory", g.dir, "error", err)
			},
			DataCorruption: func(info lsm.DataCorruptionInfo) { g.fail(fmt.Errorf("corrupt data: %s: %w", info.Path, info.Details)) },
		},
	}
	out.TargetFileSizes[0] = 8 << 20
	for i := range out.Levels {
		out.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		out.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression } // rows are mostly hashes and counters
		out.Levels[i].IndexBlockSize = 256 << 10                                                        // one level of index, or every read of a row reads two blocks more
	}
	return out
}

// libraryLogger keeps the library from ending the process.
type libraryLogger struct{ gate *gate }

func (l libraryLogger) Infof(string, ...any) {}
func (l libraryLogger) Errorf(format string, args ...any) {
	l.gate.log.Error("store: " + fmt.Sprintf(format, args...))
}
func (l libraryLogger) Fatalf(format string, args ...any) { l.gate.fail(fmt.Errorf(format, args...)) }

var errRow = errors.New("corrupt data: a row without a version")

func rowKey(key []byte) []byte { return append([]byte{rowPrefix}, key...) }

// decode splits a stored value; the value is a part of it.
func decode(stored []byte) (update.Version, []byte, error) {
	if len(stored) < versionBytes {
		return 0, nil, errRow
	}
	return update.Version(binary.BigEndian.Uint64(stored)), stored[versionBytes:], nil
}
