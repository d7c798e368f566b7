package steward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/explanation"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

func profileCommand(p *command.Program) *cobra.Command {
	c := &cobra.Command{
		Use:     "profile",
		Short:   "Look at profiles",
		Example: "  braid profile get email ann@example.com\n  braid profile get customer_id 17850 --explain",
		Args:    command.Subcommands,
		RunE:    command.Help,
	}
	c.AddCommand(profileGetCommand(p))
	return c
}

func profileGetCommand(p *command.Program) *cobra.Command {
	var explain bool
	var format command.Format
	var q command.Question
	c := &cobra.Command{
		Use:   "get KEY VALUE",
		Short: "Print the profile of the person with an identifier",
		Long: `Print the profile of the person with an identifier: KEY is one of the stitching keys of segment.yaml, or profile_id, and VALUE is
normalized by the key's rules.

The running node is asked. When none runs and the store is embedded, the data directory itself is read.

With --explain it says why the identifiers belong together, and what each cell (all events that carried exactly one set of
identifiers) contributed in each epoch.`,
		Example: `  braid profile get customer_id 17850
  braid profile get email 'Ann@Example.com ' --explain
  braid profile get profile_id 4oyv2m7s3zqbxk5hlwcnd6tgpe --json
  braid profile get customer_id 17850 --url http://127.0.0.1:9000`,
		Args: command.Arguments(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error {
			asked := question{key: args[0], value: args[1], explain: explain}
			q.Path, q.Read = asked.path(), asked.read
			raw, err := p.Ask(c, q)
			if err != nil {
				return err
			}
			return printProfile(c.OutOrStdout(), p, raw, explain, format)
		},
	}
	format.AddTo(c)
	c.Flags().BoolVar(&explain, "explain", false, "show links, cells and epochs")
	q.AddTo(c)
	return c
}

// question is what profile get asks.
type question struct {
	key, value string
	explain    bool
}

// path is where the HTTP API answers it.
func (q question) path() string {
	path := "/v1/profiles/" + url.PathEscape(q.key) + "/" + url.PathEscape(q.value)
	if q.explain {
		path += "?explain=true"
	}
	return path
}

// read answers it from a store: the profile, or its explanation, as JSON.
func (q question) read(ctx context.Context, config *deployment.Config, s *segment.Segment, store update.Store) ([]byte, error) {
	core, err := command.CoreConfig(config, s)
	if err != nil {
		return nil, err
	}
	reader := update.NewReader(core, store)
	document, err := reader.Find(ctx, q.key, q.value)
	var refused *identity.RefusedError
	switch {
	case errors.As(err, &refused):
		return nil, command.NotFoundError{What: refused.Error()}
	case err != nil:
		return nil, err
	case document == nil:
		return nil, command.NotFoundError{What: "no profile has this identifier"}
	}
	now := time.Now().UnixMilli()
	if q.explain {
		e, err := explanation.Explain(s, reader.Folder(), document, now)
		if err != nil {
			return nil, err
		}
		return json.Marshal(e)
	}
	view, err := reader.Folder().Fold(document, now)
	if err != nil {
		return nil, err
	}
	return view.AppendJSON(nil), nil
}

func printProfile(w io.Writer, p *command.Program, raw []byte, explain bool, format command.Format) error {
	if format.JSON { // just as the HTTP API answers it
		_, err := fmt.Fprintf(w, "%s\n", strings.TrimSpace(string(raw)))
		return err
	}
	if explain {
		e, err := explanation.Parse(raw)
		if err != nil {
			return err
		}
		if len(e.Cells) > 0 {
			return e.Write(w)
		}
		p.Logger.Warn("the node does not explain profiles; it is of another version")
	}
	var kinds map[string]string
	if s, err := p.LoadSegment(); err == nil { // only to show more
		kinds = map[string]string{}
		for name, definition := range s.File.Attributes {
			kinds[name] = definition.Kind
		}
	}
	return explanation.WriteProfile(w, raw, kinds)
}
