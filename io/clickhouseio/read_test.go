package clickhouseio

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/braidhq/braid/pipelines/direct"
)

func init() { register.DoFn1x0[visit](&keepFn{}) }

var kept struct {
	sync.Mutex
	rows []visit
}

// keepFn keeps what it is given, in order.
type keepFn struct{}

func (*keepFn) ProcessElement(v visit) {
	kept.Lock()
	defer kept.Unlock()
	kept.rows = append(kept.rows, v)
}

// Each row comes once, in however many parts it is read, and rows of one key come one behind the other in their order.
func TestRead(t *testing.T) {
	client, conn := database(t)
	exec(t, conn, visits)
	exec(t, conn, "INSERT INTO visits SELECT number % 7, intDiv(number, 7), toString(number % 7), map() FROM numbers(7000)")
	for _, splits := range []int{1, 5, 0} {
		kept.rows = nil
		p, s := beam.NewPipelineWithRoot()
		rows := Read(s, client, Query{From: "visits", Where: "offset < 900", SplitBy: "cityHash64(partition)", OrderBy: "offset", Splits: splits}, reflect.TypeFor[visit]())
		beam.ParDo0(s, &keepFn{}, rows)
		e, err := direct.Start(t.Context(), p, direct.Options{})
		if err == nil {
			err = e.Wait()
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(kept.rows) != 6300 {
			t.Fatalf("%d rows", len(kept.rows))
		}
		next := map[uint32]uint64{}
		for _, row := range kept.rows {
			if row.Offset != next[row.Partition] {
				t.Fatalf("partition %d: offset %d, want %d", row.Partition, row.Offset, next[row.Partition])
			}
			next[row.Partition]++
		}
	}
}

// A range that is split while it is read is read in both parts, and each row in one of them.
func TestReadSplits(t *testing.T) {
	client, conn := database(t)
	exec(t, conn, visits)
	exec(t, conn, "INSERT INTO visits SELECT number, 0, '', map() FROM numbers(1000)")
	f := &readFn{Client: client, Query: Query{From: "visits", SplitBy: "cityHash64(partition)"}, Type: beam.EncodedType{T: reflect.TypeFor[visit]()}}
	if err := f.Setup(); err != nil {
		t.Fatal(err)
	}
	defer f.Teardown()
	var seen []uint32
	read := func(r offsetrange.Restriction, split func(*sdf.LockRTracker, int)) {
		rt := f.CreateTracker(r)
		n := 0
		if err := f.ProcessElement(t.Context(), rt, nil, func(x beam.X) {
			seen = append(seen, x.(visit).Partition)
			n++
			split(rt, n)
		}); err != nil {
			t.Fatal(err)
		}
		if !rt.IsDone() {
			t.Fatal("the tracker is not done")
		}
	}
	var rest []offsetrange.Restriction
	read(f.CreateInitialRestriction(nil), func(rt *sdf.LockRTracker, n int) {
		if n%100 == 50 {
			if _, residual, err := rt.TrySplit(0.5); err != nil {
				t.Fatal(err)
			} else if residual != nil {
				rest = append(rest, residual.(offsetrange.Restriction))
			}
		}
	})
	if len(rest) == 0 || len(seen) == 1000 {
		t.Fatalf("%d splits, %d rows", len(rest), len(seen))
	}
	for _, r := range rest {
		read(r, func(*sdf.LockRTracker, int) {})
	}
	slices.Sort(seen)
	if len(seen) != 1000 || len(slices.Compact(seen)) != 1000 {
		t.Fatalf("%d rows", len(seen))
	}
}

func TestReadFails(t *testing.T) {
	client, _ := database(t)
	p, s := beam.NewPipelineWithRoot()
	rows := Read(s, client, Query{From: "visits", SplitBy: "cityHash64(partition)", Splits: 1}, reflect.TypeFor[visit]())
	beam.ParDo0(s, &keepFn{}, rows)
	e, err := direct.Start(t.Context(), p, direct.Options{MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Wait(); err == nil || !strings.Contains(err.Error(), "reading visits") {
		t.Error(err)
	}
}
