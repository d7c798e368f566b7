package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/kafkaio"
)

// reachTimeout is how long a command waits for a broker to answer at all.
const reachTimeout = 10 * time.Second

// ReachKafka returns how to reach the stream: the cluster, the embedded broker of the node that runs on the data directory, or one that
// is started for the time of the command.
func (p *Program) ReachKafka(ctx context.Context, c *deployment.Config) (client kafkaio.Client, release func(), err error) {
	if c.Kafka.Embedded == nil {
		return c.Client(), func() {}, ping(ctx, c.Client(), reachTimeout)
	}
	node, running, err := c.Published()
	if err != nil {
		p.Logger.Warn("the running node cannot be found", "error", err)
	}
	if running && len(node.Kafka) > 0 && ping(ctx, c.Client(node.Kafka...), 2*time.Second) == nil {
		return c.Client(node.Kafka...), func() {}, nil
	}
	lock, err := embedded.LockDirectory(c.Data)
	if err != nil {
		return client, nil, err
	}
	broker, err := embedded.StartBroker(ctx, c.Broker(p.Logger))
	if err != nil {
		return client, nil, errors.Join(err, lock.Release())
	}
	return c.Client(broker.Addresses()...), func() {
		if err := errors.Join(broker.Close(), lock.Release()); err != nil {
			p.Logger.Warn("the embedded broker did not close well", "error", err)
		}
	}, nil
}

// ping asks a cluster whether it is there.
func ping(ctx context.Context, client kafkaio.Client, limit time.Duration) error {
	options, err := client.Options()
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(append(options, kgo.DisableClientMetrics())...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer cl.Close()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := cl.Ping(limited); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("no broker of %v answers: %w", client.Brokers, err)
	}
	return nil
}
