package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/batch"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Report is what the demo measured.
type Report struct {
	EventsIn         int                  `json:"events_in"`      // in the stream since the start of this run, and waiting from an earlier one
	EventsApplied    int                  `json:"events_applied"` // senders' retries included, which change nothing
	Duplicates       int                  `json:"duplicates"`
	Rejected         int                  `json:"rejected"`
	RejectedByReason map[event.Reason]int `json:"rejected_by_reason"` // over all runs, as known of the data
	EventsPerSecond  float64              `json:"events_per_second"`
	Latency          node.Latency         `json:"latency_ms"` // from broker append to profile commit
	Profiles         int                  `json:"profiles"`
	Merges           int                  `json:"merges"`
	Effects          int                  `json:"effects"`
	CustomersChecked int                  `json:"customers_checked"` // whose orders and revenue were compared with the invoices
	CustomersWrong   int                  `json:"customers_wrong"`
	DiskBytes        uint64               `json:"disk_bytes"`
	MemoryBytes      uint64               `json:"memory_bytes"`
	Seconds          float64              `json:"seconds"`
	Batch            *batch.Report        `json:"batch,omitempty"`  // the last batch run
	Verify           *batch.Verification  `json:"verify,omitempty"` // live profiles compared with all archived events

	sent  int
	wrong []string
}

// check reports what is not as it must be.
func (r *Report) check() error {
	if r.EventsApplied != r.EventsIn-r.Rejected {
		return fmt.Errorf("%w: %d events went in and %d were rejected, but %d applied", ErrInexact, r.EventsIn, r.Rejected, r.EventsApplied)
	}
	if r.EventsIn < r.sent {
		return fmt.Errorf("%w: %d events were acknowledged, but the stream has only %d", ErrInexact, r.sent, r.EventsIn)
	}
	if r.Verify != nil && r.Verify.Differences > 0 {
		return fmt.Errorf("%w: %d differences between live profiles and the archive: %s", ErrInexact, r.Verify.Differences, strings.Join(r.Verify.Examples, "; "))
	}
	if len(r.wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrInexact, strings.Join(r.wrong[:min(len(r.wrong), 5)], "; "))
	}
	return nil
}

func (s *show) report(b batched) (*Report, error) {
	counts := s.node.Figures().Counts()
	seconds := max(counts.Last.Sub(s.began).Seconds(), 0.001)
	s.source.mu.Lock()
	truth := s.source.truth
	s.source.mu.Unlock()
	r := &Report{
		EventsApplied: counts.Applied, Duplicates: counts.Duplicates, Rejected: counts.Rejected,
		RejectedByReason: truth.Rejected, EventsPerSecond: float64(counts.Applied+counts.Rejected) / seconds, Latency: s.node.Figures().Latency(),
		Merges: counts.Merged, Effects: counts.Effects, DiskBytes: diskBytes(s.data), MemoryBytes: residentBytes(), Seconds: seconds,
		sent: s.source.Sent(), Batch: b.run, Verify: b.verified,
	}
	ctx := context.Background()
	for _, err := range s.node.Reader().Documents(ctx) {
		if err != nil {
			return nil, err
		}
		r.Profiles++
	}
	records, err := s.since(ctx, s.before)
	if err != nil {
		return nil, err
	}
	r.EventsIn = records - counts.Markers
	s.checkTotals(ctx, truth, r)
	if s.options.Report != "" {
		raw, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(s.options.Report, append(raw, '\n'), 0o644); err != nil { // a report is for others to read
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	return r, nil
}

// checkTotals compares orders and revenue of everyone who ordered with the invoices, to the penny.
func (s *show) checkTotals(ctx context.Context, truth *shop.Truth, r *Report) {
	totals := truth.Totals()
	for _, who := range slices.Sorted(maps.Keys(totals)) {
		want := totals[who]
		key, value, _ := strings.Cut(who, ":")
		got := s.view(ctx, key, value)
		revenue, ok := new(big.Rat).SetString(got.shown("revenue"))
		expected, _ := new(big.Rat).SetString(want.Revenue.String())
		r.CustomersChecked++
		if !ok || got.shown("orders") != strconv.Itoa(want.Orders) || revenue.Cmp(expected) != 0 {
			r.CustomersWrong++
			r.wrong = append(r.wrong, fmt.Sprintf("%s has %s orders and %s, the invoices say %d and %s", who, got.shown("orders"), got.shown("revenue"), want.Orders, want.Revenue))
		}
	}
}

// applied reports whether every record of the stream is applied, and all that was held back is published.
func (s *show) applied(ctx context.Context) (bool, error) {
	pending, err := s.pending(ctx)
	if err != nil || pending > 0 {
		return false, err
	}
	_, due, err := s.node.NextDue(ctx)
	return !due, err
}

// pending returns the number of records in the stream that are not applied yet.
func (s *show) pending(ctx context.Context) (int, error) {
	progress, err := s.node.Progress(ctx)
	if err != nil {
		return 0, err
	}
	return s.since(ctx, progress)
}

// since returns the number of records in the stream behind the given progress.
func (s *show) since(ctx context.Context, progress map[int32]update.Progress) (int, error) {
	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ends, err := s.admin.ListEndOffsets(limit, s.node.Events())
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("end of the stream: %w", err)
	}
	records := 0
	ends.Each(func(o kadm.ListedOffset) { records += int(o.Offset - progress[o.Partition].NextOffset) })
	return records, nil
}
