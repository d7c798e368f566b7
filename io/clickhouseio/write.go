package clickhouseio

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterType(reflect.TypeFor[writeFn]())
	beam.RegisterType(reflect.TypeFor[Ack]())
	register.DoFn1x0[Ack](&dropFn{})
	register.Emitter1[Ack]()
}

// Ack says what one bundle wrote, once ClickHouse has acknowledged all of it.
type Ack struct {
	Table string
	// Rows were inserted; Skipped were there already.
	Rows, Skipped int64
}

// writeConfig is everything Write needs; it travels as JSON.
type writeConfig struct {
	Client Client
	Table  string
	Log    []string // columns that name a log
	Offset string   // column of the position within it; empty: at least once
}

// WriteOption changes how Write writes.
type WriteOption func(*writeConfig)

// InOrder says that each row is a record of a log: the columns of log say which one, and offset, an integer, where in it. Rows of
// a log must come in the order of their offsets, from one writer at a time. Rows up to the greatest offset that the table has of
// their log are skipped, so each is written once, wherever a writer was cut off: of what it wrote, a beginning is there, for
// inserts are atomic. The table must not spread one insert over several partitions (PARTITION BY), and should be a
// ReplacingMergeTree ordered by log and offset: then a writer that was taken for dead and was not does no harm either.
func InOrder(offset string, log ...string) WriteOption {
	return func(c *writeConfig) { c.Offset, c.Log = offset, log }
}

// Write inserts a PCollection of structs into a table of the client's database and returns a PCollection<Ack> with one element per
// bundle. A bundle succeeds when ClickHouse has acknowledged all of it, and fails with the first error. While it cannot be reached,
// bundles fail and are tried again by the runner.
func Write(s beam.Scope, client Client, table string, rows beam.PCollection, opts ...WriteOption) beam.PCollection {
	s = s.Scope("clickhouseio.Write")
	cfg := writeConfig{Client: client, Table: table}
	for _, o := range opts {
		o(&cfg)
	}
	t := rows.Type().Type()
	if err := cfg.validate(t); err != nil {
		panic(fmt.Sprintf("clickhouseio.Write: %v", err))
	}
	acks := beam.ParDo(s, &writeFn{Config: cfg, Type: beam.EncodedType{T: t}}, rows)
	// The local runner starves stages without output, so the acknowledgements go somewhere.
	beam.ParDo0(s, &dropFn{}, beam.Reshuffle(s, acks))
	return acks
}

func (c writeConfig) validate(t reflect.Type) error {
	if err := c.Client.Validate(); err != nil {
		return err
	}
	if c.Table == "" {
		return errors.New("clickhouseio: no table named")
	}
	s, err := shapeOf(t)
	if err != nil {
		return err
	}
	_, err = c.places(s)
	return err
}

// places returns where a row holds its log and its offset, the offset last.
func (c writeConfig) places(s shape) (at []int, err error) {
	if c.Offset == "" {
		return nil, nil
	}
	for _, column := range append(append([]string(nil), c.Log...), c.Offset) {
		i, err := s.index(column)
		if err != nil {
			return nil, err
		}
		at = append(at, i)
	}
	return at, nil
}

type writeFn struct {
	Config writeConfig
	Type   beam.EncodedType

	shape   shape
	places  []int
	conn    driver.Conn
	batch   driver.Batch
	values  []any
	written map[string]int64 // log -> greatest offset that the table has or, in a running bundle, will have
	open    bool             // a bundle has begun and not ended
	ack     Ack
}

// connections are shared by the DoFns of a process: one pool per URL.
var connections = struct {
	sync.Mutex
	open map[string]*connection
}{open: map[string]*connection{}}

type connection struct {
	driver.Conn
	users int
}

// Setup takes part in the process's connections.
func (f *writeFn) Setup() (err error) {
	if f.shape, err = shapeOf(f.Type.T); err != nil {
		return err
	}
	if f.places, err = f.Config.places(f.shape); err != nil {
		return err
	}
	f.conn, err = acquire(f.Config.Client)
	return err
}

func acquire(c Client) (driver.Conn, error) {
	connections.Lock()
	defer connections.Unlock()
	if shared := connections.open[c.URL]; shared != nil {
		shared.users++
		return shared.Conn, nil
	}
	o, err := c.Options()
	if err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(o) // connects when it is used
	if err != nil {
		return nil, fmt.Errorf("clickhouseio: %w", err)
	}
	connections.open[c.URL] = &connection{Conn: conn, users: 1}
	return conn, nil
}

// Teardown lets go of the connections.
func (f *writeFn) Teardown() error {
	if f.conn == nil {
		return nil
	}
	f.conn = nil
	return release(f.Config.Client)
}

// release gives back what acquire gave.
func release(c Client) error {
	connections.Lock()
	defer connections.Unlock()
	shared := connections.open[c.URL]
	if shared.users--; shared.users > 0 {
		return nil
	}
	delete(connections.open, c.URL)
	return shared.Close()
}

// StartBundle forgets what a bundle that failed left.
func (f *writeFn) StartBundle(func(Ack)) {
	if f.batch != nil {
		_ = f.batch.Abort() // nothing of it was sent
		f.batch = nil
	}
	if f.open || f.written == nil {
		f.written = map[string]int64{} // what the table has is to be asked
	}
	f.open, f.ack = true, Ack{Table: f.Config.Table}
}

// ProcessElement adds a row to the bundle's insert.
func (f *writeFn) ProcessElement(ctx context.Context, row beam.X, _ func(Ack)) error {
	f.values = f.shape.values(f.values[:0], reflect.ValueOf(row))
	if f.places != nil {
		there, err := f.isThere(ctx)
		if err != nil {
			return err
		}
		if there {
			f.ack.Skipped++
			return nil
		}
	}
	if f.batch == nil {
		var err error
		if f.batch, err = f.conn.PrepareBatch(ctx, f.shape.insert(f.Config.Table), driver.WithReleaseConnection()); err != nil {
			return fmt.Errorf("clickhouseio: table %s: %w", f.Config.Table, err)
		}
	}
	if err := f.batch.Append(f.values...); err != nil {
		return fmt.Errorf("clickhouseio: table %s: a row cannot be written: %w", f.Config.Table, err)
	}
	f.ack.Rows++
	return nil
}

// isThere reports whether the table has the row at hand, and notes that it will.
func (f *writeFn) isThere(ctx context.Context) (bool, error) {
	last := len(f.places) - 1
	log := make([]any, last)
	for i, at := range f.places[:last] {
		log[i] = f.values[at]
	}
	key := fmt.Sprint(log...)
	offset, err := integer(f.values[f.places[last]])
	if err != nil {
		return false, err
	}
	greatest, known := f.written[key]
	if !known {
		if greatest, err = f.greatest(ctx, log); err != nil {
			return false, err
		}
	}
	f.written[key] = max(greatest, offset)
	return offset <= greatest, nil
}

// greatest asks for the greatest offset of a log; -1: there is none.
func (f *writeFn) greatest(ctx context.Context, log []any) (int64, error) {
	query := fmt.Sprintf("SELECT count(), toInt64(max(%s)) FROM %s WHERE true", Quote(f.Config.Offset), Quote(f.Config.Table))
	for _, column := range f.Config.Log {
		query += " AND " + Quote(column) + " = ?"
	}
	var rows uint64
	var offset int64
	if err := f.conn.QueryRow(ctx, query, log...).Scan(&rows, &offset); err != nil {
		return 0, fmt.Errorf("clickhouseio: table %s: %w", f.Config.Table, err)
	}
	if rows == 0 {
		return -1, nil
	}
	return offset, nil
}

func integer(v any) (int64, error) {
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return r.Int(), nil
	case r.CanUint():
		return int64(r.Uint()), nil
	}
	return 0, fmt.Errorf("clickhouseio: an offset is an integer, not %T", v)
}

// FinishBundle sends the insert and waits for its acknowledgement.
func (f *writeFn) FinishBundle(ctx context.Context, emit func(Ack)) error {
	if f.batch != nil {
		batch := f.batch
		f.batch = nil
		if err := batch.Send(); err != nil {
			return fmt.Errorf("clickhouseio: table %s: %w", f.Config.Table, err)
		}
	}
	if f.ack.Rows+f.ack.Skipped > 0 {
		emit(f.ack)
	}
	f.open = false
	return nil
}

type dropFn struct{}

// ProcessElement does nothing with an acknowledgement.
func (*dropFn) ProcessElement(Ack) {}
