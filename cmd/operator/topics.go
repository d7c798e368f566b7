package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/update"
)

func topicsCommand(p *command.Program) *cobra.Command {
	var create, asJSON bool
	c := &cobra.Command{
		Use:   "topics",
		Short: "Show the topics of the segment and how they differ from the plan, or create them",
		Long: `Show every Kafka topic of the segment with its settings, whether it is there, and where it differs from the plan.

With --create those that are missing are created; existing ones are never changed. 'braid run' does the same when it starts.`,
		Example: `  braid topics
  braid topics --create --config production.yaml
  braid topics --json
  braid topics accept events`,
		Args: command.Subcommands,
		RunE: func(c *cobra.Command, _ []string) error {
			config, s, err := p.Load()
			if err != nil {
				return err
			}
			specs, err := topics.Plan(s.Name, config.TopicOptions())
			if err != nil {
				return err
			}
			report, err := compareTopics(c.Context(), p, config, specs, create)
			if err != nil {
				return err
			}
			if asJSON {
				return topics.WriteJSON(c.OutOrStdout(), specs, &report)
			}
			if err := topics.WriteTable(c.OutOrStdout(), specs, &report); err != nil {
				return err
			}
			if n := len(report.Missing); n > 0 {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%d missing; braid topics --create creates them\n", n)
			}
			return err
		},
	}
	c.Flags().BoolVar(&create, "create", false, "create the topics that are missing")
	c.Flags().BoolVar(&asJSON, "json", false, "print for programs")
	c.AddCommand(acceptCommand(p))
	return c
}

// compareTopics compares the plan with what is there, or makes it so.
func compareTopics(ctx context.Context, p *command.Program, config *deployment.Config, specs []topics.Spec, create bool) (topics.Report, error) {
	if _, err := os.Stat(config.KafkaDir()); config.Kafka.Embedded != nil && !create && errors.Is(err, os.ErrNotExist) {
		var none topics.Report // looking does not make a data directory
		for _, spec := range specs {
			none.Missing = append(none.Missing, spec.Name)
		}
		return none, nil
	}
	client, release, err := p.ReachKafka(ctx, config)
	if err != nil {
		return topics.Report{}, err
	}
	defer release()
	admin, err := administrate(client)
	if err != nil {
		return topics.Report{}, err
	}
	defer admin.Close()
	if create {
		return topics.Ensure(ctx, admin, specs)
	}
	return topics.Compare(ctx, admin, specs)
}

// topicComparison is compareTopics as doctor takes it.
func topicComparison(p *command.Program) func(context.Context, *deployment.Config, []topics.Spec, bool) (topics.Report, error) {
	return func(ctx context.Context, config *deployment.Config, specs []topics.Spec, create bool) (topics.Report, error) {
		return compareTopics(ctx, p, config, specs, create)
	}
}

// administrate returns an administrator's client.
func administrate(client kafkaio.Client) (*kadm.Client, error) {
	options, err := client.Options()
	if err != nil {
		return nil, err
	}
	return kadm.NewOptClient(append(options, kgo.DisableClientMetrics())...)
}

func acceptCommand(p *command.Program) *cobra.Command {
	return &cobra.Command{
		Use:   "accept TOPIC",
		Short: "Go on with a topic that was created again or lost records",
		Long: `Go on with a topic that was deleted and created again, or that lost records.

The pipelines stop when they find another topic under the name of the one they have read, for the two have nothing to do with each
other. Accepting the new one forgets how far the old one was applied: it will be applied from its beginning. They also stop when
records are gone that were to be applied next, or the last ones that were. Accepting that makes them go on with what is there.
Profiles stay as they are. Stop the node first.

TOPIC is a full name, or its last part, such as events.`,
		Example: "  braid topics accept events\n  braid topics accept braid.retail.events",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			config, s, err := p.Load()
			if err != nil {
				return err
			}
			topic := args[0]
			if !strings.Contains(topic, ".") {
				topic = topics.Name(s.Name, topics.Kind(topic))
			}
			store, err := command.OpenStore(c.Context(), config)
			if err != nil {
				return err
			}
			n, err := acceptTopic(c.Context(), p, config, store, s.Name, topic)
			if err := errors.Join(err, store.Close()); err != nil {
				return err
			}
			if n == 0 {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s: it can be applied from where it stands, so there is nothing to accept\n", topic)
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: accepted; %d of its partitions go on with what is there now\n", topic, n)
			return err
		},
	}
}

func acceptTopic(ctx context.Context, p *command.Program, config *deployment.Config, store update.Store, segment, topic string) (int, error) {
	client, release, err := p.ReachKafka(ctx, config)
	if err != nil {
		return 0, err
	}
	defer release()
	admin, err := administrate(client)
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	log, err := topics.Log(ctx, admin, topic)
	if err != nil {
		return 0, err
	}
	return update.AcceptTopic(ctx, store, segment, topic, log)
}
