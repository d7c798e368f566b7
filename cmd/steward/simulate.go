package steward

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/explanation"
	"github.com/braidhq/braid/cmd/steward/simulation"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
)

func identitySimulateCommand(p *command.Program) *cobra.Command {
	var report string
	var format command.Format
	c := &cobra.Command{
		Use:   "simulate FILE",
		Short: "Say what other rules would make of the recorded events",
		Long: `Say what other rules would make of the recorded events: FILE is a segment file as it could be. All events of the topic are applied under
the rules of --segment and under those of FILE, in memory, and the profiles compared: which would merge, which would split, which
links and identifiers would be refused. Nothing is changed.`,
		Example: "  braid identity simulate segment.new.yaml\n  braid identity simulate segment.new.yaml --json",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			config, now, err := p.Load()
			if err != nil {
				return err
			}
			text, err := os.ReadFile(args[0])
			if err != nil {
				return command.ConfigurationError{Err: err}
			}
			then, err := segment.Parse(args[0], text)
			if err != nil {
				return command.ConfigurationError{Err: err}
			}
			client, release, err := p.ReachKafka(c.Context(), config)
			if err != nil {
				return err
			}
			defer release()
			s := simulation.New(now, then)
			done, last := 0, time.Now()
			err = simulation.ReadTopic(c.Context(), client, topics.Name(now.Name, topics.Events), func(r event.Record, total int64) error {
				if done++; time.Since(last) >= time.Second {
					last = time.Now()
					p.Logger.Info("simulating", "records", done, "of", total)
				}
				return s.Add(c.Context(), r)
			})
			if err != nil {
				return err
			}
			d, err := s.Difference(c.Context())
			if err != nil {
				return err
			}
			if report != "" {
				if err := command.WriteReport(report, d); err != nil {
					return err
				}
			}
			return format.Print(c.OutOrStdout(), difference{d})
		},
	}
	c.Flags().StringVar(&report, "report", "", "file for the figures, as JSON")
	format.AddTo(c)
	return c
}

// difference is what a simulation found.
type difference struct{ *simulation.Difference }

// WriteText prints it for people.
func (d difference) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(what string, now, then int) {
		fmt.Fprintf(&b, "%-30s %10d %10d", what, now, then)
		if then != now {
			fmt.Fprintf(&b, "  %+d", then-now)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%-30s %10s %10s\n", "", "NOW", "THEN")
	line("events that count", d.Now.Events, d.Then.Events)
	line("profiles", d.Now.Profiles, d.Then.Profiles)
	line("identifiers", d.Now.Identifiers, d.Then.Identifiers)
	line("refused links", d.Now.Links, d.Then.Links)
	for _, reason := range keysOf(d.Now.Refused, d.Then.Refused) {
		line("refused, "+string(reason), d.Now.Refused[reason], d.Then.Refused[reason])
	}
	for _, reason := range keysOf(d.Now.Rejected, d.Then.Rejected) {
		line("rejected, "+string(reason), d.Now.Rejected[reason], d.Then.Rejected[reason])
	}
	fmt.Fprintf(&b, "\n%d profiles would be made of several, %d would fall apart, %d identifiers would be lost, %d gained.\n", d.Merges, d.Splits, d.Lost, d.Gained)
	for _, list := range []struct {
		title   string
		changes []simulation.Change
		total   int
	}{{"WOULD MERGE", d.Merging, d.Merges}, {"WOULD FALL APART", d.Parting, d.Splits}} {
		if list.total == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s", list.title)
		if list.total > len(list.changes) {
			fmt.Fprintf(&b, " (the %d with most events)", len(list.changes))
		}
		b.WriteByte('\n')
		for _, c := range list.changes {
			others := strings.Join(c.Others, ", ")
			if more := c.Parts - len(c.Others); more > 0 {
				others += fmt.Sprintf(" and %d more", more)
			}
			fmt.Fprintf(&b, "  %s, %d identifiers, %d events: %s\n", explanation.Printable(c.Name), c.Identifiers, c.Events, explanation.Printable(others))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// keysOf returns the keys of both maps, ascending.
func keysOf[K ~string](a, b map[K]int) []K {
	var keys []K
	for _, m := range []map[K]int{a, b} {
		for k := range m {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	return keys
}
