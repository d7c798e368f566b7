package score

// rfm grades everybody from 1 to 5 by how recently, how often and for how much they bought, each against all others: 5 is the best fifth.
// Segments are the usual ones of direct marketing.
func (q query) rfm() string {
	return `SELECT ` + q.row(`'days_since_last', toString(recency), 'frequency', toString(frequency), 'monetary', toString(monetary),
	'score', concat(toString(r), toString(f), toString(m)),
	'segment', multiIf(r >= 4 AND f >= 4, 'champion', f >= 4 AND r <= 2, 'at risk', f >= 3 AND r >= 3, 'loyal', r >= 4 AND f <= 1, 'new', r >= 4, 'promising', r <= 1, 'lost', 'average')`) + `
FROM (
	SELECT person, recency, frequency, monetary,
		toUInt8(6 - least(5, greatest(1, ceil(5 * (rank() OVER (ORDER BY recency)) / count() OVER ())))) AS r,
		toUInt8(greatest(1, ceil(5 * (rank() OVER (ORDER BY frequency)) / count() OVER ()))) AS f,
		toUInt8(greatest(1, ceil(5 * (rank() OVER (ORDER BY monetary)) / count() OVER ()))) AS m
	FROM (
		SELECT person, dateDiff('day', max(at), ` + q.now() + `) AS recency, count() AS frequency, round(sum(amount), 2) AS monetary
		FROM (` + q.events(number(q.score.Value)+" AS amount") + `)
		GROUP BY person
	)
)`
}
