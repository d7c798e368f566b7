package clickhouseio

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
)

func init() {
	beam.RegisterType(reflect.TypeFor[readFn]())
	beam.RegisterType(reflect.TypeFor[offsetrange.Restriction]())
}

// Query says what is read.
type Query struct {
	// From is a table, or a table with FINAL behind it.
	From string
	// Where is a condition; default all rows.
	Where string
	// SplitBy is an expression that gives a UInt64 which is spread evenly, such as cityHash64(person): the work is split by it, and rows of
	// equal values come together.
	SplitBy string
	// OrderBy says in which order rows of equal values come; default in any.
	OrderBy string
	// Splits is how many parts are read at once, at first; a runner may split further. Default 16.
	Splits int
	// Settings are given to ClickHouse with the query: "max_threads = 1".
	Settings string
}

// keyBits is how many bits of Query.SplitBy count. EvenSplits of the SDK multiplies a range by the number of parts, and must not
// overflow.
const keyBits = 48

// Read returns the rows of a query as a PCollection of structs of t's type, whose fields have tags such as `ch:"column"`. What follows
// in the same stage is given them in the order of the query, without a pause between rows of equal SplitBy.
func Read(s beam.Scope, client Client, q Query, t reflect.Type) beam.PCollection {
	s = s.Scope("clickhouseio.Read")
	_, err := shapeOf(t)
	switch {
	case err != nil:
	case q.From == "" || q.SplitBy == "":
		err = errors.New("clickhouseio: a query needs From and SplitBy")
	default:
		err = client.Validate()
	}
	if err != nil {
		panic(fmt.Sprintf("clickhouseio.Read: %v", err))
	}
	if q.Splits <= 0 {
		q.Splits = 16
	}
	rows := beam.ParDo(s, &readFn{Client: client, Query: q, Type: beam.EncodedType{T: t}}, beam.Impulse(s), beam.TypeDefinition{Var: beam.XType, T: t})
	return rows
}

// readFn reads ranges of keys.
type readFn struct {
	Client Client
	Query  Query
	Type   beam.EncodedType

	shape shape
	conn  driver.Conn
}

// Setup connects.
func (f *readFn) Setup() (err error) {
	if f.shape, err = shapeOf(f.Type.T); err != nil {
		return err
	}
	f.conn, err = acquire(f.Client)
	return err
}

// Teardown lets go of the connection.
func (f *readFn) Teardown() error {
	if f.conn == nil {
		return nil
	}
	f.conn = nil
	return release(f.Client)
}

// CreateInitialRestriction covers all keys.
func (f *readFn) CreateInitialRestriction([]byte) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: 1 << keyBits}
}

// SplitRestriction cuts it into equal parts.
func (f *readFn) SplitRestriction(_ []byte, r offsetrange.Restriction) []offsetrange.Restriction {
	return r.EvenSplits(int64(f.Query.Splits))
}

// RestrictionSize is its share of all keys.
func (f *readFn) RestrictionSize(_ []byte, r offsetrange.Restriction) float64 { return r.Size() }

// CreateTracker returns the tracker of a restriction.
func (f *readFn) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}

// ProcessElement emits the rows whose keys are claimed.
func (f *readFn) ProcessElement(ctx context.Context, rt *sdf.LockRTracker, _ []byte, emit func(beam.X)) error {
	r := rt.GetRestriction().(offsetrange.Restriction)
	text := f.query(r)
	rows, err := f.conn.Query(ctx, text)
	if err != nil {
		return fmt.Errorf("clickhouseio: reading %s: %w", f.Query.From, err)
	}
	defer rows.Close()
	claimed := int64(-1)
	for rows.Next() {
		row := reflect.New(f.Type.T)
		var key uint64
		if err := rows.Scan(f.shape.pointers([]any{&key}, row)...); err != nil {
			return fmt.Errorf("clickhouseio: reading %s: %w", f.Query.From, err)
		}
		if int64(key) != claimed {
			if claimed = int64(key); !rt.TryClaim(claimed) {
				return nil
			}
		}
		emit(row.Elem().Interface())
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("clickhouseio: reading %s: %w", f.Query.From, err)
	}
	rt.TryClaim(rt.GetRestriction().(offsetrange.Restriction).End) // all is done
	return nil
}

func (f *readFn) query(r offsetrange.Restriction) string {
	key := fmt.Sprintf("bitShiftRight(%s, %d)", f.Query.SplitBy, 64-keyBits)
	quoted := make([]string, len(f.shape.columns))
	for i, c := range f.shape.columns {
		quoted[i] = Quote(c)
	}
	text := fmt.Sprintf("SELECT %s AS _key, %s FROM %s WHERE _key >= %d AND _key < %d", key, strings.Join(quoted, ", "), f.Query.From, r.Start, r.End)
	if f.Query.Where != "" {
		text += " AND (" + f.Query.Where + ")"
	}
	text += " ORDER BY _key"
	if f.Query.OrderBy != "" {
		text += ", " + f.Query.OrderBy
	}
	if f.Query.Settings != "" {
		text += " SETTINGS " + f.Query.Settings
	}
	return text
}
