package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/cespare/xxhash/v2"

	"github.com/braidhq/braid/transforms/identity"
)

// batchRows is how many rows a record batch has: few, so that a search touches few pages.
const batchRows = 16 << 10

var idType = &arrow.FixedSizeBinaryType{ByteWidth: idSize}

var cellSchema = arrow.NewSchema([]arrow.Field{
	{Name: "cell", Type: idType}, {Name: "events", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "states", Type: arrow.BinaryTypes.Binary}, {Name: "seen", Type: arrow.BinaryTypes.Binary},
}, nil)

// writer writes an Arrow file of rows in the order of their IDs.
type writer struct {
	file    *os.File
	sum     *xxhash.Digest
	count   *counter
	out     *ipc.FileWriter
	builder *array.RecordBuilder
	last    identity.ID
	rows    int
	pending int
}

// counter passes on what is written. It can tell where it is, which is all that the library seeks for.
type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

func (c *counter) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.New("only the present place can be told")
	}
	return c.n, nil
}

// newWriter begins a file in a directory; its name is given when it is done.
func newWriter(dir string, schema *arrow.Schema) (*writer, error) {
	f, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return nil, err
	}
	w := &writer{file: f, sum: xxhash.New()}
	w.count = &counter{w: bufio.NewWriterSize(io.MultiWriter(f, w.sum), 1<<20)}
	if w.out, err = ipc.NewFileWriter(w.count, ipc.WithSchema(schema)); err != nil {
		w.abort()
		return nil, err
	}
	w.builder = array.NewRecordBuilder(memory.DefaultAllocator, schema)
	return w, nil
}

// temporary begins the names of files that are not done.
const temporary = ".new-"

func (w *writer) abort() {
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

// begin notes the ID of the next row.
func (w *writer) begin(id identity.ID) error {
	if w.rows > 0 && slices.Compare(id[:], w.last[:]) <= 0 {
		return fmt.Errorf("snapshot: row %s comes behind %s", id, w.last)
	}
	w.last = id
	w.rows++
	w.pending++
	w.builder.Field(0).(*array.FixedSizeBinaryBuilder).Append(id[:])
	return nil
}

// end ends a row.
func (w *writer) end() error {
	if w.pending < batchRows {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	if w.pending == 0 {
		return nil
	}
	record := w.builder.NewRecord()
	defer record.Release()
	w.pending = 0
	return w.out.Write(record)
}

func (w *writer) cell(c Cell) error {
	if err := w.begin(c.ID); err != nil {
		return err
	}
	w.builder.Field(1).(*array.Uint64Builder).Append(c.Events)
	w.builder.Field(2).(*array.BinaryBuilder).Append(c.States)
	w.builder.Field(3).(*array.BinaryBuilder).Append(c.Seen)
	return w.end()
}

// done ends the file, makes it durable and gives it a name that says what is in it.
func (w *writer) done(dir, kind string) (f File, err error) {
	defer func() {
		if err != nil {
			w.abort()
		}
	}()
	if err := w.flush(); err != nil {
		return f, err
	}
	w.builder.Release()
	if err := errors.Join(w.out.Close(), w.count.w.Flush(), w.file.Sync(), w.file.Close()); err != nil {
		return f, err
	}
	f = File{Rows: w.rows, Bytes: w.count.n, Checksum: strconv.FormatUint(w.sum.Sum64(), 16)}
	f.Name = fmt.Sprintf("%s-%s.arrow", kind, f.Checksum)
	return f, os.Rename(w.file.Name(), filepath.Join(dir, f.Name))
}
