package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/robfig/cron/v3"

	"github.com/braidhq/braid/batch"
	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/epochs"
	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/serving"
	"github.com/braidhq/braid/serving/problem"
	"github.com/braidhq/braid/serving/task"
)

// openSnapshots opens what batch runs found. It is there whether or not there is a batch path now: the store may have let go of what
// snapshots hold.
func (n *Node) openSnapshots(context.Context) error {
	d, err := snapshot.Open(n.options.Deployment.SnapshotsDir())
	if d == nil {
		return err
	}
	if err != nil {
		n.options.Logger.Error("the last snapshot of the batch path cannot be read; the one before is used, 'braid batch run --full' makes a new one", "error", err)
		if d.Latest() == nil {
			return err
		}
	}
	config, err := n.options.Segment.OpenConfig()
	if err != nil {
		return err
	}
	n.snapshots, n.config = d, config.WithHistories(d)
	return nil
}

// errNoBatch says that nothing is archived.
var errNoBatch = errors.New("there is no batch path; put 'clickhouse: embedded' into braid.yaml and start the node again")

// errAway says that the tables are not there yet.
var errAway = errors.New("ClickHouse has been away since the node started; batch runs begin once it is there")

// batchConfig says what batch runs work on.
func (n *Node) batchConfig() (batch.Config, error) {
	if n.archive.URL == "" {
		return batch.Config{}, errNoBatch
	}
	if n.noTables.Load() {
		return batch.Config{}, errAway
	}
	file, err := n.segmentFile()
	if err != nil {
		return batch.Config{}, err
	}
	analyst := n.archive
	if n.analyst != "" {
		analyst = clickhouseio.Client{URL: n.analyst}
	}
	return batch.Config{
		Segment: n.options.Segment, File: file, Store: n.store, ClickHouse: n.archive, Analyst: analyst, Snapshots: n.options.Deployment.SnapshotsDir(),
		Cut:    func(ctx context.Context) (epochs.Epoch, error) { return n.controller.Cut(ctx) },
		Events: n.events, Execute: execute, Now: time.Now,
	}, nil
}

// execute runs a bounded pipeline in this process. Few parts are read at once: what is read is sorted in ClickHouse's memory.
func execute(ctx context.Context, build func(beam.Scope)) error {
	p, s := beam.NewPipelineWithRoot()
	build(s)
	e, err := direct.Start(ctx, p, direct.Options{Restrictions: 2, MaxAttempts: 4})
	if err != nil {
		return err
	}
	return e.Wait()
}

// Archives reports whether there is a batch path.
func (n *Node) Archives() bool { return n.archive.URL != "" }

// RunBatch does one batch run.
func (n *Node) RunBatch(ctx context.Context, o batch.Options) (*batch.Report, error) {
	c, err := n.batchConfig()
	if err != nil {
		return nil, err
	}
	report, err := batch.Run(ctx, c, o)
	if report != nil {
		n.figures.runs.WithLabelValues(string(report.State)).Inc()
	}
	return report, err
}

// Verify compares live profiles with all of history.
func (n *Node) Verify(ctx context.Context, o batch.VerifyOptions) (*batch.Verification, error) {
	c, err := n.batchConfig()
	if err != nil {
		return nil, err
	}
	return batch.Verify(ctx, c, o)
}

// schedule runs batches when the segment says so.
func (n *Node) schedule(ctx context.Context) error {
	text := n.options.Segment.File.Batch.Schedule
	if text == "" || n.archive.URL == "" {
		return nil
	}
	schedule, err := cron.ParseStandard(text)
	if err != nil {
		return fmt.Errorf("batch.schedule: %w", err)
	}
	for {
		now := time.Now().UTC()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(schedule.Next(now).Sub(now)):
		}
		report, err := n.RunBatch(ctx, batch.Options{})
		switch {
		case errors.Is(err, batch.ErrRunning):
			n.options.Logger.Info("no batch run begins, the one before is still under way")
		case ctx.Err() != nil:
		case err != nil:
			n.options.Logger.Error("a batch run failed; the snapshot before stays in use, the next run tries again", "error", err)
		default:
			n.options.Logger.Info("batch run done", "run", report.Run, "epoch", report.Epoch, "events", report.Events, "profiles", report.Profiles, "scored", report.Scored)
		}
	}
}

// batchRunOptions are the body of a request for a run, verificationOptions that for a verification.
type (
	batchRunOptions struct {
		Full bool `json:"full"`
	}
	verificationOptions struct {
		Sample int `json:"sample"`
	}
)

// batchRoutes are the routes about batch runs.
func (n *Node) batchRoutes() []serving.Route {
	return []serving.Route{
		{Pattern: "POST /v1/batch/runs", Handler: task.Handler(n.tasks, "batch run", func(o batchRunOptions) (task.Work, error) {
			_, err := n.batchConfig()
			return func(ctx context.Context, progress func(any)) (any, error) {
				return n.RunBatch(ctx, batch.Options{Whole: o.Full, Progress: func(p batch.Progress) { progress(p) }})
			}, err
		})},
		{Pattern: "POST /v1/verifications", Handler: task.Handler(n.tasks, "verification", func(o verificationOptions) (task.Work, error) {
			if _, err := n.batchConfig(); err != nil {
				return nil, err
			}
			return func(ctx context.Context, progress func(any)) (any, error) {
				return n.Verify(ctx, batch.VerifyOptions{Sample: o.Sample, Progress: func(p batch.Progress) { progress(p) }})
			}, nil
		})},
		{Pattern: "GET /v1/batch/runs", Handler: http.HandlerFunc(n.answerRuns)},
		{Pattern: task.PatternGet, Handler: n.tasks.Get()},
	}
}

func (n *Node) answerRuns(w http.ResponseWriter, r *http.Request) {
	if n.archive.URL == "" {
		problem.New(http.StatusConflict, "unavailable", errNoBatch.Error()).Write(w)
		return
	}
	if n.noTables.Load() {
		problem.New(http.StatusServiceUnavailable, "unavailable", errAway.Error()).Write(w)
		return
	}
	runs, err := batch.Runs(r.Context(), n.archive, 20)
	var body []byte
	if err == nil {
		body, err = json.Marshal(runs)
	}
	if err != nil {
		n.options.Logger.Error("listing batch runs failed", "error", err)
		problem.New(http.StatusServiceUnavailable, "unavailable", "ClickHouse did not answer; try again").Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

// pruned is the epoch before which all is in every snapshot that is kept.
func (n *Node) pruned(context.Context) (uint64, error) {
	epoch, ok, err := n.snapshots.Oldest()
	if err != nil || !ok {
		return 0, nil // whatever is wrong with the directory, nothing is let go of
	}
	return epoch, nil
}

// oldestInUse is the oldest epoch that a batch tells apart. It counts as long as there are snapshots, also without a batch path: profiles
// are folded from them and what came since.
func (n *Node) oldestInUse(context.Context) (uint64, bool, error) {
	epoch, ok, err := n.snapshots.Oldest()
	return epoch, ok && err == nil, nil
}
