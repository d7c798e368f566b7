package tabular

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// Writer writes a table. Values are nil, bool, int64, float64, string or time.Time, as the column's type says: a Number is a float64, and
// an int64 in a column of Integer.
type Writer struct {
	path    string
	columns []Column
	sink    sink
	file    *os.File
	rows    int64
}

// Integer is a type that only Writer knows: whole numbers of 64 bits.
const Integer Type = "integer"

type sink interface {
	write(values []any) error
	close() error
}

// Create begins a file, which appears whole once it is closed; without a format, its name says what it is.
func Create(path string, format Format, columns []Column) (*Writer, error) {
	if format == "" {
		known := map[string]Format{".csv": CSV, ".parquet": Parquet, ".arrow": Arrow, ".jsonl": Lines, ".ndjson": Lines}
		if format = known[strings.ToLower(filepath.Ext(path))]; format == "" {
			return nil, fmt.Errorf("%s: the name does not say what it is to be; call it .csv, .parquet, .arrow or .jsonl", path)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, err
	}
	w := &Writer{path: path, columns: columns, file: f}
	switch format {
	case CSV:
		w.sink, err = newCSVSink(f, columns)
	case Lines:
		w.sink = &linesSink{out: bufio.NewWriter(f), columns: columns}
	case Parquet, Arrow:
		w.sink, err = newColumnarSink(f, format, columns)
	default:
		err = fmt.Errorf("unknown format %q; use csv, parquet, arrow or jsonl", string(format))
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return w, nil
}

// Write adds a row.
func (w *Writer) Write(values []any) error {
	if len(values) != len(w.columns) {
		return fmt.Errorf("%s: a row of %d values, there are %d columns", w.path, len(values), len(w.columns))
	}
	w.rows++
	if err := w.sink.write(values); err != nil {
		return fmt.Errorf("%s: row %d: %w", w.path, w.rows, err)
	}
	return nil
}

// Close ends the file and gives it its name. It returns how many rows it has.
func (w *Writer) Close() (int64, error) {
	err := w.sink.close()
	if closed := w.file.Close(); closed != nil && !errors.Is(closed, os.ErrClosed) { // Parquet closes it by itself
		err = errors.Join(err, closed)
	}
	if err != nil {
		os.Remove(w.file.Name())
		return w.rows, fmt.Errorf("%s: %w", w.path, err)
	}
	if err := os.Chmod(w.file.Name(), 0o644); err != nil { // it is for others to read
		return w.rows, err
	}
	return w.rows, os.Rename(w.file.Name(), w.path)
}

// Abort gives the file up.
func (w *Writer) Abort() {
	_ = w.sink.close()
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

type csvSink struct {
	out  *csv.Writer
	text []string
}

func newCSVSink(f *os.File, columns []Column) (*csvSink, error) {
	s := &csvSink{out: csv.NewWriter(f), text: make([]string, len(columns))}
	for i, c := range columns {
		s.text[i] = c.Name
	}
	return s, s.out.Write(s.text)
}

func (s *csvSink) write(values []any) error {
	for i, v := range values {
		switch v := v.(type) {
		case nil:
			s.text[i] = ""
		case float64:
			s.text[i] = strconv.FormatFloat(v, 'f', -1, 64)
		case time.Time:
			s.text[i] = v.UTC().Format(time.RFC3339Nano)
		default:
			s.text[i] = fmt.Sprint(v)
		}
	}
	return s.out.Write(s.text)
}

func (s *csvSink) close() error {
	s.out.Flush()
	return s.out.Error()
}

type linesSink struct {
	out     *bufio.Writer
	columns []Column
}

func (s *linesSink) write(values []any) error {
	line := []byte{'{'}
	for i, v := range values {
		if v == nil {
			continue
		}
		if len(line) > 1 {
			line = append(line, ',')
		}
		name, _ := json.Marshal(s.columns[i].Name) // texts cannot fail
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		line = append(append(append(line, name...), ':'), raw...)
	}
	_, err := s.out.Write(append(line, '}', '\n'))
	return err
}

func (s *linesSink) close() error { return s.out.Flush() }

// columnarSink writes record batches.
type columnarSink struct {
	builder *array.RecordBuilder
	pending int
	out     interface {
		Write(arrow.Record) error
		Close() error
	}
}

func newColumnarSink(f *os.File, format Format, columns []Column) (*columnarSink, error) {
	types := map[Type]arrow.DataType{
		Text: arrow.BinaryTypes.String, Number: arrow.PrimitiveTypes.Float64, Integer: arrow.PrimitiveTypes.Int64, Bool: arrow.FixedWidthTypes.Boolean,
		Time: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"},
	}
	var fields []arrow.Field
	for _, c := range columns {
		t := types[c.Type]
		if t == nil {
			return nil, fmt.Errorf("column %s: unknown type %q", c.Name, c.Type)
		}
		fields = append(fields, arrow.Field{Name: c.Name, Type: t, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	s := &columnarSink{builder: array.NewRecordBuilder(memory.DefaultAllocator, schema)}
	var err error
	if format == Arrow {
		s.out, err = ipc.NewFileWriter(f, ipc.WithSchema(schema))
	} else {
		s.out, err = pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
	}
	return s, err
}

func (s *columnarSink) write(values []any) error {
	for i, v := range values {
		switch b := s.builder.Field(i).(type) {
		case *array.StringBuilder:
			if text, ok := v.(string); ok {
				b.Append(text)
				continue
			}
		case *array.Float64Builder:
			if n, ok := v.(float64); ok {
				b.Append(n)
				continue
			}
		case *array.Int64Builder:
			if n, ok := v.(int64); ok {
				b.Append(n)
				continue
			}
		case *array.BooleanBuilder:
			if is, ok := v.(bool); ok {
				b.Append(is)
				continue
			}
		case *array.TimestampBuilder:
			if at, ok := v.(time.Time); ok {
				b.Append(arrow.Timestamp(at.UnixMilli()))
				continue
			}
		}
		if v != nil {
			return fmt.Errorf("column %s: a %T", s.builder.Schema().Field(i).Name, v)
		}
		s.builder.Field(i).AppendNull()
	}
	if s.pending++; s.pending < batchRows {
		return nil
	}
	return s.flush()
}

func (s *columnarSink) flush() error {
	record := s.builder.NewRecord()
	defer record.Release()
	s.pending = 0
	return s.out.Write(record)
}

func (s *columnarSink) close() error {
	var err error
	if s.pending > 0 {
		err = s.flush()
	}
	s.builder.Release()
	return errors.Join(err, s.out.Close())
}
