package cmd

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

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

func (p *program) validateCommand() *cobra.Command {
	var asJSON bool
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
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if schema != "" {
				return writeSchema(c, schema)
			}
			if len(args) == 1 {
				p.segmentFile = args[0]
			}
			return report(c.OutOrStdout(), asJSON, p.judgeSegment(), p.judgeDeployment())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print for programs")
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
		return usageError{c.CommandPath(), fmt.Errorf("--schema %q is neither segment nor braid", which)}
	}
	if err == nil {
		_, err = c.OutOrStdout().Write(b)
	}
	return err
}

func (p *program) judgeSegment() verdict {
	v := verdict{Kind: "segment", File: p.segmentFile}
	s, err := p.loadSegment()
	if v.Mistakes, v.Valid = mistakes(err), err == nil; v.Valid {
		v.Hash = string(s.Hash)
		v.Summary = fmt.Sprintf("segment %s: keys: %d, tables: %d, event definitions: %d, attributes: %d",
			s.Name, len(s.File.Keys), len(s.File.Tables), len(s.File.Events), len(s.File.Attributes))
	}
	return v
}

func (p *program) judgeDeployment() verdict {
	v := verdict{Kind: "braid", File: p.deploymentFile()}
	c, err := p.loadDeployment()
	if s, segmentErr := p.loadSegment(); err == nil && segmentErr == nil {
		err = c.CheckPrepare(s.Name, p.extensions.TransformNames())
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
func report(w io.Writer, asJSON bool, verdicts ...verdict) error {
	valid := true
	for _, v := range verdicts {
		valid = valid && v.Valid
	}
	if asJSON {
		if err := printJSON(w, struct {
			Valid bool      `json:"valid"`
			Files []verdict `json:"files"`
		}{valid, verdicts}); err != nil {
			return err
		}
	} else {
		for _, v := range verdicts {
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
	}
	if !valid {
		return errFailed
	}
	return nil
}
