package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/extension"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/transforms/segment"
)

// program is what all commands share: the global flags, and what they lead to.
type program struct {
	extensions extension.Set
	stderr     io.Writer
	logger     *slog.Logger

	config, segmentFile, data string
	logLevel, logFormat       string
}

func (p *program) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&p.config, "config", "", "where things run (default ./braid.yaml; without it everything is embedded)")
	f.StringVar(&p.segmentFile, "segment", "segment.yaml", "what is computed")
	f.StringVar(&p.data, "data", "", "data directory, instead of the one in braid.yaml")
	f.StringVar(&p.logLevel, "log-level", "info", "least level of the log: debug, info, warn or error")
	f.StringVar(&p.logFormat, "log-format", "text", "form of the log on standard error: text or json")
}

// startLog makes the logger that the global flags ask for the default one.
func (p *program) startLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(p.logLevel)); err != nil {
		return usageError{"braid", fmt.Errorf("--log-level %q is none of debug, info, warn, error", p.logLevel)}
	}
	options := &slog.HandlerOptions{Level: level}
	switch p.logFormat {
	case "text":
		p.logger = slog.New(slog.NewTextHandler(p.stderr, options))
	case "json":
		p.logger = slog.New(slog.NewJSONHandler(p.stderr, options))
	default:
		return usageError{"braid", fmt.Errorf("--log-format %q is neither text nor json", p.logFormat)}
	}
	slog.SetDefault(p.logger)
	return nil
}

// deploymentFile returns the path of braid.yaml, or "" when there is none and none was named.
func (p *program) deploymentFile() string {
	if p.config != "" {
		return p.config
	}
	if _, err := os.Stat(deployment.File); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return deployment.File
}

// loadDeployment returns what braid.yaml and --data say. The error leads to ExitConfiguration.
func (p *program) loadDeployment() (*deployment.Config, error) {
	c := deployment.Default()
	if path := p.deploymentFile(); path != "" {
		var err error
		if c, err = deployment.Load(path); err != nil {
			return nil, configurationError{err}
		}
	}
	if p.data != "" {
		c.Data = p.data
	}
	return c, nil
}

// loadSegment returns what segment.yaml says. The error leads to ExitConfiguration.
func (p *program) loadSegment() (*segment.Segment, error) {
	data, err := os.ReadFile(p.segmentFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; name the file with --segment", err)
	}
	if err != nil {
		return nil, configurationError{fmt.Errorf("segment: %w", err)}
	}
	s, err := segment.Parse(p.segmentFile, data)
	if err != nil {
		return nil, configurationError{err}
	}
	return s, nil
}

// load returns what both files say.
func (p *program) load() (*deployment.Config, *segment.Segment, error) {
	c, err := p.loadDeployment()
	if err != nil {
		return nil, nil, err
	}
	s, err := p.loadSegment()
	return c, s, err
}

// reachTimeout is how long a command waits for a broker to answer at all.
const reachTimeout = 10 * time.Second

// reachKafka returns how to reach the stream: the cluster, the embedded broker of the node that runs on the data directory, or one that
// is started for the time of the command.
func (p *program) reachKafka(ctx context.Context, c *deployment.Config) (client kafkaio.Client, release func(), err error) {
	if c.Kafka.Embedded == nil {
		return c.Client(), func() {}, ping(ctx, c.Client(), reachTimeout)
	}
	node, running, err := c.Published()
	if err != nil {
		p.logger.Warn("the running node cannot be found", "error", err)
	}
	if running && len(node.Kafka) > 0 && ping(ctx, c.Client(node.Kafka...), 2*time.Second) == nil {
		return c.Client(node.Kafka...), func() {}, nil
	}
	lock, err := embedded.LockDirectory(c.Data)
	if err != nil {
		return client, nil, err
	}
	broker, err := embedded.StartBroker(ctx, c.Broker(p.logger))
	if err != nil {
		return client, nil, errors.Join(err, lock.Release())
	}
	return c.Client(broker.Addresses()...), func() {
		if err := errors.Join(broker.Close(), lock.Release()); err != nil {
			p.logger.Warn("the embedded broker did not close well", "error", err)
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

// printJSON prints a value for programs.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
