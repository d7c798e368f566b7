package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/cespare/xxhash/v2"

	"github.com/braidhq/braid/transforms/identity"
)

// ErrFormat is wrapped by errors about snapshots that a newer version of Braid wrote, ErrDamaged by those about files that are not as
// they were written.
var (
	ErrFormat  = errors.New("the snapshot was written by a newer version")
	ErrDamaged = errors.New("the snapshot is damaged")
)

// table is a mapped Arrow file whose first column is an ID, ascending.
type table struct {
	file    File
	schema  *arrow.Schema
	batches []columns
	firsts  []identity.ID // of the batches
	free    func()
}

// anyRows stands for the number of rows where nobody knows it.
const anyRows = -1

const idSize = len(identity.ID{})

// openTable maps a file that a manifest lists and checks that it is what was written. It is unmapped when the table is not used any more.
func openTable(dir string, f File, checked bool) (*table, error) {
	damaged := func(why string, args ...any) error {
		return fmt.Errorf("%w: file %s: %s", ErrDamaged, f.Name, fmt.Sprintf(why, args...))
	}
	if filepath.Base(f.Name) != f.Name {
		return nil, damaged("it lies elsewhere")
	}
	data, free, err := mapFile(filepath.Join(dir, f.Name))
	if err != nil {
		return nil, fmt.Errorf("%w: file %s: %w", ErrDamaged, f.Name, err)
	}
	t := &table{file: f, free: free}
	fail := func(err error) (*table, error) {
		free()
		return nil, err
	}
	if int64(len(data)) != f.Bytes {
		return fail(damaged("it has %d bytes, not %d", len(data), f.Bytes))
	}
	if !checked && strconv.FormatUint(xxhash.Sum64(data), 16) != f.Checksum {
		return fail(damaged("its checksum is another one"))
	}
	if t.schema, t.batches, err = readArrow(data); err != nil {
		return fail(damaged("%v", err))
	}
	rows := 0
	for _, b := range t.batches {
		if b.rows == 0 || len(b.buffers) < 2 || len(b.buffers[1]) < b.rows*idSize {
			return fail(damaged("a batch without IDs"))
		}
		t.firsts = append(t.firsts, identity.ID(b.buffers[1][:idSize]))
		rows += b.rows
	}
	if rows != f.Rows && f.Rows != anyRows {
		return fail(damaged("it has %d rows, not %d", rows, f.Rows))
	}
	runtime.AddCleanup(t, func(free func()) { free() }, free)
	return t, nil
}

// find returns where an ID lies.
func (t *table) find(id identity.ID) (b columns, row int, ok bool) {
	n := sort.Search(len(t.firsts), func(i int) bool { return bytes.Compare(t.firsts[i][:], id[:]) > 0 })
	if n == 0 {
		return b, 0, false
	}
	b = t.batches[n-1]
	ids := b.buffers[1]
	row = sort.Search(b.rows, func(i int) bool { return bytes.Compare(ids[i*idSize:(i+1)*idSize], id[:]) >= 0 })
	return b, row, row < b.rows && bytes.Equal(ids[row*idSize:(row+1)*idSize], id[:])
}

// id returns the ID of a row.
func (b columns) id(row int) identity.ID { return identity.ID(b.buffers[1][row*idSize:]) }

// Buffers of the columns of cells.
const (
	bufferEvents = 2
	bufferStates = 4
	bufferSeen   = 7
)

// Cell is a row of a file of cells: what its events in some epochs add up to, and its memory of retries behind them.
type Cell struct {
	ID     identity.ID
	Events uint64
	States []byte // attribute.States.Append wrote it
	Seen   []byte // profile.Seen
}

// cell returns a row of a file of cells, which lies in the mapped file.
func (b columns) cell(row int) Cell {
	return Cell{
		ID: b.id(row), Events: binary.LittleEndian.Uint64(b.buffers[bufferEvents+1][8*row:]),
		States: b.bytesAt(bufferStates, row), Seen: b.bytesAt(bufferSeen, row),
	}
}
