package scenario

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
	"github.com/tidwall/gjson"
)

// World is what one run of a script happens in: a stream, a store with an update worker on it, and a clock. It serves one goroutine.
type World struct {
	segment *segment.Segment
	config  *update.Config
	store   *memory.Store
	reader  *update.Reader
	worker  *update.Worker
	clock   int64 // 0 before the first record
	next    []int64
	effects []update.Effect
	known   map[string]bool // IDs of effects
	ledger  arrivals.Ledger
	names   map[string]string // profile ID to identifier
	places  map[string]string // TOPIC/PARTITION/OFFSET to the name of the record there
	unread  []Trouble
	parts   map[reflect.Type]any
}

// Trouble is something of a record that was not used.
type Trouble struct {
	Event  string // ID of the event
	Reason string // for counting
	Text   string
	line   int
}

// Outcome is what became of one record.
type Outcome struct {
	Result   update.Result
	Effects  []update.Effect // those it caused itself, not what fell due meanwhile
	Troubles []Trouble
}

func newWorld(s *segment.Segment) *World {
	w := &World{
		segment: s, config: s.Config(), store: memory.New(), next: []int64{0}, names: map[string]string{}, places: map[string]string{},
		known: map[string]bool{}, parts: map[reflect.Type]any{},
	}
	w.reader, w.worker = update.NewReader(w.config.WithSecret(Secret), w.store), update.NewWorker(w.config, w.store)
	return w
}

// State returns what a directive keeps in a world, one value per type; it begins as the zero value.
func State[T any](w *World) *T {
	key := reflect.TypeFor[T]()
	if w.parts[key] == nil {
		w.parts[key] = new(T)
	}
	return w.parts[key].(*T)
}

// Secret is the secret by which scripts conceal identifiers of keys with hash: true.
const Secret = "the secret of scenario scripts"

// Segment returns the segment.
func (w *World) Segment() *segment.Segment { return w.segment }

// Reader returns what looks profiles up.
func (w *World) Reader() *update.Reader { return w.reader }

// Store returns the store.
func (w *World) Store() update.Store { return w.store }

// Now returns the time on the clock: the greatest receive time so far, or what the script set it to.
func (w *World) Now() int64 {
	if w.clock == 0 {
		return script.Start
	}
	return w.clock
}

// Effects returns all effects so far, in their order.
func (w *World) Effects() []update.Effect { return w.effects }

// Troubles returns what was not used since the last call.
func (w *World) Troubles() []Trouble {
	all := w.unread
	w.unread = nil
	return all
}

// Send sends a record. What falls due before its receive time happens first.
func (w *World) Send(ctx context.Context, r Record) (Outcome, error) {
	if received := w.config.Prepare(r.Record).Received; w.clock > 0 && received > w.clock {
		if err := w.SetClock(ctx, received-1); err != nil {
			return Outcome{}, err
		}
	}
	in := w.prepare(r, 0)
	out := Outcome{Troubles: w.troubles(r, in)}
	var err error
	if out.Result, err = w.apply(ctx, in); err != nil {
		return out, fmt.Errorf("event %s: %w", r.Name, err)
	}
	out.Effects = out.Result.Effects
	w.unread = append(w.unread, out.Troubles...)
	w.clock = max(w.clock, in.Received)
	return out, w.advance(ctx)
}

// SetClock moves the clock on, the way a stream on which nothing happens does it, and does what is due then. It never goes back.
func (w *World) SetClock(ctx context.Context, ms int64) error {
	if ms <= w.clock {
		return nil
	}
	for p := range w.next {
		tick := Record{Record: arrivals.Marker(event.Marker{Tick: true, Received: ms}), Name: "tick"}
		if _, err := w.apply(ctx, w.prepare(tick, p)); err != nil {
			return err
		}
	}
	w.clock = ms
	return w.advance(ctx)
}

// Recheck settles all identifiers anew, by all links and rulings.
func (w *World) Recheck(ctx context.Context) (update.Rechecked, error) {
	return update.Recheck(ctx, w.config, w.store, w.keep)
}

// prepare gives a record the next place in a partition.
func (w *World) prepare(r Record, partition int) *update.Input {
	r.Position = event.Position{Topic: arrivals.Topic, Partition: int32(partition), Offset: w.next[partition]}
	r.TopicID = arrivals.TopicID
	w.next[partition]++
	w.places[fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)] = r.Name
	in := w.config.Prepare(r.Record)
	w.name(in)
	return in
}

// name notes whom the profile IDs that an event may bring stand for.
func (w *World) name(in *update.Input) {
	for i, id := range in.IDs {
		w.names[id.String()] = in.Identifiers[i].String()
	}
}

func (w *World) apply(ctx context.Context, in *update.Input) (update.Result, error) {
	result, err := w.worker.Apply(ctx, []*update.Input{in})
	if err == nil && result.Skipped > 0 {
		err = errors.New("the record was taken for one that had been applied before")
	}
	if err == nil {
		err = w.keep(result.Effects)
		w.worker.Settle()
	}
	return result, err
}

// keep notes effects; one that comes again after a failure counts once.
func (w *World) keep(effects []update.Effect) error {
	for _, e := range effects {
		if !w.known[e.ID] {
			w.known[e.ID] = true
			w.effects = append(w.effects, e)
		}
	}
	return w.ledger.Add(effects)
}

// advance does what is due on the stream's clock, the earliest first.
func (w *World) advance(ctx context.Context) error {
	clock, err := update.NewStreamClock(w.store, w.config.Namespace, arrivals.Topic).Now(ctx)
	if err != nil {
		return err
	}
	for {
		at, ok, err := update.NextDue(ctx, w.store, w.config.Namespace)
		if err != nil || !ok || at > clock {
			return err
		}
		for bucket := range byte(update.DueBuckets) {
			entries, err := update.DueEntries(ctx, w.store, w.config.Namespace, bucket, at, math.MaxInt32)
			if err != nil {
				return err
			}
			if len(entries) == 0 {
				continue
			}
			result, err := w.worker.Advance(ctx, entries)
			if err == nil {
				err = w.keep(result.Effects)
			}
			if err != nil {
				return err
			}
			w.worker.Settle()
		}
	}
}

// troubles tells what of a record is not used.
func (w *World) troubles(r Record, in *update.Input) (all []Trouble) {
	add := func(reason, format string, args ...any) {
		all = append(all, Trouble{Event: r.Name, Reason: reason, Text: fmt.Sprintf(format, args...), line: r.Line})
	}
	if in.Rejected != nil {
		what := in.Rejected.Detail
		if in.Rejected.Field != "" {
			what = in.Rejected.Field + " " + what
		}
		add("rejected "+string(in.Rejected.Reason), "rejected, %s: %s", in.Rejected.Reason, what)
		return all
	}
	for _, refused := range in.Refused {
		add(fmt.Sprintf("refused %s %s", refused.Key, refused.Reason), "refused %s %q: %s", refused.Key, refused.Value, refused.Reason)
	}
	var none attribute.States
	if _, violations, err := w.config.Attributes.Add(none, &in.Event, in.Matched); err == nil {
		for _, v := range violations {
			add(fmt.Sprintf("left out %s %s", v.Attribute, v.Reason), "left out %s, %s: %s", v.Attribute, v.Reason, v.Detail)
		}
	}
	return all
}

// audit checks what must hold after any run: effects are numbered without gaps, and every profile ID ever given out still leads to a
// profile.
func (w *World) audit(ctx context.Context) error {
	progress, err := update.ReadProgress(ctx, w.store, w.config.Namespace)
	if err == nil {
		err = w.ledger.Check(progress)
	}
	if err != nil {
		return err
	}
	for _, id := range w.GivenOut() {
		d, err := w.reader.Document(ctx, id)
		if err != nil {
			return err
		}
		if d == nil {
			return fmt.Errorf("the profile ID %s (%s) was given out and leads to nobody", w.Name(id), id)
		}
	}
	return nil
}

// GivenOut returns every profile ID that an effect told, in the order in which they appeared.
func (w *World) GivenOut() []identity.ID {
	var all []identity.ID
	seen := map[string]bool{}
	for _, e := range w.effects {
		var fields []gjson.Result
		switch e.Topic {
		case update.TopicAudienceChanges:
			fields = []gjson.Result{gjson.GetBytes(e.Value, "profile_id")}
		case update.TopicProfiles:
			fields = gjson.GetManyBytes(e.Value, "profile_id", "superseded_by")
		case update.TopicIdentityChanges:
			fields = append(gjson.GetBytes(e.Value, "before").Array(), gjson.GetBytes(e.Value, "after"))
		}
		for _, f := range fields {
			if id, err := identity.ParseID(f.Str); err == nil && !seen[f.Str] {
				seen[f.Str] = true
				all = append(all, id)
			}
		}
	}
	return all
}
