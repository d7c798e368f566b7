package operator

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/operator/replay"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/strict"
)

func replayCommand(p *command.Program) *cobra.Command {
	var reasons []string
	var since string
	var dryRun bool
	var format command.Format
	c := &cobra.Command{
		Use:   "replay-rejected",
		Short: "Send rejected events again, after what rejected them was put right",
		Long: `Send rejected events again, after what rejected them was put right: a table declared in segment.yaml, a limit raised.

The events go back where they came from, with their receive time kept and their old position in the header replay_of. What was sent is
noted: a second run sends nothing twice. An event that is rejected once more is another record of the topic, which the next run takes
up. Events larger than 1 MiB are not kept whole, so they cannot be sent; they are counted and their positions listed.`,
		Example: `  braid replay-rejected --dry-run
  braid replay-rejected --reason unknown_table
  braid replay-rejected --since 24h
  braid replay-rejected --since 2026-11-20T08:00:00Z --json`,
		Args: command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return command.Usage(c, err)
			}
			config, s, err := p.Load()
			if err != nil {
				return err
			}
			client, release, err := p.ReachKafka(c.Context(), config)
			if err != nil {
				return err
			}
			defer release()
			options := replay.Options{Client: client, Segment: s.Name, Since: from, DryRun: dryRun, Route: s.Config().RecordKey}
			for _, reason := range reasons {
				options.Reasons = append(options.Reasons, event.Reason(reason))
			}
			last := time.Now()
			options.Progress = func(s replay.Summary) {
				if time.Since(last) >= time.Second {
					last = time.Now()
					p.Logger.Info("replaying", "seen", s.Seen, "of", s.Total, "sent", s.Sent)
				}
			}
			summary, err := replay.Run(c.Context(), options)
			if printed := format.Print(c.OutOrStdout(), replaySummary(summary)); err == nil {
				err = printed
			}
			return err
		},
	}
	c.Flags().StringSliceVar(&reasons, "reason", nil, "only those rejected for this reason; may be repeated")
	c.Flags().StringVar(&since, "since", "", "only those rejected since then: 24h, 7d or 2026-11-20T08:00:00Z")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "count what would be sent, and send nothing")
	format.AddTo(c)
	return c
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := strict.ParseDuration(text); err == nil {
		return now.Add(-d.Std()), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--since %q is neither a duration such as 24h or 7d nor a time such as 2026-11-20T08:00:00Z", text)
	}
	return t, nil
}

// replaySummary is what replay-rejected prints.
type replaySummary replay.Summary

// WriteText implements command.Result.
func (s replaySummary) WriteText(w io.Writer) error {
	verb := "sent again"
	if s.DryRun {
		verb = "would be sent again"
	}
	fmt.Fprintf(w, "%d of %d rejected events %s\n", s.Sent, s.Seen, verb)
	for _, reason := range slices.Sorted(maps.Keys(s.ByReason)) {
		fmt.Fprintf(w, "  %-20s %d\n", reason, s.ByReason[reason])
	}
	for _, line := range []struct {
		n    int64
		text string
	}{
		{s.Before, "were sent again by an earlier run"},
		{s.Filtered, "were rejected for other reasons"},
		{s.Cut, "cannot be sent: they were larger than 1 MiB and are not kept whole"},
		{s.Damaged, "cannot be sent: they cannot be read"},
	} {
		if line.n > 0 {
			fmt.Fprintf(w, "%d %s\n", line.n, line.text)
		}
	}
	if len(s.Positions) > 0 {
		fmt.Fprintf(w, "not sent: %s\n", strings.Join(s.Positions, " "))
	}
	return nil
}
