package scenario

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

// arrivalSettings say in how many other ways the events are to arrive; 0 is none.
type arrivalSettings struct {
	permute, replay, partitions int
	line                        int // of the first setting
}

func (a arrivalSettings) any() bool { return a.permute+a.replay+a.partitions > 0 }

// allOrders is the most events of which every order is tried.
const allOrders = 7

// arrive lets the events arrive in all ways the script asks for. The first failure of a way ends that way.
func (s *Scenario) arrive(ctx context.Context, o Options, r *Result, want shown) error {
	records, _ := s.sent()
	settings := s.arrivals
	if settings.permute > 0 {
		settings.permute = max(settings.permute, o.Orders)
	}
	orders, all := settings.permute, false
	if total := factorial(len(records)); settings.permute > 0 && (len(records) <= allOrders || total <= settings.permute) {
		orders, all = total, true
	}
	ways := []struct {
		Arrivals
		run func(ctx context.Context, run int) (*Failure, error)
	}{
		{Arrivals{"permute", orders, all}, s.permutations(o, records, all, want)},
		{Arrivals{"replay", settings.replay, false}, s.replays(o, records, want)},
		{Arrivals{"partitions", settings.partitions, false}, s.partitionings(o, records, want)},
	}
	done, total := 0, orders+settings.replay+settings.partitions
	for _, way := range ways {
		if way.Runs == 0 {
			continue
		}
		for run := range way.Runs {
			f, err := way.run(ctx, run)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				f = &Failure{Line: s.arrivals.line, Directive: way.Way, Message: err.Error()}
			}
			if done++; o.Progress != nil {
				o.Progress(done, total)
			}
			if f != nil {
				f.Way = way.Way
				r.Failures = append(r.Failures, *f)
				way.Runs, way.All = run+1, false
				break
			}
		}
		r.Arrivals = append(r.Arrivals, way.Arrivals)
	}
	return nil
}

// factorial returns how many orders there are, or a number beyond all limits.
func factorial(n int) int {
	f := 1
	for i := 2; i <= n && f <= maxRuns; i++ {
		f *= i
	}
	return f
}

// random returns the source of choices of one run of one way.
func (o Options) random(way, run int) *rand.Rand {
	return rand.New(rand.NewPCG(o.Seed, uint64(way)<<32|uint64(run)))
}

// permutations lets the records arrive in another order, one by one.
func (s *Scenario) permutations(o Options, records []Record, all bool, want shown) func(context.Context, int) (*Failure, error) {
	order := make([]int, len(records))
	for i := range order {
		order[i] = i
	}
	return func(ctx context.Context, run int) (*Failure, error) {
		switch {
		case !all:
			order = o.random(0, run).Perm(len(records))
		case run > 0:
			nextOrder(order)
		}
		failures, err := s.inOrder(ctx, records, order, want)
		if failures == nil && err == nil {
			return nil, nil
		}
		least, failures, err := s.simplify(ctx, records, order, want, failures, err)
		f := Failure{Line: s.arrivals.line, Directive: "permute"}
		if err != nil {
			f.Message = err.Error()
		} else {
			f = failures[0]
		}
		for _, i := range least {
			f.Order = append(f.Order, records[i].Name)
		}
		return &f, nil
	}
}

// nextOrder makes the lexically next permutation of p.
func nextOrder(p []int) {
	i := len(p) - 2
	for i >= 0 && p[i] > p[i+1] {
		i--
	}
	if i >= 0 {
		j := len(p) - 1
		for p[j] < p[i] {
			j--
		}
		p[i], p[j] = p[j], p[i]
	}
	slices.Reverse(p[i+1:])
}

func (s *Scenario) inOrder(ctx context.Context, records []Record, order []int, want shown) ([]Failure, error) {
	got, err := s.another(ctx, func(w *World) error {
		for _, i := range order {
			in := w.prepare(records[i], 0)
			if _, err := w.apply(ctx, in); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.differences(want, got), nil
}

// simplifications returns how many orders of so many records simplify tries at most.
func simplifications(records int) int { return min(max(100_000/records, 10), 2000) }

// simplify brings an order that fails nearer to the written one, neighbour by neighbour, as long as it goes on failing.
func (s *Scenario) simplify(ctx context.Context, records []Record, order []int, want shown, failures []Failure, err error) ([]int, []Failure, error) {
	order = slices.Clone(order)
	for tries, changed := 0, true; changed; {
		changed = false
		for i := 0; i+1 < len(order) && tries < simplifications(len(records)) && ctx.Err() == nil; i++ {
			if order[i] < order[i+1] {
				continue
			}
			tries++
			order[i], order[i+1] = order[i+1], order[i]
			now, nowErr := s.inOrder(ctx, records, order, want)
			if now == nil && nowErr == nil || ctx.Err() != nil {
				order[i], order[i+1] = order[i+1], order[i]
				continue
			}
			failures, err, changed = now, nowErr, true
		}
	}
	return order, failures, err
}

// retryWindow is how much receive time, in milliseconds, may lie between a record and others before its retry, which is less than the
// time for which an event's ID is remembered; retriesAmong is the same in records.
const (
	retryWindow  = 30 * 60_000
	retriesAmong = 500
)

// replays sends each record again, at once and later, and delivers records of the stream again.
func (s *Scenario) replays(o Options, records []Record, want shown) func(context.Context, int) (*Failure, error) {
	config := s.Segment.Config()
	received := make([]int64, len(records))
	for i, r := range records {
		received[i] = config.Prepare(r.Record).Received
	}
	return func(ctx context.Context, run int) (*Failure, error) {
		random := o.random(1, run)
		again := make([][]int, len(records)) // what is sent again behind each record
		latest := received[0]
		for i := range records {
			if latest = max(latest, received[i]); latest > received[i]+retryWindow {
				continue
			}
			last := i
			for last+1 < len(records) && last-i < retriesAmong && received[last+1] <= received[i]+retryWindow {
				last++
			}
			later := i + random.IntN(last-i+1)
			again[i], again[later] = append(again[i], i), append(again[later], i)
		}
		schedule := arrivals.Schedule{Partitions: make([][]event.Record, 1)}
		for i, r := range records {
			schedule.Append(0, r.Record)
			for _, retry := range again[i] {
				schedule.Append(0, records[retry].Record)
			}
		}
		return s.consume(ctx, schedule, random, want)
	}
}

// partitionings spreads the records over partitions.
func (s *Scenario) partitionings(o Options, records []Record, want shown) func(context.Context, int) (*Failure, error) {
	history := make([]event.Record, len(records))
	for i, r := range records {
		history[i] = r.Record
	}
	return func(ctx context.Context, run int) (*Failure, error) {
		random := o.random(2, run)
		choose := func(n int, _ string) int { return random.IntN(n) }
		schedule := arrivals.Draw(choose, history, arrivals.Options{InOrder: s.arrivals.permute == 0})
		return s.consume(ctx, schedule, random, want)
	}
}

// consume takes a schedule through a worker that is started again now and then, and whose commits fail now and then.
func (s *Scenario) consume(ctx context.Context, schedule arrivals.Schedule, random *rand.Rand, want shown) (*Failure, error) {
	got, err := s.another(ctx, func(w *World) error {
		w.next = nil
		var own []int
		for p, records := range schedule.Partitions {
			w.next = append(w.next, int64(len(records)))
			own = append(own, p)
			for _, r := range records {
				w.name(w.config.Prepare(r))
			}
		}
		w.store.SetFault(arrivals.Faults(random))
		defer w.store.SetFault(nil)
		var kept error
		consumer := arrivals.Consumer{Config: w.config, Store: w.store, Random: random}
		consumer.Effects = func(effects []update.Effect) {
			if err := w.keep(effects); err != nil {
				kept = err
			}
		}
		if err := consumer.Consume(ctx, schedule, own); err != nil {
			return err
		}
		return kept
	})
	if err != nil {
		return nil, err
	}
	if failures := s.differences(want, got); failures != nil {
		return &failures[0], nil
	}
	return nil, nil
}
