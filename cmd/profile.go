package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/explanation"
	"github.com/braidhq/braid/serving/problem"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

func (p *program) profileCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "profile",
		Short:   "Look at profiles",
		Example: "  braid profile get email ann@example.com\n  braid profile get customer_id 17850 --explain",
		Args:    p.unknownCommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(p.profileGetCommand())
	return c
}

func (p *program) profileGetCommand() *cobra.Command {
	var asJSON, explain bool
	var address string
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
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := p.findProfile(c.Context(), question{key: args[0], value: args[1], explain: explain, url: address})
			if err != nil {
				return err
			}
			return p.printProfile(c.OutOrStdout(), raw, explain, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print for programs: what the HTTP API answers")
	c.Flags().BoolVar(&explain, "explain", false, "show links, cells and epochs")
	c.Flags().StringVar(&address, "url", "", "ask the node at this address and no other (default: the one that runs on the data directory)")
	return c
}

// question is what profile get asks.
type question struct {
	key, value string
	explain    bool
	url        string
}

// errNobody says that no node answers at an address.
var errNobody = errors.New("no node answers")

// findProfile returns the profile, or its explanation, as JSON.
func (p *program) findProfile(ctx context.Context, q question) ([]byte, error) {
	if q.url != "" {
		return ask(ctx, q.url, q)
	}
	config, err := p.loadDeployment()
	if err != nil {
		return nil, err
	}
	for _, address := range nodeAddresses(config) {
		raw, err := ask(ctx, address, q)
		if !errors.Is(err, errNobody) {
			return raw, err
		}
	}
	if !config.StoreEmbedded() {
		return nil, fmt.Errorf("%w at %s; start one with 'braid run', or name it with --url", errNobody, strings.Join(nodeAddresses(config), " or "))
	}
	return p.readProfile(ctx, config, q)
}

// nodeAddresses lists where the node of a deployment may answer.
func nodeAddresses(config *deployment.Config) (urls []string) {
	if node, ok, err := config.Published(); ok && err == nil && node.HTTP != "" {
		urls = append(urls, "http://"+node.HTTP)
	}
	if host, port, err := net.SplitHostPort(config.Listen); err == nil && port != "0" {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		if u := "http://" + net.JoinHostPort(host, port); len(urls) == 0 || urls[0] != u {
			urls = append(urls, u)
		}
	}
	return urls
}

// ask asks a node.
func ask(ctx context.Context, base string, q question) ([]byte, error) {
	target := strings.TrimRight(base, "/") + "/v1/profiles/" + url.PathEscape(q.key) + "/" + url.PathEscape(q.value)
	if u, err := url.Parse(target); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{"braid profile get", fmt.Errorf("--url %q is no address such as http://127.0.0.1:8080", base)}
	}
	if q.explain {
		target += "?explain=true"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", errNobody, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", base, err)
	}
	var details problem.Details
	switch kind := answer.Header.Get("Content-Type"); {
	case answer.StatusCode == http.StatusOK && strings.HasPrefix(kind, "application/json") && json.Valid(body):
		return body, nil
	case kind == problem.ContentType && json.Unmarshal(body, &details) == nil && details.Code == "unknown_profile":
		return nil, notFoundError{"no profile has this identifier"}
	case kind == problem.ContentType && details.Code != "":
		return nil, fmt.Errorf("the node at %s: %w", base, details)
	}
	return nil, fmt.Errorf("what answers at %s is no braid node (%s); name the right address with --url", base, answer.Status)
}

// readProfile reads the data directory.
func (p *program) readProfile(ctx context.Context, config *deployment.Config, q question) (raw []byte, err error) {
	s, err := p.loadSegment()
	if err != nil {
		return nil, err
	}
	store, err := openStore(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("no node runs, and the store cannot be read: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	reader := update.NewReader(s.Config(), store)
	document, err := reader.Find(ctx, q.key, q.value)
	var refused *identity.RefusedError
	switch {
	case errors.As(err, &refused):
		return nil, notFoundError{refused.Error()}
	case err != nil:
		return nil, err
	case document == nil:
		return nil, notFoundError{"no profile has this identifier"}
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

// openStore opens the store of a deployment without making a new one.
func openStore(ctx context.Context, config *deployment.Config) (update.Store, error) {
	u, err := url.Parse(config.StoreURL())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if config.StoreEmbedded() {
		if _, err := os.Stat(u.Path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no store in %s yet; 'braid run' makes it, or name another directory with --data", u.Path)
		}
	}
	return update.OpenStore(ctx, u.String())
}

func (p *program) printProfile(w io.Writer, raw []byte, explain, asJSON bool) error {
	if asJSON {
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
		p.logger.Warn("the node does not explain profiles; it is of another version")
	}
	var kinds map[string]string
	if s, err := p.loadSegment(); err == nil { // only to show more
		kinds = map[string]string{}
		for name, definition := range s.File.Attributes {
			kinds[name] = definition.Kind
		}
	}
	return explanation.WriteProfile(w, raw, kinds)
}
