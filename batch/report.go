package batch

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/braidhq/braid/batch/importer"
	"github.com/braidhq/braid/batch/score"
	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
)

// State is how a run stands.
type State string

// The states.
const (
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
)

// Report is what a run did.
type Report struct {
	Run         uint64             `json:"run"`
	State       State              `json:"state"`
	Began       time.Time          `json:"began"`
	Ended       time.Time          `json:"ended,omitzero"`
	Whole       bool               `json:"whole"`    // all history was read
	Epoch       uint64             `json:"epoch"`    // first one that was left out
	Snapshot    uint64             `json:"snapshot"` // number
	Events      uint64             `json:"events"`   // read
	Cells       uint64             `json:"cells"`    // sets of identifiers in all history
	Links       uint64             `json:"links"`
	Profiles    uint64             `json:"profiles"`
	Scored      uint64             `json:"scored"`    // people with scores or imports
	Revisited   uint64             `json:"revisited"` // people for whom these are others than before
	Different   uint64             `json:"different"` // cells that all history and the snapshots added up say differently; of --full
	Steps       []Step             `json:"steps"`
	Evaluations []score.Evaluation `json:"evaluations,omitempty"`
	Imports     []importer.Summary `json:"imports,omitempty"`
	Notes       []string           `json:"notes,omitempty"`
}

// Step is a step with how long it took.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

type cells = iter.Seq2[snapshot.Cell, error]

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// begin notes that a run is under way; one that was under way before and is not any more has failed.
func (r *run) begin(ctx context.Context) error {
	table := clickhouseio.Quote(schema.BatchRuns)
	if err := r.conn.QueryRow(ctx, "SELECT max(run) + 1 FROM "+table).Scan(&r.report.Run); err != nil {
		return fmt.Errorf("batch runs: %w", err)
	}
	r.report.State, r.report.Began = Running, r.Now()
	stale, err := r.conn.Query(ctx, "SELECT run, began FROM "+table+" FINAL WHERE state = 'running'")
	if err != nil {
		return fmt.Errorf("batch runs: %w", err)
	}
	var interrupted []Report
	for stale.Next() {
		o := Report{State: Failed, Notes: []string{"the process that ran it ended"}}
		if err := stale.Scan(&o.Run, &o.Began); err != nil {
			stale.Close()
			return fmt.Errorf("batch runs: %w", err)
		}
		interrupted = append(interrupted, o)
	}
	stale.Close()
	for _, o := range interrupted {
		if err := r.write(ctx, o); err != nil {
			return err
		}
		if err := r.drop(ctx, o.Run); err != nil {
			return err
		}
	}
	return r.record(ctx)
}

func (r *run) record(ctx context.Context) error { return r.write(ctx, r.report) }

func (r *run) write(ctx context.Context, o Report) error {
	err := r.conn.Exec(ctx, "INSERT INTO "+clickhouseio.Quote(schema.BatchRuns)+
		" (run, state, changed, began, whole, epoch, snapshot, events, cells, profiles, scored, notes) VALUES (?, ?, now64(3), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		o.Run, string(o.State), o.Began.UTC(), o.Whole, o.Epoch, o.Snapshot, o.Events, o.Cells, o.Profiles, o.Scored, strings.Join(o.Notes, "\n"))
	if err != nil {
		return fmt.Errorf("batch runs: %w", err)
	}
	return nil
}

// runTables are those with rows by run.
var runTables = []string{schema.GraphIdentifiers, schema.GraphCells, schema.ScoreFeatures, schema.ScoreItems, schema.ScoreRows}

// drop removes the rows of a run.
func (r *run) drop(ctx context.Context, number uint64) error {
	for _, table := range runTables {
		if err := r.conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DROP PARTITION %d", clickhouseio.Quote(table), number)); err != nil {
			return fmt.Errorf("removing what run %d wrote: %w", number, err)
		}
	}
	return nil
}

// forget removes what older runs left: snapshots but the latest few, and rows but those of this run and the one before.
func (r *run) forget(ctx context.Context) error {
	if err := r.directory.Forget(r.Segment.File.Batch.KeepOrDefault()); err != nil {
		return err
	}
	old := map[uint64]bool{}
	for _, table := range runTables {
		rows, err := r.conn.Query(ctx, "SELECT DISTINCT run FROM "+clickhouseio.Quote(table)+" WHERE run + 1 < ?", r.report.Run)
		if err != nil {
			return err
		}
		for rows.Next() {
			var n uint64
			if err := rows.Scan(&n); err != nil {
				rows.Close()
				return err
			}
			old[n] = true
		}
		rows.Close()
	}
	for n := range old {
		if err := r.drop(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// compare adds up what is new to the snapshot before and counts the cells in which that differs from all history.
func (r *run) compare(ctx context.Context) error {
	delta, done, err := r.collect(ctx, r.before.Manifest.Epoch)
	if err != nil {
		return err
	}
	defer done()
	whole, err := r.draft.Cells()
	if err != nil {
		return err
	}
	sum := map[bool]uint64{}
	for same, err := range snapshot.Compare(r.before.Cells(), delta, whole) {
		if err != nil {
			return err
		}
		sum[same]++
	}
	r.report.Different = sum[false]
	r.report.Notes = append(r.report.Notes, fmt.Sprintf("compared with the snapshots so far: %d cells the same, %d different", sum[true], sum[false]))
	return nil
}

// Runs returns the latest runs, the last one first.
func Runs(ctx context.Context, c clickhouseio.Client, limit int) ([]Report, error) {
	conn, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	rows, err := conn.Query(ctx, "SELECT run, state, began, changed, whole, epoch, snapshot, events, cells, profiles, scored, notes FROM "+
		clickhouseio.Quote(schema.BatchRuns)+" FINAL ORDER BY run DESC LIMIT ?", limit)
	if err != nil {
		return nil, fmt.Errorf("batch runs: %w", err)
	}
	defer rows.Close()
	var all []Report
	for rows.Next() {
		var o Report
		var state, notes string
		if err := rows.Scan(&o.Run, &state, &o.Began, &o.Ended, &o.Whole, &o.Epoch, &o.Snapshot, &o.Events, &o.Cells, &o.Profiles, &o.Scored, &notes); err != nil {
			return nil, fmt.Errorf("batch runs: %w", err)
		}
		if o.State = State(state); o.State == Running {
			o.Ended = time.Time{}
		}
		if notes != "" {
			o.Notes = strings.Split(notes, "\n")
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Report) int { return cmp.Compare(b.Run, a.Run) })
	return all, rows.Err()
}
