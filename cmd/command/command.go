// Package command is what the commands of braid share: in go the flags that all of them have; out come the two files that these name,
// the stream, the store and the node that the files lead to, results printed for people or for programs, and errors that say what to do
// next.
//
// The commands stand in packages by who uses them, and those are the groups of the help text: newcomer, engineer, operator and so on.
// Each such package has a function Group, which lists its commands; one file per command builds it from a Program and does little
// more than call the package below it that does the work.
package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/extension"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/segment"
)

// Group is the commands of those who use Braid in one way.
type Group struct {
	Name     string // of the package
	Title    string // in the help text, with a colon
	Commands []*cobra.Command
}

// Program is what all commands share: the global flags, and what they lead to.
type Program struct {
	Flags
	Extensions extension.Set
	Stderr     io.Writer
	Logger     *slog.Logger // there once a command runs
}

// Flags are the flags that every command has.
type Flags struct {
	Config      string // path of braid.yaml; empty: see DeploymentFile
	SegmentFile string // path of segment.yaml
	Data        string // data directory, instead of the one in braid.yaml
	LogLevel    string // debug, info, warn or error
	LogFormat   string // text or json
}

// AddTo gives the flags to a command and all those below it.
func (f *Flags) AddTo(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&f.Config, "config", "", "where things run (default ./braid.yaml; without it everything is embedded)")
	flags.StringVar(&f.SegmentFile, "segment", "segment.yaml", "what is computed")
	flags.StringVar(&f.Data, "data", "", "data directory, instead of the one in braid.yaml")
	flags.StringVar(&f.LogLevel, "log-level", "info", "least level of the log: debug, info, warn or error")
	flags.StringVar(&f.LogFormat, "log-format", "text", "form of the log on standard error: text or json")
}

// StartLog makes the logger that the global flags ask for the default one.
func (p *Program) StartLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(p.LogLevel)); err != nil {
		return UsageError{"braid", fmt.Errorf("--log-level %q is none of debug, info, warn, error", p.LogLevel)}
	}
	options := &slog.HandlerOptions{Level: level}
	switch p.LogFormat {
	case "text":
		p.Logger = slog.New(slog.NewTextHandler(p.Stderr, options))
	case "json":
		p.Logger = slog.New(slog.NewJSONHandler(p.Stderr, options))
	default:
		return UsageError{"braid", fmt.Errorf("--log-format %q is neither text nor json", p.LogFormat)}
	}
	slog.SetDefault(p.Logger)
	return nil
}

// DeploymentFile returns the path of braid.yaml, or "" when there is none and none was named.
func (p *Program) DeploymentFile() string {
	if p.Config != "" {
		return p.Config
	}
	if _, err := os.Stat(deployment.File); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return deployment.File
}

// LoadDeployment returns what braid.yaml and --data say. The error leads to ExitConfiguration.
func (p *Program) LoadDeployment() (*deployment.Config, error) {
	c := deployment.Default()
	if path := p.DeploymentFile(); path != "" {
		var err error
		if c, err = deployment.Load(path); err != nil {
			return nil, ConfigurationError{err}
		}
	}
	if p.Data != "" {
		c.Data = p.Data
	}
	return c, nil
}

// LoadSegment returns what segment.yaml says. The error leads to ExitConfiguration.
func (p *Program) LoadSegment() (*segment.Segment, error) {
	data, err := os.ReadFile(p.SegmentFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; name the file with --segment", err)
	}
	if err != nil {
		return nil, ConfigurationError{fmt.Errorf("segment: %w", err)}
	}
	s, err := segment.Parse(p.SegmentFile, data)
	if err != nil {
		return nil, ConfigurationError{err}
	}
	s.Rules = s.Rules.WithSecret(os.Getenv(transforms.SecretVariable))
	return s, nil
}

// Load returns what both files say.
func (p *Program) Load() (*deployment.Config, *segment.Segment, error) {
	c, err := p.LoadDeployment()
	if err != nil {
		return nil, nil, err
	}
	s, err := p.LoadSegment()
	return c, s, err
}
