package score

import (
	"fmt"
	"time"
)

// Churn is a logistic regression over what somebody did up to a moment: how long ago the last event was, how many there were, how long the
// pauses were, for how much, and since when. What is learned is who had no event in the horizon that follows.

// features returns a query of the features of everybody who had an event before a moment, and whether they had one in the horizon after.
func (q query) features(before string) string {
	horizon := int64(time.Duration(q.score.HorizonOrDefault()) / time.Second)
	return fmt.Sprintf(`SELECT person,
	log1p(greatest(0, dateDiff('second', maxIf(at, at < cut), cut)) / 86400) AS recency,
	log1p(countIf(at < cut)) AS frequency,
	log1p(greatest(0, sumIf(amount, at < cut))) AS monetary,
	log1p(greatest(0, dateDiff('second', minIf(at, at < cut), cut)) / 86400) AS tenure,
	log1p(if(countIf(at < cut) > 1, dateDiff('second', minIf(at, at < cut), maxIf(at, at < cut)) / 86400 / (countIf(at < cut) - 1), 0)) AS pause,
	countIf(at >= cut AND at < cut + toIntervalSecond(%d)) = 0 AS churned
FROM (SELECT *, %s AS cut FROM (%s))
GROUP BY person, cut
HAVING countIf(at < cut) > 0`, horizon, before, q.events(number(q.score.Value)+" AS amount"))
}

// cut is the moment that the model is trained for: a horizon ago.
func (q query) cut() string {
	return fmt.Sprintf("(%s - toIntervalSecond(%d))", q.now(), int64(time.Duration(q.score.HorizonOrDefault())/time.Second))
}

const inputs = "recency, frequency, monetary, tenure, pause"

// lessons is about how many rows the model is trained with: where people are few, each is shown several times, in an order that stays.
const lessons = 200_000

// model returns a query of the trained model. People are told apart by a hash, so that those it is evaluated on had no part in it.
func (q query) model(which string) string {
	return fmt.Sprintf(`SELECT stochasticLogisticRegressionState(0.01, 0.0001, 32, 'Adam')(if(churned, 1., -1.), %s)
FROM (
	SELECT * FROM (
		SELECT *, count() OVER () AS people FROM (%s) %s
	) ARRAY JOIN range(toUInt64(greatest(1, least(500, %d / people)))) AS round
	ORDER BY cityHash64(person, round)
	SETTINGS max_threads = 1
)`, inputs, q.features(q.cut()), which, lessons)
}

func (q query) churn() string {
	// Without anybody whose horizon is over there is nothing to learn from.
	return `WITH (` + q.model("") + `) AS model
SELECT ` + q.row(`'probability', toString(round(probability, 4)), 'risk', multiIf(probability >= 0.66, 'high', probability >= 0.33, 'medium', 'low')`) + `
FROM (
	SELECT person, evalMLMethod(model, ` + inputs + `) AS probability
	FROM (` + q.features(q.now()) + `)
)
WHERE isFinite(probability)`
}

func (q query) evaluateChurn() string {
	return `WITH (` + q.model("WHERE cityHash64(person) % 2 = 0") + `) AS model
SELECT toUInt64(if(uniqExact(churned) = 2, count(), 0)), ifNotFinite(arrayAUC(groupArray(probability), groupArray(churned)), 0.), ifNotFinite(arrayAUC(groupArray(recency), groupArray(churned)), 0.)
FROM (
	SELECT evalMLMethod(model, ` + inputs + `) AS probability, recency, churned
	FROM (` + q.features(q.cut()) + `)
	WHERE cityHash64(person) % 2 = 1
)`
}
