package tabular

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
	names   []Column
	batches batches
	free    func() error

	record arrow.Record
	at     int
	values []string
}

func newColumnar(schema *arrow.Schema, b batches, free func() error) *columnarTable {
	t := &columnarTable{batches: b, free: free, values: make([]string, schema.NumFields())}
	for _, f := range schema.Fields() {
		t.names = append(t.names, Column{f.Name, typeOf(f.Type)})
	}
	return t
}

func openParquet(f *os.File) (Table, error) {
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

func openArrow(f *os.File) (Table, error) {
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

// Columns returns the columns of the schema.
func (t *columnarTable) Columns() []Column { return t.names }

func typeOf(t arrow.DataType) Type {
	switch t.ID() {
	case arrow.BOOL:
		return Bool
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64, arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64,
		arrow.DECIMAL128, arrow.DECIMAL256:
		return Number
	case arrow.TIMESTAMP, arrow.DATE32, arrow.DATE64:
		return Time
	case arrow.DICTIONARY:
		return typeOf(t.(*arrow.DictionaryType).ValueType)
	}
	return Text
}

// Next returns the next row.
func (t *columnarTable) Next() ([]string, error) {
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

// Close closes the file.
func (t *columnarTable) Close() error { return t.free() }

// text returns a value as text, times as epoch milliseconds, and nothing for null.
func text(column arrow.Array, row int) string {
	if column.IsNull(row) {
		return ""
	}
	switch at := column.(type) {
	case *array.Timestamp:
		unit := at.DataType().(*arrow.TimestampType).Unit
		return strconv.FormatInt(at.Value(row).ToTime(unit).UnixMilli(), 10)
	case *array.Date32:
		return strconv.FormatInt(at.Value(row).ToTime().UnixMilli(), 10)
	case *array.Date64:
		return strconv.FormatInt(at.Value(row).ToTime().UnixMilli(), 10)
	case *array.Dictionary:
		return text(at.Dictionary(), at.GetValueIndex(row))
	}
	return column.ValueStr(row)
}
