// Package batch is one run of the batch path: in go all that was archived before an epoch, out come a snapshot, the identity graph, and
// scores, all at once or not at all.
//
// A run cuts the stream, waits until the archive and the real-time path are past the cut, and then works on what no longer changes. Until
// its last step nobody sees anything of it; a run that fails leaves the snapshot before in use.
package batch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/braidhq/braid/batch/aggregate"
	"github.com/braidhq/braid/batch/graph"
	"github.com/braidhq/braid/batch/importer"
	"github.com/braidhq/braid/batch/score"
	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/epochs"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// Config says what runs work on.
type Config struct {
	Segment *segment.Segment
	// File is the segment as DoFns carry it.
	File  segment.Source
	Store update.Store
	// ClickHouse is the segment's database; Analyst the same as a user who can only read, for queries of the user's.
	ClickHouse, Analyst clickhouseio.Client
	// Snapshots is the directory of snapshots.
	Snapshots string
	// Cut begins an epoch in the stream and returns it.
	Cut func(ctx context.Context) (epochs.Epoch, error)
	// Events is the topic of events.
	Events string
	// Execute runs a bounded pipeline to its end.
	Execute func(ctx context.Context, build func(beam.Scope)) error
	// Now is the process's clock.
	Now func() time.Time
	// Patience is how long a run waits for the archive and the real-time path; default 10 minutes.
	Patience time.Duration
}

// Options say how a run goes.
type Options struct {
	// Whole reads all history anew instead of what came since the last run, and compares the two.
	Whole bool
	// Progress hears of each step, and of steps that take long again and again.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Run  uint64 `json:"run"`
	Step string `json:"step"`           // waiting, aggregating, graph, scores, imports, publishing, telling
	Done uint64 `json:"done"`           // of Total, where both are known
	Of   uint64 `json:"of,omitempty"`   // events to be read, say
	Note string `json:"note,omitempty"` // what is worked on
}

// ErrRunning is wrapped when another run is under way.
var ErrRunning = errors.New("a batch run is under way")

// ErrForgetful is wrapped when all history is wanted, but the archive does not go back to the beginning.
var ErrForgetful = errors.New("the archive does not go back to the beginning: what it dropped is in the snapshots only")

// Run does one run.
func Run(ctx context.Context, c Config, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	lock, err := embedded.LockDirectory(filepath.Join(c.Snapshots, "runs"))
	if errors.Is(err, embedded.ErrLocked) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	conn, err := c.ClickHouse.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	directory, err := snapshot.Open(c.Snapshots)
	if directory == nil || err != nil && !o.Whole {
		return nil, fmt.Errorf("the last snapshot cannot be read: %w; 'braid batch run --full' makes a new one", err)
	}
	r := &run{Config: c, options: o, conn: conn, directory: directory}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	if err := r.work(ctx); err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		r.report.State, r.report.Notes = Failed, append(r.report.Notes, err.Error())
		return &r.report, errors.Join(fmt.Errorf("batch run %d: %w", r.report.Run, err), r.record(clean), r.drop(clean, r.report.Run))
	}
	return &r.report, nil
}

// run is one run under way.
type run struct {
	Config
	options   Options
	conn      driver.Conn
	directory *snapshot.Directory
	report    Report
	epoch     epochs.Epoch
	draft     *snapshot.Draft
	before    *snapshot.Snapshot
}

func (r *run) say(step string, done, of uint64, note string) {
	r.options.Progress(Progress{Run: r.report.Run, Step: step, Done: done, Of: of, Note: note})
}

func (r *run) work(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"waiting", r.wait}, {"aggregating", r.aggregate}, {"graph", r.graph}, {"scores", r.scores}, {"publishing", r.publish}, {"telling", r.tell},
	} {
		r.say(step.name, 0, 0, "")
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return err
		}
		r.report.Steps = append(r.report.Steps, Step{step.name, time.Since(began).Seconds()})
	}
	r.report.State, r.report.Ended = Done, r.Now()
	if err := r.record(ctx); err != nil {
		return err
	}
	return r.forget(ctx)
}

// wait cuts the stream and waits until all is past the cut.
func (r *run) wait(ctx context.Context) (err error) {
	waiting := func(behind string) { r.say("waiting", 0, 0, behind) }
	if r.options.Whole && r.directory.Latest() == nil {
		if r.epoch, err = r.Config.applied(ctx, r.conn, waiting); err != nil {
			return err
		}
	}
	if r.epoch.Epoch == 0 {
		r.epoch, err = r.Config.cut(ctx, r.conn, waiting)
	}
	r.report.Epoch = r.epoch.Epoch
	return err
}

// aggregate adds up the cells of the epochs that no snapshot has.
func (r *run) aggregate(ctx context.Context) (err error) {
	definitions := r.definitions()
	r.before = r.directory.Latest()
	r.report.Whole = r.options.Whole || r.before == nil || r.before.Segment != r.Segment.Name || r.before.Manifest.Epoch > r.epoch.Epoch
	if !r.report.Whole && !covers(r.before.Definitions, definitions) {
		r.report.Whole = true
		r.report.Notes = append(r.report.Notes, "attributes have changed: all history was read for them")
	}
	if r.report.Whole {
		if err := r.checkBeginning(ctx); err != nil {
			return err
		}
	}
	if r.draft, err = r.directory.Next(r.Segment.Name, r.epoch.Epoch, definitions); err != nil {
		return err
	}
	from := uint64(0)
	if !r.report.Whole {
		from = r.before.Manifest.Epoch
	}
	cells, done, err := r.collect(ctx, from)
	if err != nil {
		return err
	}
	defer done()
	if r.report.Whole {
		err = r.draft.Whole(cells)
	} else {
		err = r.draft.Delta(cells)
	}
	if err != nil || !r.options.Whole || r.before == nil || !covers(r.before.Definitions, definitions) || r.before.Manifest.Epoch > r.epoch.Epoch {
		return err
	}
	return r.compare(ctx)
}

// collect runs the aggregation of the epochs from one on and returns its cells.
func (r *run) collect(ctx context.Context, from uint64) (cells cells, done func(), err error) {
	dir := filepath.Join(r.Snapshots, "runs", strconv.FormatUint(r.report.Run, 10)+"-"+strconv.FormatUint(from, 10))
	if err := os.RemoveAll(dir); err != nil {
		return nil, nil, err
	}
	c := aggregate.Config{Segment: r.File, ClickHouse: r.ClickHouse, From: from, To: r.epoch.Epoch, Run: dir}
	if from > 0 {
		c.Base = r.Snapshots
	}
	var events uint64
	if err := r.conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM stream WHERE %s AND epoch >= %d AND epoch < %d", aggregate.Counted, from, r.epoch.Epoch)).Scan(&events); err != nil {
		return nil, nil, fmt.Errorf("counting events: %w", err)
	}
	const part = 50_000 // events that are sorted at once
	c.Splits = int(events/part) + 2
	defer aggregate.Forget(dir)
	stop := watch(func() { r.say("aggregating", min(uint64(aggregate.Progress(dir)), events), events, "events") })
	err = r.Execute(ctx, func(s beam.Scope) { snapshot.Collect(s, dir, aggregate.Aggregate(s, c)) })
	stop()
	if err != nil {
		return nil, nil, fmt.Errorf("aggregating: %w", err)
	}
	r.report.Events = max(r.report.Events, events)
	cells, err = snapshot.Collected(dir)
	return cells, func() { _ = os.RemoveAll(dir) }, err
}

// watch calls a function twice a second until it is stopped.
func watch(look func()) (stop func()) {
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		for {
			select {
			case <-ended:
				return
			case <-time.After(500 * time.Millisecond):
				look()
			}
		}
	}()
	return func() {
		close(ended)
		<-left
	}
}

// checkBeginning refuses to read all history where the archive has dropped some.
func (r *run) checkBeginning(ctx context.Context) error {
	forgot, err := archiveForgot(ctx, r.conn)
	if err == nil && forgot && r.before != nil {
		err = ErrForgetful
	}
	return err
}

// archiveForgot reports whether the archive lacks records from the beginning of a partition.
func archiveForgot(ctx context.Context, conn driver.Conn) (bool, error) {
	var dropped uint64
	err := conn.QueryRow(ctx, "SELECT countIf(least > 0) FROM (SELECT min(offset) AS least FROM stream GROUP BY topic_id, partition)").Scan(&dropped)
	if err != nil {
		return false, fmt.Errorf("where the archive begins: %w", err)
	}
	return dropped > 0, nil
}

// graph rebuilds who belongs together.
func (r *run) graph(ctx context.Context) error {
	cells, rulings, err := graph.Read(ctx, r.conn, r.Segment.Config(), r.epoch.Epoch)
	if err != nil {
		return err
	}
	sum, err := graph.Write(ctx, r.conn, r.Segment.Config(), r.report.Run, cells, rulings)
	r.report.Cells, r.report.Profiles, r.report.Links = uint64(len(cells)), uint64(sum.Groups), uint64(sum.Links)
	return err
}

// scores computes scores and reads imports.
func (r *run) scores(ctx context.Context) error {
	batch := r.Segment.File.Batch
	var sources []importer.Source
	now, err := r.streamTime(ctx)
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(batch.Scores) {
		r.say("scores", 0, 0, name)
		evaluation, err := score.Compute(ctx, r.conn, score.Run{Number: r.report.Run, Epoch: r.epoch.Epoch, Now: now}, name, batch.Scores[name])
		if err != nil {
			return err
		}
		if evaluation != nil {
			r.report.Evaluations = append(r.report.Evaluations, *evaluation)
		}
		source, err := importer.Score(ctx, r.conn, r.report.Run, name, batch.Scores[name])
		if err != nil {
			return err
		}
		sources = append(sources, source)
	}
	imported, err := r.imports(ctx)
	if err != nil {
		return err
	}
	all := importer.Join(r.Segment.Name, r.Segment.Rules, append(sources, imported...))
	r.report.Imports, r.report.Scored = all.Summaries, uint64(all.People())
	return r.draft.Import(all.Columns, all.Rows())
}

func (r *run) imports(ctx context.Context) (sources []importer.Source, err error) {
	batch := r.Segment.File.Batch
	if len(batch.Imports) == 0 {
		return nil, nil
	}
	reader, err := r.Analyst.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for _, name := range sortedKeys(batch.Imports) {
		r.say("imports", 0, 0, name)
		i := batch.Imports[name]
		key := i.Key
		if key == "" {
			key = r.Segment.ProfileKey
		}
		var s importer.Source
		if i.File != "" {
			s, err = importer.File(name, i.File, key)
		} else {
			s, err = importer.Query(ctx, reader, name, i.Query, key)
		}
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// streamTime is when the latest event before the cut was received, by which ages are counted: a stream that stands still does not age.
func (r *run) streamTime(ctx context.Context) (now time.Time, err error) {
	err = r.conn.QueryRow(ctx, "SELECT max(received) FROM stream WHERE kind = 'event' AND epoch < ?", r.epoch.Epoch).Scan(&now)
	return now, err
}

// publish makes the snapshot the one that counts.
func (r *run) publish(context.Context) error {
	s, err := r.draft.Publish(r.Now())
	if err != nil {
		return err
	}
	r.report.Snapshot = s.Number
	return nil
}

func (r *run) definitions() []string {
	var all []string
	for _, h := range r.Segment.Attributes.Hashes() {
		all = append(all, strconv.FormatUint(uint64(h), 16))
	}
	slices.Sort(all)
	return all
}

// covers reports whether all of some definitions are among those of a snapshot.
func covers(have, want []string) bool {
	for _, h := range want {
		if !slices.Contains(have, h) {
			return false
		}
	}
	return true
}
