package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/serving/problem"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// Question is what a node is asked or, when none runs, what its store is.
type Question struct {
	Node string // address of the node to ask and no other; empty: the one that runs on the data directory
	Path string // of the HTTP API, such as /v1/profiles/email/x
	// Read answers from the store of a deployment whose node does not run, as the node would.
	Read func(ctx context.Context, config *deployment.Config, s *segment.Segment, store update.Store) ([]byte, error)
}

// AddTo gives a command the flag --url.
func (q *Question) AddTo(c *cobra.Command) {
	c.Flags().StringVar(&q.Node, "url", "", "ask the node at this address and no other (default: the one that runs on the data directory)")
}

// ErrNoNode says that no node answers at an address.
var ErrNoNode = errors.New("no node answers")

// Ask returns the answer to a question as JSON. What is not there is a NotFoundError.
func (p *Program) Ask(c *cobra.Command, q Question) ([]byte, error) {
	ctx := c.Context()
	raw, config, err := p.reach(c, http.MethodGet, q, nil)
	if config == nil || !errors.Is(err, ErrNoNode) || !config.StoreEmbedded() {
		return raw, err
	}
	s, err := p.LoadSegment()
	if err != nil {
		return nil, err
	}
	store, err := OpenStore(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("no node runs, and the store cannot be read: %w", err)
	}
	raw, err = q.Read(ctx, config, s, store)
	return raw, errors.Join(err, store.Close())
}

// Tell sends a body of JSON to the node that a question would go to, and returns its answer. Without a node nothing is told.
func (p *Program) Tell(c *cobra.Command, q Question, body []byte) ([]byte, error) {
	raw, _, err := p.reach(c, http.MethodPost, q, body)
	return raw, err
}

// reach sends a request to the node that a question names, or to the one that runs on the data directory; then it returns the deployment
// as well. That none answers is ErrNoNode.
func (p *Program) reach(c *cobra.Command, method string, q Question, body []byte) ([]byte, *deployment.Config, error) {
	if q.Node != "" {
		raw, err := exchange(c, method, q.Node, q.Path, body)
		return raw, nil, err
	}
	config, err := p.LoadDeployment()
	if err != nil {
		return nil, nil, err
	}
	addresses := nodeAddresses(config)
	for _, address := range addresses {
		raw, err := exchange(c, method, address, q.Path, body)
		if !errors.Is(err, ErrNoNode) {
			return raw, config, err
		}
	}
	return nil, config, fmt.Errorf("%w at %s; start one with 'braid run', or name it with --url", ErrNoNode, strings.Join(addresses, " or "))
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

// exchange sends a request to a node and returns the answer.
func exchange(c *cobra.Command, method, base, path string, sent []byte) ([]byte, error) {
	target := strings.TrimRight(base, "/") + path
	if u, err := url.Parse(target); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, Usage(c, fmt.Errorf("--url %q is no address such as http://127.0.0.1:8080", base))
	}
	ctx := c.Context()
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(sent))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", base, err)
	}
	var details problem.Details
	switch kind := answer.Header.Get("Content-Type"); {
	case answer.StatusCode/100 == 2 && strings.HasPrefix(kind, "application/json") && json.Valid(body):
		return body, nil
	case kind == problem.ContentType && json.Unmarshal(body, &details) == nil && details.Code == "unknown_profile":
		return nil, NotFoundError{details.Detail}
	case kind == problem.ContentType && details.Code != "":
		return nil, fmt.Errorf("the node at %s: %w", base, details)
	}
	return nil, fmt.Errorf("what answers at %s is no braid node (%s); name the right address with --url", base, answer.Status)
}
