// Package aggregate is the batch path's summary of all history: in go the archived events of some epochs, out come cells, what the events
// of each set of identifiers add up to, by the stream's own accumulators.
package aggregate

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	beam.RegisterType(reflect.TypeFor[Row]())
	beam.RegisterType(reflect.TypeFor[snapshot.Cell]())
	beam.RegisterCoder(reflect.TypeFor[Row](), encodeRow, decodeRow)
	beam.RegisterCoder(reflect.TypeFor[snapshot.Cell](), encodeCell, decodeCell)
	register.DoFn3x1[context.Context, Row, func(snapshot.Cell), error](&foldFn{})
	register.Emitter1[snapshot.Cell]()
}

// The coder of rows only works where a runner does not fuse the steps.

func encodeRow(r Row) ([]byte, error)                  { return json.Marshal(r) }
func decodeRow(b []byte) (r Row, err error)            { return r, json.Unmarshal(b, &r) }
func encodeCell(c snapshot.Cell) ([]byte, error)       { return json.Marshal(c) }
func decodeCell(b []byte) (c snapshot.Cell, err error) { return c, json.Unmarshal(b, &c) }

// Config says what is aggregated.
type Config struct {
	Segment    segment.Source
	ClickHouse clickhouseio.Client // its database is the segment's
	// From and To bound the epochs: From <= epoch < To.
	From, To uint64
	// Base is the directory of the snapshot that holds the epochs before From, "" when From is 0.
	Base string
	// Cells are the only cells to be aggregated; nil: all.
	Cells []string
	// Splits is how many parts the cells are read in, at first.
	Splits int
	// Run names the run for Progress.
	Run string
}

// Query returns what is read.
func (c Config) Query() clickhouseio.Query {
	where := fmt.Sprintf("%s AND epoch >= %d AND epoch < %d", Counted, c.From, c.To)
	if c.Cells != nil { // their names are of letters and digits
		where += " AND cell IN ('" + strings.Join(c.Cells, "', '") + "')"
	}
	return clickhouseio.Query{
		From: clickhouseio.Quote(schema.Stream) + " FINAL", Where: where,
		SplitBy: SplitBy, OrderBy: InOrder, Splits: c.Splits, Settings: "max_threads = 2, max_bytes_before_external_sort = 268435456",
	}
}

// Aggregate returns a PCollection<snapshot.Cell>: each cell that has events in the epochs, once.
func Aggregate(s beam.Scope, c Config) beam.PCollection {
	s = s.Scope("batch.Aggregate")
	rows := clickhouseio.Read(s, c.ClickHouse, c.Query(), reflect.TypeFor[Row]())
	return beam.ParDo(s, &foldFn{Segment: c.Segment, Base: c.Base, Run: c.Run}, rows)
}

// foldFn folds rows into cells. It must be fused with the read, which gives it the rows of a cell one behind the other.
type foldFn struct {
	Segment segment.Source
	Base    string
	Run     string

	config *update.Config
	seen   func(identity.ID) profile.Seen
	folder *Folder
	count  *atomic.Int64
}

// Setup compiles the segment and opens the base.
func (f *foldFn) Setup() (err error) {
	f.count = counter(f.Run)
	if f.config, err = f.Segment.Config(); err != nil || f.Base == "" {
		return err
	}
	d, err := snapshot.Open(f.Base)
	if err != nil {
		return err
	}
	base := d.Latest()
	if base == nil {
		return fmt.Errorf("aggregate: there is no snapshot in %s", f.Base)
	}
	f.seen = base.Seen
	return nil
}

// StartBundle begins with the first cell of a part.
func (f *foldFn) StartBundle(context.Context, func(snapshot.Cell)) {
	f.folder = NewFolder(f.config, f.seen)
}

// ProcessElement folds a row in and emits the cell that is done by it.
func (f *foldFn) ProcessElement(_ context.Context, r Row, emit func(snapshot.Cell)) error {
	done, err := f.folder.Add(&r)
	if done != nil {
		emit(*done)
	}
	f.count.Add(1)
	return err
}

// FinishBundle emits the last cell.
func (f *foldFn) FinishBundle(_ context.Context, emit func(snapshot.Cell)) error {
	if done := f.folder.Done(); done != nil {
		emit(*done)
	}
	return nil
}
