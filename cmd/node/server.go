package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/braidhq/braid/cmd/explanation"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/serving"
	identities "github.com/braidhq/braid/serving/identity"
	"github.com/braidhq/braid/serving/ingest"
	"github.com/braidhq/braid/serving/profiles"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (n *Node) startServer(options []kgo.Opt) (err error) {
	if n.producer, err = ingest.NewProducer(options...); err != nil {
		return err
	}
	n.cleanup(n.producer.Close)
	config, err := transforms.Secretive(n.options.Segment.Config())
	if err != nil {
		return err
	}
	incoming := ingest.Config{
		Topic: n.events, Route: config.RecordKey, Now: n.options.Now, Metrics: n.metrics, Logger: n.options.Logger, Limits: config.Limits,
		Table: func(name string) bool { _, ok := config.Tables[name]; return ok },
	}
	if len(config.Rules.Conceals()) > 0 {
		incoming.Conceal = config.Conceal
	}
	if len(n.options.Extensions.Events) > 0 {
		incoming.Apply = n.options.Extensions.Apply
	}
	events, err := ingest.New(incoming, n.producer)
	if err != nil {
		return err
	}
	routes := []serving.Route{{Pattern: profiles.Pattern, Handler: profiles.NewHandler(profiles.LookupFunc(n.lookup), n.options.Logger)}}
	logger := n.options.Logger
	routes = append(routes,
		serving.Route{Pattern: identities.PatternExplain, Handler: identities.ExplainHandler(n.explain, logger)},
		serving.Route{Pattern: identities.PatternRule, Handler: identities.RuleHandler(config.Rules, n.send, n.options.Now, logger)})
	routes = append(routes, n.batchRoutes()...)
	for _, pattern := range ingest.Patterns {
		routes = append(routes, serving.Route{Pattern: pattern, Handler: events})
	}
	n.server, err = serving.Listen(serving.Config{
		Listen: n.options.Deployment.Listen, AllowRemote: n.options.Deployment.ListenBeyondLoopback, Metrics: n.metrics, Logger: n.options.Logger,
		Checks: []serving.Check{{Name: "broker", Run: n.checkBroker}, {Name: "store", Run: n.checkStore}, {Name: "pipelines", Run: n.checkJobs}},
	}, routes...)
	return err
}

func (n *Node) checkBroker(ctx context.Context) error {
	if n.broker != nil {
		if err := n.broker.Check(); err != nil {
			return err
		}
	}
	return n.admin.Ping(ctx)
}

func (n *Node) checkStore(ctx context.Context) error {
	_, err := n.store.Get(ctx, [][]byte{{0}})
	return err
}

// checkJobs says that every pipeline runs, and without a bundle that fails.
func (n *Node) checkJobs(context.Context) error {
	jobs := n.running()
	if len(jobs) == 0 {
		return errors.New("not started yet")
	}
	for _, j := range jobs {
		if j.behind {
			continue
		}
		select {
		case <-j.engine.Done():
			if err := j.engine.Wait(); err != nil {
				return fmt.Errorf("%s has ended: %w", j.name, n.advise(err))
			}
			return fmt.Errorf("%s has ended", j.name)
		default:
		}
		for _, f := range j.engine.Failing() {
			return fmt.Errorf("%s has failed %d times since %s: %w", f.Step, f.Attempts, f.Since.Format("15:04:05"), n.advise(f.Err))
		}
	}
	return nil
}

// explain says how two identifiers stand to each other.
func (n *Node) explain(ctx context.Context, a, b string) ([]byte, error) {
	r, err := explanation.Relate(ctx, n.options.Segment, n.reader, a, b)
	if err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// send sends an event of the node's own.
func (n *Node) send(ctx context.Context, d event.Draft) error {
	r, err := event.New(d)
	if err != nil {
		return err
	}
	return n.producer.ProduceSync(ctx, topics.ToKafka(n.events, r)).FirstErr()
}

// lookup finds a profile by an identifier or, under the key "profile_id", by any profile ID ever given out.
func (n *Node) lookup(ctx context.Context, q profiles.Query) ([]byte, bool, error) {
	doc, err := n.reader.Find(ctx, q.Key, q.Value)
	if err != nil || doc == nil {
		var unknown *identity.RefusedError
		if errors.As(err, &unknown) {
			err = nil
		}
		return nil, false, err
	}
	now := n.options.Now().UnixMilli()
	if q.Explain {
		e, err := explanation.Explain(n.options.Segment, n.reader.Folder(), doc, now)
		if err != nil {
			return nil, false, err
		}
		body, err := json.Marshal(e)
		return body, err == nil, err
	}
	view, err := n.reader.Folder().Fold(doc, now)
	if err != nil {
		return nil, false, err
	}
	body, err := json.Marshal(view)
	return body, err == nil, err
}
