package storetest

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/braidhq/braid/transforms/update"
)

// Benchmark measures bundles as the real-time path makes them: several committers, each reading the rows of a bundle and committing
// them again together with its progress row and one row of an outbox. One operation is one row; the benchmark's rows are skewed,
// a few of them are asked for often. It reports rows per second.
func Benchmark(b *testing.B, s update.Store) {
	const total, size = 100_000, 300
	value := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(value)
	name := func(kind byte, n uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{kind, '/'}, n*0x9e3779b97f4a7c15)
	}
	for n := 0; n < total; {
		var writes []update.Write
		for ; n < total && len(writes) < 1000; n++ {
			writes = append(writes, update.Write{Key: name('d', uint64(n)), Value: value})
		}
		if _, err := s.Commit(b.Context(), nil, writes); err != nil {
			b.Fatal(err)
		}
	}
	for _, test := range []struct {
		name            string
		workers, bundle int
	}{{"workers=1/bundle=20", 1, 20}, {"workers=1/bundle=200", 1, 200}, {"workers=4/bundle=20", 4, 20}, {"workers=4/bundle=200", 4, 200}} {
		b.Run(test.name, func(b *testing.B) {
			var done, conflicts atomic.Int64
			var all sync.WaitGroup
			for worker := range test.workers {
				all.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(worker), uint64(b.N)))
					zipf := rand.NewZipf(rng, 1.1, 50, total-1)
					for sequence := uint64(0); done.Add(int64(test.bundle)) <= int64(b.N)+int64(test.bundle); sequence++ {
						asked := [][]byte{name('p', uint64(worker))}
						seen := map[uint64]bool{}
						for len(asked) <= test.bundle {
							if n := zipf.Uint64(); !seen[n] {
								seen[n] = true
								asked = append(asked, name('d', n))
							}
						}
						for {
							err := bundle(b, s, asked, value, name('o', uint64(worker)<<40+sequence))
							if err == nil {
								break
							}
							if !errors.Is(err, update.ErrConflict) {
								b.Error(err)
								return
							}
							conflicts.Add(1)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(conflicts.Load())/float64(b.N)*float64(test.bundle), "conflicts/bundle")
		})
	}
}

func bundle(b *testing.B, s update.Store, asked [][]byte, value, outbox []byte) error {
	rows, err := s.Get(b.Context(), asked)
	if err != nil {
		return err
	}
	conditions := make([]update.Condition, len(rows))
	writes := make([]update.Write, len(rows), len(rows)+1)
	for i, r := range rows {
		conditions[i] = update.Condition{Key: r.Key, Version: r.Version}
		writes[i] = update.Write{Key: r.Key, Value: value}
	}
	_, err = s.Commit(b.Context(), conditions, append(writes, update.Write{Key: outbox, Value: value[:100]}))
	return err
}
