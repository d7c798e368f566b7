package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/braidhq/braid/batch"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/testing/shop"
)

// withClickHouse returns how the demo archives: in the embedded ClickHouse, whose library is fetched once, or not at all where that
// cannot be had.
func withClickHouse(ctx context.Context, o Options) string {
	_, err := clickhouse.FindOrFetch(ctx,
		func() {
			fmt.Fprintf(o.Out, "Fetching the library of ClickHouse once, by npm (%s).\n", clickhouse.Package)
		},
		func(step string, percent int64) { fmt.Fprintf(o.Out, "  %s %d %%\n", step, percent) })
	if err != nil {
		fmt.Fprintf(o.Out, "The demo goes on without a batch path: %v\n", err)
		return deployment.ClickHouseOff
	}
	return deployment.ClickHouseEmbedded
}

// batched is what the batch path found at the end; nothing without one.
type batched struct {
	run      *batch.Report
	verified *batch.Verification
}

// batch does a batch run over all that was sent, and compares live profiles with the archive.
func (s *show) batch(ctx context.Context) (b batched, err error) {
	if !s.node.Archives() {
		return b, nil
	}
	for {
		b.run, err = s.node.RunBatch(ctx, batch.Options{})
		if !errors.Is(err, batch.ErrRunning) { // by schedule
			break
		}
		if err := sleep(ctx); err != nil {
			return b, err
		}
	}
	if err != nil {
		return b, err
	}
	b.verified, err = s.node.Verify(ctx, batch.VerifyOptions{})
	return b, err
}

func (s *show) summarizeBatch(out io.Writer, r *Report) error {
	if r.Batch == nil {
		return nil
	}
	n := func(n int) string { return humanize.Comma(int64(n)) }
	fmt.Fprintf(out, "\nBatch run %d over the archive in ClickHouse, %.1f seconds: an identity graph of %s profiles, scores of %s customers.\n",
		r.Batch.Run, r.Batch.Ended.Sub(r.Batch.Began).Seconds(), n(int(r.Batch.Profiles)), n(int(r.Batch.Scored)))
	for _, e := range r.Batch.Evaluations {
		fmt.Fprintf(out, "  %s\n", e)
	}
	if v := r.Verify; v != nil {
		fmt.Fprintf(out, "  %s profiles recomputed from %s archived events: %s differences from the live ones\n", n(v.Compared), humanize.Comma(int64(v.Events)), n(v.Differences))
	}
	return s.showScores(out)
}

// shownScores are what the table of scores shows: of the stream, then of the batch path.
var shownScores = []string{"orders", "revenue", "views_this_week", "last_category", "since_purchase", "tier", "value_segment", "churn_risk", "next_best_offer"}

// showScores shows a few customers with what the stream and the batch path know of them, side by side.
func (s *show) showScores(out io.Writer) error {
	fmt.Fprintf(out, "\nSome customers, live attributes and scores side by side:\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "  CUSTOMER")
	for _, name := range shownScores {
		fmt.Fprintf(w, "\t%s", name)
	}
	fmt.Fprintln(w)
	for _, customer := range []string{"1", "2", "3", "4", shop.FixtureCustomer} {
		v := s.view(context.Background(), "customer_id", customer)
		if v.ID == "" {
			continue
		}
		fmt.Fprintf(w, "  %s", customer)
		for _, name := range shownScores {
			fmt.Fprintf(w, "\t%s", columnText(v.shown(name)))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
