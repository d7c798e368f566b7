// Package score computes scores of people inside ClickHouse: in go the definitions of a segment, out come statements that read events and
// the identity graph of a run, and rows of one score per person.
//
// Nothing is moved out of ClickHouse for it. A model that predicts is also evaluated: it is trained on what was known some time ago and
// compared with what happened since, beside a baseline that a person would use.
package score

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/imports"
)

// Run says which run's scores are computed.
type Run struct {
	Number uint64    // whose graph is there
	Epoch  uint64    // events of epochs before it count
	Now    time.Time // of the stream's clock
}

// Evaluation is how good a model is on what happened after the time that it was trained for.
type Evaluation struct {
	Score    string  `json:"score"`
	Measure  string  `json:"measure"`  // "AUC" or "hit rate at 3"
	People   uint64  `json:"people"`   // that it was evaluated on
	Model    float64 `json:"model"`    // its value
	Baseline float64 `json:"baseline"` // that of the baseline
	Against  string  `json:"against"`  // what the baseline is
}

// String says it in a line.
func (e Evaluation) String() string {
	if e.People == 0 {
		return fmt.Sprintf("%s: too little history to evaluate", e.Score)
	}
	return fmt.Sprintf("%s: %s %.3f, %s %.3f (%d people)", e.Score, e.Measure, e.Model, e.Against, e.Baseline, e.People)
}

var insertRows = "INSERT INTO " + clickhouseio.Quote(schema.ScoreRows) + " (run, score, person, values)\n"

// Compute writes the rows of a score, and evaluates it; the evaluation is nil for what predicts nothing.
func Compute(ctx context.Context, conn driver.Conn, run Run, name string, s imports.Score) (e *Evaluation, err error) {
	q := query{run: run, name: name, score: s}
	switch s.Model {
	case imports.RFM:
		err = conn.Exec(ctx, insertRows+q.rfm())
	case imports.Churn:
		e, err = q.computeChurn(ctx, conn)
	case imports.NextBestOffer:
		e, err = q.computeOffer(ctx, conn)
	default:
		err = fmt.Errorf("unknown model %q", s.Model)
	}
	if err != nil {
		return nil, fmt.Errorf("score %s: %w", name, err)
	}
	return e, nil
}

// query makes the statements of one score. They hold no text of the user's but quoted.
type query struct {
	run   Run
	name  string
	score imports.Score
}

// events returns a query of the score's events, each once however often it was sent, with whose they are.
func (q query) events(columns string) string {
	return fmt.Sprintf(`SELECT c.person AS person, e.order_time AS at, %s
FROM (SELECT * FROM %s FINAL WHERE kind = 'event' AND has(definitions, %s) AND epoch < %d LIMIT 1 BY cell, event_id) AS e
INNER JOIN (SELECT cell, person FROM %s WHERE run = %d AND person != '') AS c ON c.cell = e.cell`,
		columns, clickhouseio.Quote(schema.Stream), clickhouseio.QuoteText(q.score.Event), q.run.Epoch, clickhouseio.Quote(schema.GraphCells), q.run.Number)
}

func (q query) now() string {
	return fmt.Sprintf("toDateTime64('%s', 3, 'UTC')", q.run.Now.UTC().Format("2006-01-02 15:04:05.000"))
}

func (q query) row(values string) string {
	return fmt.Sprintf("%d AS run, %s AS score, person, map(%s) AS values", q.run.Number, clickhouseio.QuoteText(q.name), values)
}

// number returns an expression for a field of an event, as a number; 0 when it is none. Amounts are rounded here: scores are estimates.
func number(path attribute.Operand) string {
	if path == "" {
		return "0."
	}
	args := arguments(event.SplitPath(string(path)))
	return fmt.Sprintf("if(JSONType(e.raw, %s) = 'String', toFloat64OrZero(JSONExtractString(e.raw, %s)), JSONExtractFloat(e.raw, %s))", args, args, args)
}

// items returns an expression for the texts that a field of an event has; # in the path stands for each element of a list.
func items(path attribute.Operand) string {
	parts := event.SplitPath(string(path))
	for i, part := range parts {
		if part != "#" {
			continue
		}
		list := fmt.Sprintf("JSONExtractArrayRaw(e.raw, %s)", arguments(parts[:i]))
		if i == len(parts)-1 {
			return fmt.Sprintf("arrayFilter(x -> x != '', arrayMap(x -> trim(BOTH '\"' FROM x), %s))", list)
		}
		return fmt.Sprintf("arrayFilter(x -> x != '', arrayMap(x -> %s, %s))", scalar("x", parts[i+1:]), list)
	}
	return fmt.Sprintf("arrayFilter(x -> x != '', [%s])", scalar("e.raw", parts))
}

func scalar(of string, path []string) string {
	args := arguments(path)
	return fmt.Sprintf("if(JSONType(%s, %s) = 'String', JSONExtractString(%s, %s), JSONExtractRaw(%s, %s))", of, args, of, args, of, args)
}

func arguments(path []string) string {
	quoted := make([]string, len(path))
	for i, part := range path {
		quoted[i] = clickhouseio.QuoteText(part)
	}
	return strings.Join(quoted, ", ")
}
