package arrivals

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

// Consumer takes partitions of a schedule through a worker the way a runner would: in bundles, some of which are delivered again,
// by the same worker or a new one.
type Consumer struct {
	Config *update.Config
	Store  update.Store
	Random *rand.Rand
	// Effects is told of every effect handed out, as often as it is.
	Effects func([]update.Effect)
}

// Consume applies the partitions that own lists until the end of each.
func (c *Consumer) Consume(ctx context.Context, s Schedule, own []int) error {
	next := make([]int, len(s.Partitions))
	longest := 0
	for _, records := range s.Partitions {
		longest = max(longest, len(records))
	}
	bundle := max(5, longest/20) // at most, per partition
	worker := update.NewWorker(c.Config, c.Store)
	failures := 0
	for len(own) > 0 {
		var inputs []*update.Input
		from := slices.Clone(next)
		for _, p := range own {
			n := min(c.Random.IntN(bundle+1), len(s.Partitions[p])-next[p])
			for _, r := range s.Partitions[p][next[p] : next[p]+n] {
				inputs = append(inputs, c.Config.Prepare(r))
			}
			next[p] += n
		}
		result, err := worker.Apply(ctx, inputs)
		if err != nil {
			if failures++; failures > 1000 {
				return fmt.Errorf("it goes on failing: %w", err)
			}
			next, worker = from, update.NewWorker(c.Config, c.Store)
			continue
		}
		c.Effects(result.Effects)
		switch c.Random.IntN(8) {
		case 0: // the bundle failed after its commit: what it handed out was perhaps not sent
			next, worker = from, update.NewWorker(c.Config, c.Store)
		case 1: // the worker died, and its partitions go back to an offset committed some time ago
			for _, p := range own {
				next[p] -= c.Random.IntN(min(next[p], 4*bundle) + 1)
			}
			worker = update.NewWorker(c.Config, c.Store)
		default:
			worker.Settle()
		}
		own = slices.DeleteFunc(slices.Clone(own), func(p int) bool { return next[p] == len(s.Partitions[p]) })
	}
	return nil
}

// Faults returns a fault that fails one commit in ten, half of them after it was applied.
func Faults(random *rand.Rand) memory.FaultFunc {
	var mu sync.Mutex
	return func(int, []update.Condition, []update.Write) memory.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch random.IntN(20) {
		case 0:
			return memory.FailBefore
		case 1:
			return memory.FailAfter
		}
		return memory.None
	}
}

// Profiles returns all profiles of a store in canonical form, sorted, as of a moment in epoch milliseconds.
func Profiles(ctx context.Context, config *update.Config, store update.Store, now int64) ([]string, error) {
	reader := update.NewReader(config, store)
	var all []string
	for doc, err := range reader.Documents(ctx) {
		if err != nil {
			return nil, err
		}
		view, err := reader.Folder().Fold(doc, now)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(view)
		if err != nil {
			return nil, err
		}
		all = append(all, string(text))
	}
	slices.Sort(all)
	return all, nil
}

// Ledger checks that effects are numbered without gaps and that none appears twice under different IDs.
type Ledger struct {
	byID map[string]string
}

// Add notes effects; one that was seen before must be the same.
func (l *Ledger) Add(effects []update.Effect) error {
	if l.byID == nil {
		l.byID = map[string]string{}
	}
	for _, e := range effects {
		text := e.Topic + " " + string(e.Key) + " " + string(e.Value)
		if known, ok := l.byID[e.ID]; ok && known != text {
			return fmt.Errorf("effect %s was\n%s\nand is now\n%s", e.ID, known, text)
		}
		l.byID[e.ID] = text
	}
	return nil
}

// Check reports a gap in the numbers of a partition, given how many effects each has.
func (l *Ledger) Check(progress map[update.Partition]update.Progress) error {
	for p, at := range progress {
		for n := range at.NextEffect {
			if _, ok := l.byID[fmt.Sprintf("%s/%d", p, n)]; !ok {
				return fmt.Errorf("effect %d of %d of %s was never handed out", n, at.NextEffect, p)
			}
		}
	}
	return nil
}

// Describe returns a schedule as text, for the message of a test that failed.
func (s Schedule) Describe() string {
	var b strings.Builder
	for p, records := range s.Partitions {
		for _, r := range records {
			marker := slices.IndexFunc(r.Headers, func(h event.Header) bool { return h.Key == event.HeaderMarker })
			if marker >= 0 {
				fmt.Fprintf(&b, "%d/%d marker %s %s\n", p, r.Offset, r.Headers[marker].Value, r.Value)
				continue
			}
			fmt.Fprintf(&b, "%d/%d %s %v\n", p, r.Offset, r.Value, r.Headers)
		}
	}
	return b.String()
}
