package engineer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/filter/condition"
	"github.com/braidhq/braid/transforms/strict"
)

func conditionCommand() *cobra.Command {
	var format command.Format
	var structure string
	c := &cobra.Command{
		Use:   "condition [EXPRESSION]",
		Short: "Turn a CEL expression into a structure, and back",
		Long: `Turn a CEL expression into a structure that a form can show and edit, or a structure into CEL. Both can stand under where: in
segment.yaml and mean the same. What no operator of structures says stands in a leaf of its own, cel.`,
		Example: `  braid condition 'properties.type == "product" && properties.price > 10'
  braid condition 'properties.tags.exists(item, item == "sale")' --json
  braid condition --structure condition.yaml`,
		Args: command.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 1) == (structure != "") {
				return command.Usage(c, errors.New("give either an expression or --structure FILE"))
			}
			if structure != "" {
				return printExpression(c, structure)
			}
			if _, err := filter.Compile(args[0]); err != nil {
				return err
			}
			parsed, err := condition.Parse(args[0])
			if err != nil {
				return err
			}
			return format.Print(c.OutOrStdout(), structured{parsed})
		},
	}
	format.AddTo(c)
	c.Flags().StringVar(&structure, "structure", "", "file with a structure in YAML or JSON, - for standard input")
	return c
}

// structured prints a structure as YAML.
type structured struct{ condition.Condition }

// WriteText writes what may stand under where.
func (s structured) WriteText(w io.Writer) error {
	b, err := json.Marshal(s.Condition)
	if err == nil {
		b, err = yaml.JSONToYAML(b)
	}
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

func printExpression(c *cobra.Command, file string) error {
	read := func() ([]byte, error) { return os.ReadFile(file) }
	if file == "-" {
		read = func() ([]byte, error) { return io.ReadAll(io.LimitReader(c.InOrStdin(), strict.MaxBytes+1)) }
	}
	data, err := read()
	if err != nil {
		return err
	}
	var structure condition.Condition
	if err := strict.Decode(file, data, &structure, nil).Err(); err != nil {
		return err
	}
	expression, err := structure.Expression()
	if err == nil {
		_, err = filter.Compile(expression)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), expression)
	return err
}
