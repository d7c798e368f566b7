package score

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
)

// Churn is a logistic regression over what somebody did up to a moment: how long ago the last event was, how many there were, how long the
// pauses were, for how much, and since when. What is learned is who had no event in the horizon that follows. It is fitted by Newton's
// method with a ridge (iteratively reweighted least squares: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 4.4):
// ClickHouse adds up gradient and Hessian over all people, and what is left here is a system of six equations.

// features are the columns that a model sees, besides a constant.
var features = []string{"recency", "frequency", "monetary", "tenure", "pause"}

const (
	ridge      = 1.0
	iterations = 30
	converged  = 1e-7
)

// gatherFeatures returns a statement that writes down the features of everybody who had an event before a moment, and whether they had one
// in the horizon after.
func (q query) gatherFeatures(now bool) string {
	before := q.now()
	if !now {
		before = fmt.Sprintf("(%s - toIntervalSecond(%d))", before, q.horizon())
	}
	return fmt.Sprintf(`INSERT INTO %s (run, score, person, now, recency, frequency, monetary, tenure, pause, churned)
SELECT %d, %s, person, %t,
	log1p(greatest(0, dateDiff('second', maxIf(at, at < cut), cut)) / 86400),
	log1p(countIf(at < cut)),
	log1p(greatest(0, sumIf(amount, at < cut))),
	log1p(greatest(0, dateDiff('second', minIf(at, at < cut), cut)) / 86400),
	log1p(if(countIf(at < cut) > 1, dateDiff('second', minIf(at, at < cut), maxIf(at, at < cut)) / 86400 / (countIf(at < cut) - 1), 0)),
	countIf(at >= cut AND at < cut + toIntervalSecond(%d)) = 0
FROM (SELECT *, %s AS cut FROM (%s))
GROUP BY person, cut
HAVING countIf(at < cut) > 0`, clickhouseio.Quote(schema.ScoreFeatures), q.run.Number, clickhouseio.QuoteText(q.name), now, q.horizon(), before, q.events(number(q.score.Value)+" AS amount"))
}

func (q query) horizon() int64 {
	return int64(time.Duration(q.score.HorizonOrDefault()) / time.Second)
}

// learned returns the table with the features of a horizon before, of those for whom a condition holds.
func (q query) learned(now bool, condition string) string {
	return fmt.Sprintf("(SELECT * FROM %s WHERE run = %d AND score = %s AND now = %t AND %s)", clickhouseio.Quote(schema.ScoreFeatures), q.run.Number, clickhouseio.QuoteText(q.name), now, condition)
}

// model is a fitted regression: weights of the constant and of the features, these less their means and over their deviations.
type model struct {
	weights          []float64
	mean, deviations []float64
}

// inputs returns the expressions of the constant and the features.
func (m model) inputs() []string {
	all := []string{"1."}
	for i, f := range features {
		all = append(all, fmt.Sprintf("((%s - %s) / %s)", f, float(m.mean[i]), float(m.deviations[i])))
	}
	return all
}

// probability returns the expression of what the model says.
func (m model) probability() string {
	var terms []string
	for i, x := range m.inputs() {
		terms = append(terms, fmt.Sprintf("(%s) * %s", float(m.weights[i]), x))
	}
	return "1 / (1 + exp(-(" + strings.Join(terms, " + ") + ")))"
}

func float(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// fit fits a model to those for whom a condition holds; nil when there is nothing to learn: all did the same.
func (q query) fit(ctx context.Context, conn driver.Conn, condition string) (*model, error) {
	n := len(features)
	m := &model{weights: make([]float64, n+1), mean: make([]float64, n), deviations: make([]float64, n)}
	var outcomes uint64
	columns, pointers := []string{"uniqExact(churned)"}, []any{&outcomes}
	for i, f := range features {
		columns = append(columns, "ifNotFinite(avg("+f+"), 0.)", "ifNotFinite(stddevPop("+f+"), 0.)")
		pointers = append(pointers, &m.mean[i], &m.deviations[i])
	}
	if err := conn.QueryRow(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+q.learned(false, condition)).Scan(pointers...); err != nil {
		return nil, err
	}
	if outcomes < 2 {
		return nil, nil
	}
	for i := range m.deviations {
		if m.deviations[i] == 0 {
			m.deviations[i] = 1
		}
	}
	for range iterations {
		gradient, hessian, err := q.sums(ctx, conn, m, condition)
		if err != nil {
			return nil, err
		}
		for i := 1; i <= n; i++ {
			gradient[i] -= ridge * m.weights[i]
			hessian[i][i] += ridge
		}
		hessian[0][0] += 1e-9
		step := solve(hessian, gradient)
		largest := 0.0
		for i := range step {
			m.weights[i] += step[i]
			largest = max(largest, math.Abs(step[i]))
		}
		if largest < converged {
			break
		}
	}
	return m, nil
}

// sums adds up the gradient of the likelihood and its negative Hessian.
func (q query) sums(ctx context.Context, conn driver.Conn, m *model, condition string) (gradient []float64, hessian [][]float64, err error) {
	inputs := m.inputs()
	n := len(inputs)
	gradient, hessian = make([]float64, n), make([][]float64, n)
	var columns []string
	var pointers []any
	for i := range n {
		hessian[i] = make([]float64, n)
		columns, pointers = append(columns, fmt.Sprintf("sum((churned - p) * %s)", inputs[i])), append(pointers, &gradient[i])
		for j := range i + 1 {
			columns, pointers = append(columns, fmt.Sprintf("sum(p * (1 - p) * %s * %s)", inputs[i], inputs[j])), append(pointers, &hessian[i][j])
		}
	}
	err = conn.QueryRow(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM (SELECT *, "+m.probability()+" AS p FROM "+q.learned(false, condition)+")").Scan(pointers...)
	for i := range n {
		for j := range i {
			hessian[j][i] = hessian[i][j]
		}
	}
	return gradient, hessian, err
}

// solve solves a system of linear equations by elimination with the greatest pivot; it may overwrite both.
func solve(a [][]float64, b []float64) []float64 {
	n := len(b)
	for i := range n {
		pivot := i
		for j := i + 1; j < n; j++ {
			if math.Abs(a[j][i]) > math.Abs(a[pivot][i]) {
				pivot = j
			}
		}
		a[i], a[pivot], b[i], b[pivot] = a[pivot], a[i], b[pivot], b[i]
		for j := i + 1; j < n; j++ {
			factor := a[j][i] / a[i][i]
			for k := i; k < n; k++ {
				a[j][k] -= factor * a[i][k]
			}
			b[j] -= factor * b[i]
		}
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			b[i] -= a[i][k] * b[k]
		}
		b[i] /= a[i][i]
	}
	return b
}

// computeChurn writes the rows of the score and evaluates it: fitted to one half of the people, asked about the other.
func (q query) computeChurn(ctx context.Context, conn driver.Conn) (*Evaluation, error) {
	e := &Evaluation{Score: q.name, Measure: "AUC", Against: "days since the last event alone"}
	for _, now := range []bool{false, true} {
		if err := conn.Exec(ctx, q.gatherFeatures(now)); err != nil {
			return nil, err
		}
	}
	m, err := q.fit(ctx, conn, "true")
	if err != nil || m == nil {
		return e, err
	}
	if err := conn.Exec(ctx, insertRows+"SELECT "+q.row(`'probability', toString(round(probability, 4)), 'risk', multiIf(probability >= 0.66, 'high', probability >= 0.33, 'medium', 'low')`)+
		" FROM (SELECT person, "+m.probability()+" AS probability FROM "+q.learned(true, "true")+") WHERE isFinite(probability)"); err != nil {
		return nil, err
	}
	if m, err = q.fit(ctx, conn, "cityHash64(person) % 2 = 0"); err != nil || m == nil {
		return e, err
	}
	return e, conn.QueryRow(ctx, `SELECT toUInt64(if(uniqExact(churned) = 2, count(), 0)),
	ifNotFinite(arrayAUC(groupArray(`+m.probability()+`), groupArray(churned)), 0.), ifNotFinite(arrayAUC(groupArray(recency), groupArray(churned)), 0.)
FROM `+q.learned(false, "cityHash64(person) % 2 = 1")).Scan(&e.People, &e.Model, &e.Baseline)
}
