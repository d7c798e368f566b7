package graph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// batchRows is how many rows of a Parquet file are read at once.
const batchRows = 8192

// batches yields Arrow records. Read returns io.EOF behind the last; a record is good until the next call.
type batches interface {
	Read() (arrow.Record, error)
}

// columnarTable is a table whose rows come as Arrow records.
type columnarTable struct {
	names   []string
	batches batches
	free    func() error

	record arrow.Record
	at     int
	values []string
}

func newColumnar(schema *arrow.Schema, b batches, free func() error) *columnarTable {
	t := &columnarTable{batches: b, free: free, values: make([]string, schema.NumFields())}
	for _, f := range schema.Fields() {
		t.names = append(t.names, f.Name)
	}
	return t
}

func openParquet(f *os.File) (table, error) {
	reader, err := file.NewParquetReader(f)
	if err != nil {
		return nil, err
	}
	rows, err := pqarrow.NewFileReader(reader, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	records, err := rows.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return newColumnar(records.Schema(), records, func() error {
		records.Release()
		return reader.Close() // and with it the file
	}), nil
}

func openArrow(f *os.File) (table, error) {
	whole, err := ipc.NewFileReader(f)
	if err == nil {
		return newColumnar(whole.Schema(), whole, func() error { return errors.Join(whole.Close(), f.Close()) }), nil
	}
	if _, seek := f.Seek(0, io.SeekStart); seek != nil {
		return nil, seek
	}
	stream, streamErr := ipc.NewReader(f)
	if streamErr != nil {
		return nil, fmt.Errorf("it is neither an Arrow file (%w) nor a stream (%w)", err, streamErr)
	}
	return newColumnar(stream.Schema(), stream, func() error {
		stream.Release()
		return f.Close()
	}), nil
}

func (t *columnarTable) columns() []string { return t.names }

func (t *columnarTable) next() ([]string, error) {
	for t.record == nil || t.at == int(t.record.NumRows()) {
		record, err := t.batches.Read()
		if err != nil {
			return nil, err
		}
		if record == nil {
			return nil, io.EOF
		}
		t.record, t.at = record, 0
	}
	for i, column := range t.record.Columns() {
		t.values[i] = text(column, t.at)
	}
	t.at++
	return t.values, nil
}

func (t *columnarTable) close() error { return t.free() }

// text returns a value as text, times as epoch milliseconds, and nothing for null.
func text(column arrow.Array, row int) string {
	if column.IsNull(row) {
		return ""
	}
	if at, ok := column.(*array.Timestamp); ok {
		unit := at.DataType().(*arrow.TimestampType).Unit
		return strconv.FormatInt(at.Value(row).ToTime(unit).UnixMilli(), 10)
	}
	return column.ValueStr(row)
}
