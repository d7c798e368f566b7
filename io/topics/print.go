package topics

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// WriteTable prints the plan and, when a report is given, the state of each topic and every difference.
func WriteTable(w io.Writer, specs []Spec, report *Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := "TOPIC\tPARTITIONS\tREPLICAS\tSETTINGS"
	if report != nil {
		header = "TOPIC\tSTATE\tPARTITIONS\tREPLICAS\tSETTINGS"
	}
	fmt.Fprintln(t, header)
	for _, spec := range specs {
		replicas := "default"
		if spec.Replicas > 0 {
			replicas = fmt.Sprint(spec.Replicas)
		}
		fmt.Fprintf(t, "%s\t", spec.Name)
		if report != nil {
			fmt.Fprintf(t, "%s\t", report.state(spec.Name))
		}
		fmt.Fprintf(t, "%d\t%s\t%s\n", spec.Partitions, replicas, spec.settingsText())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if report == nil {
		return nil
	}
	for _, d := range report.Differences {
		if _, err := fmt.Fprintln(w, d); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) state(topic string) string {
	switch {
	case slices.Contains(r.Created, topic):
		return "created"
	case slices.Contains(r.Missing, topic):
		return "missing"
	case slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.Topic == topic }):
		return "differs"
	}
	return "ok"
}

// WriteJSON prints the plan and, when given, the report as one JSON document: {"topics": [...], "report": {...}}.
func WriteJSON(w io.Writer, specs []Spec, report *Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Topics []Spec  `json:"topics"`
		Report *Report `json:"report,omitempty"`
	}{specs, report})
}
