package steward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/explanation"
	identities "github.com/braidhq/braid/serving/identity"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

func identityCommand(p *command.Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "identity",
		Short: "See why identifiers belong together, and decide about it",
		Long: `See why identifiers belong together, and decide about it.

An identifier is written KEY:VALUE, for example email:ann@example.com; KEY is one of the stitching keys of segment.yaml. Decisions are
events like all others: they lie in the stream, a replay repeats them, and they can be taken back.`,
		Example: `  braid identity explain email:ann@example.com cookie:8f3e
  braid identity show customer_id:17850
  braid identity unlink email:ann@example.com cookie:8f3e --reason 'support case 4711'`,
		Args: command.Subcommands,
		RunE: command.Help,
	}
	c.AddCommand(
		identityExplainCommand(p), identityShowCommand(p), identitySimulateCommand(p),
		ruleCommand(p, identity.Unlink, "Part two identifiers: the latest link between them goes",
			`Part two identifiers that share a profile: of the links that hold them together the latest goes, and more if that is not enough. Each
side keeps its own history and attributes. Links that are seen again afterwards join again; forbid parts them for good.`),
		ruleCommand(p, identity.Forbid, "Part two identifiers for good: they never share a profile",
			`Part two identifiers for good: they never share a profile, whatever events say, until that is allowed. Neither has to be known yet.`),
		ruleCommand(p, identity.Allow, "Take a forbid back",
			`Take a forbid back: the two identifiers share a profile again if links join them.`),
		identityImportCommand(p), identityRecheckCommand(p),
	)
	return c
}

func identityExplainCommand(p *command.Program) *cobra.Command {
	var format command.Format
	var q command.Question
	c := &cobra.Command{
		Use:   "explain A B",
		Short: "Say why two identifiers share a profile, or do not",
		Long: `Say why two identifiers share a profile: the chain of links from the one to the other, each with the event, the time and the rule
that counts. If they do not: which links between the two profiles were refused, and why.

The running node is asked. When none runs and the store is embedded, the data directory itself is read.`,
		Example: "  braid identity explain email:ann@example.com cookie:8f3e\n  braid identity explain customer_id:1 customer_id:2 --json",
		Args:    command.Arguments(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error {
			q.Path = "/v1/identity/explain?" + url.Values{"a": {args[0]}, "b": {args[1]}}.Encode()
			q.Read = func(ctx context.Context, config *deployment.Config, s *segment.Segment, store update.Store) ([]byte, error) {
				core, err := command.CoreConfig(config, s)
				if err != nil {
					return nil, err
				}
				r, err := explanation.Relate(ctx, s, update.NewReader(core, store), args[0], args[1])
				if err != nil {
					return nil, err
				}
				return json.Marshal(r)
			}
			raw, err := p.Ask(c, q)
			if err != nil {
				return err
			}
			r, err := explanation.ParseRelation(raw)
			if err != nil {
				return err
			}
			return format.Print(c.OutOrStdout(), r)
		},
	}
	format.AddTo(c)
	q.AddTo(c)
	return c
}

func identityShowCommand(p *command.Program) *cobra.Command {
	var dot bool
	var q command.Question
	c := &cobra.Command{
		Use:   "show KEY:VALUE",
		Short: "Draw what holds a profile together",
		Long: `Draw the tree of links that holds the profile with an identifier together: below each identifier those that hang on it, with the event
and the time that count. Links of other profiles that were refused stand below it.

With --dot the picture is written for Graphviz.`,
		Example: "  braid identity show customer_id:17850\n  braid identity show email:ann@example.com --dot | dot -Tsvg > ann.svg",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := identity.ParseIdentifier(args[0])
			if err != nil {
				return command.Usage(c, err)
			}
			asked := question{key: id.Key, value: id.Value, explain: true}
			q.Path, q.Read = asked.path(), asked.read
			raw, err := p.Ask(c, q)
			if err != nil {
				return err
			}
			e, err := explanation.Parse(raw)
			if err != nil {
				return err
			}
			if dot {
				return e.WriteDot(c.OutOrStdout())
			}
			return e.WriteTree(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&dot, "dot", false, "write it for Graphviz")
	q.AddTo(c)
	return c
}

func ruleCommand(p *command.Program, kind identity.RulingKind, short, long string) *cobra.Command {
	var reason string
	var format command.Format
	var q command.Question
	c := &cobra.Command{
		Use:     string(kind) + " A B",
		Short:   short,
		Long:    long + "\n\nThe decision goes into the stream through the running node and is applied like any event.",
		Example: fmt.Sprintf("  braid identity %s email:ann@example.com cookie:8f3e --reason 'support case 4711'", kind),
		Args:    command.Arguments(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := json.Marshal(update.RulingProperties{Ruling: kind, A: args[0], B: args[1], Reason: reason})
			if err != nil {
				return err
			}
			q.Path = "/v1/identity/rulings"
			raw, err := p.Tell(c, q, body)
			if err != nil {
				return err
			}
			done := ruled{a: args[0], b: args[1]}
			if err := json.Unmarshal(raw, &done); err != nil {
				return fmt.Errorf("answer of the node: %w", err)
			}
			return format.Print(c.OutOrStdout(), done)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for people; it is kept with the event")
	format.AddTo(c)
	q.AddTo(c)
	return c
}

// ruled is a ruling that is in the stream.
type ruled struct {
	identities.Ruled
	a, b string
}

// WriteText says so, and how to see what came of it.
func (r ruled) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "In the stream as event %s. What came of it: braid identity explain %s %s\n", r.EventID, r.a, r.b)
	return err
}

func identityRecheckCommand(p *command.Program) *cobra.Command {
	var format command.Format
	c := &cobra.Command{
		Use:   "recheck",
		Short: "Settle all identifiers anew, by all links at once",
		Long: `Settle all identifiers anew, by all links and decisions that the store holds, and correct what differs.

Order of arrival does not matter for who belongs together, with one exception: where something was cut off and more than a hundred
profiles hang together by refused links, only those at hand are looked at, and the rest waits for this. All identifiers and links are
held in memory. With the embedded store the node must not run; it sends what has changed when it starts.`,
		Args: command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			config, s, err := p.Load()
			if err != nil {
				return err
			}
			store, err := command.OpenStore(c.Context(), config)
			if err != nil {
				return err
			}
			core, err := command.CoreConfig(config, s)
			if err != nil {
				return errors.Join(err, store.Close())
			}
			done, err := update.Recheck(c.Context(), core, store, nil)
			if err = errors.Join(err, store.Close()); err != nil {
				return err
			}
			return format.Print(c.OutOrStdout(), rechecked{done})
		},
	}
	format.AddTo(c)
	return c
}

// rechecked is what a recheck found.
type rechecked struct{ update.Rechecked }

// WriteText prints it for people.
func (r rechecked) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%d profiles, %d identifiers, %d links and %d rulings looked at.\n", r.Documents, r.Identifiers, r.Links, r.Rulings)
	if len(r.Changes) == 0 && r.Unsettled == 0 {
		_, err := fmt.Fprintln(w, "All is as it should be.")
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Changes)) {
		fmt.Fprintf(w, "  %s: %d\n", kind, r.Changes[kind])
	}
	if r.Unsettled > 0 {
		fmt.Fprintf(w, "%d profiles changed meanwhile; run it again.\n", r.Unsettled)
	}
	return nil
}
