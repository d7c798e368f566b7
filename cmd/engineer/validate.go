package engineer

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/strict"
)

// verdict is what validate says about one file.
type verdict struct {
	Kind     string    `json:"kind"` // segment or braid
	File     string    `json:"file"` // empty: there is none, and none is needed
	Valid    bool      `json:"valid"`
	Summary  string    `json:"summary,omitempty"` // of a valid file
	Hash     string    `json:"hash,omitempty"`    // of a valid segment
	Mistakes []mistake `json:"mistakes,omitempty"`
}

// mistake is one mistake of a file.
type mistake struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	text    string
}

func mistakes(err error) (out []mistake) {
	errs := strict.AsErrors(err)
	for _, e := range errs {
		out = append(out, mistake{e.Line, e.Column, string(e.Path), e.Message, e.Hint, e.Error()})
	}
	if err != nil && errs == nil {
		out = []mistake{{Message: err.Error(), text: err.Error()}}
	}
	return out
}

func validateCommand(p *command.Program) *cobra.Command {
	var format command.Format
	var schema string
	c := &cobra.Command{
		Use:   "validate [SEGMENT.YAML]",
		Short: "Check segment.yaml and braid.yaml and list all mistakes",
		Long: `Check segment.yaml and braid.yaml and list all mistakes, each with file, line, column and path. Nothing is started or reached.

With --schema the JSON Schema of a file is printed instead, so that editors complete and check it.`,
		Example: `  braid validate
  braid validate retail.yaml --config production.yaml
  braid validate --json
  braid validate --schema segment > segment.schema.json
  braid validate --schema braid > braid.schema.json`,
		Args: command.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if schema != "" {
				return writeSchema(c, schema)
			}
			if len(args) == 1 {
				p.SegmentFile = args[0]
			}
			return report(c.OutOrStdout(), format, judgeSegment(p), judgeDeployment(p))
		},
	}
	format.AddTo(c)
	c.Flags().StringVar(&schema, "schema", "", "print the JSON Schema of a file: segment or braid")
	return c
}

func writeSchema(c *cobra.Command, which string) error {
	var b []byte
	var err error
	switch which {
	case "segment":
		b, err = segment.Schema()
	case "braid":
		b, err = deployment.Schema()
	default:
		return command.Usage(c, fmt.Errorf("--schema %q is neither segment nor braid", which))
	}
	if err == nil {
		_, err = c.OutOrStdout().Write(b)
	}
	return err
}

func judgeSegment(p *command.Program) verdict {
	v := verdict{Kind: "segment", File: p.SegmentFile}
	s, err := p.LoadSegment()
	if v.Mistakes, v.Valid = mistakes(err), err == nil; v.Valid {
		v.Hash = string(s.Hash)
		v.Summary = fmt.Sprintf("segment %s: keys: %d, tables: %d, event definitions: %d, attributes: %d",
			s.Name, len(s.File.Keys), len(s.File.Tables), len(s.File.Events), len(s.File.Attributes))
	}
	return v
}

func judgeDeployment(p *command.Program) verdict {
	v := verdict{Kind: "braid", File: p.DeploymentFile()}
	c, err := p.LoadDeployment()
	if s, segmentErr := p.LoadSegment(); err == nil && segmentErr == nil {
		err = c.CheckPrepare(s.Name, p.Extensions.TransformNames())
	}
	if v.Mistakes, v.Valid = mistakes(err), err == nil; v.Valid {
		stream := fmt.Sprintf("brokers %v", c.Kafka.Brokers)
		if c.Kafka.Embedded != nil {
			stream = "embedded broker"
		}
		v.Summary = fmt.Sprintf("%s, runner %s, store %s, data in %s, HTTP on %s", stream, c.Runner.Kind, c.Store, c.Data, c.Listen)
		if raw := c.RawTopics(); len(raw) > 0 {
			v.Summary += fmt.Sprintf(", prepares %v", raw)
		}
	}
	return v
}

// report prints the verdicts and fails when a file is wrong.
func report(w io.Writer, format command.Format, verdicts ...verdict) error {
	all := judgement{Valid: true, Files: verdicts}
	for _, v := range verdicts {
		all.Valid = all.Valid && v.Valid
	}
	if err := format.Print(w, all); err != nil {
		return err
	}
	if !all.Valid {
		return command.ErrFailed
	}
	return nil
}

// judgement is what validate prints.
type judgement struct {
	Valid bool      `json:"valid"`
	Files []verdict `json:"files"`
}

// WriteText implements command.Result.
func (j judgement) WriteText(w io.Writer) error {
	for _, v := range j.Files {
		name := v.File
		if name == "" {
			name = deployment.File + " (there is none)"
		}
		if v.Valid {
			fmt.Fprintf(w, "%s: ok, %s\n", name, v.Summary)
		}
		for _, m := range v.Mistakes {
			fmt.Fprintln(w, m.text)
		}
	}
	return nil
}
