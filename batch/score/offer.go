package score

// A next best offer is what people have who have what somebody has: items that occur together are counted, each person's latest items
// vote for others by how often those follow from them, and what a person has already is left out. Where nothing follows, it is what
// most people have.

// latestItems is how many of a person's items count, those touched last; pairs grow with its square.
const latestItems = "30"

// baskets returns a query of what everybody has, latest first.
func (q query) baskets() string {
	return `SELECT person, arraySlice(arrayReverse(arrayMap(x -> x.2, arraySort(groupArray((last, item))))), 1, ` + latestItems + `) AS items
FROM (
	SELECT person, item, max(at) AS last
	FROM (` + q.events(items(q.score.Item)+" AS all_items") + `) ARRAY JOIN all_items AS item
	GROUP BY person, item
)
GROUP BY person`
}

// offers returns a query of what is offered to each person of a table baskets(person, items), best first, given the people of a table
// known(person, items).
func offers(baskets, known string) string {
	return `SELECT person, arrayMap(x -> x.2, arraySlice(arrayReverseSort(groupArray((vote, other))), 1, 3)) AS offered,
	arrayMap(x -> x.1, arraySlice(arrayReverseSort(groupArray((vote, other))), 1, 3)) AS votes
FROM (
	SELECT b.person AS person, p.other AS other, sum(p.weight) AS vote, any(b.items) AS items
	FROM (SELECT person, items, item FROM (` + baskets + `) ARRAY JOIN items AS item) AS b
	INNER JOIN (
		SELECT item, other, together / sqrt(n * m) AS weight
		FROM (
			SELECT item, other, count() AS together
			FROM (SELECT item, other FROM (` + known + `) ARRAY JOIN items AS item ARRAY JOIN items AS other)
			WHERE item != other
			GROUP BY item, other
		) AS t
		INNER JOIN (SELECT item AS a, count() AS n FROM (` + known + `) ARRAY JOIN items AS item GROUP BY item) AS x ON x.a = t.item
		INNER JOIN (SELECT item AS b, count() AS m FROM (` + known + `) ARRAY JOIN items AS item GROUP BY item) AS y ON y.b = t.other
	) AS p ON p.item = b.item
	GROUP BY person, other
	HAVING NOT has(items, other)
)
GROUP BY person`
}

func (q query) nextBestOffer() string {
	return `WITH popular AS (SELECT groupArray(item) AS items FROM (SELECT item, count() AS n FROM (` + q.baskets() + `) ARRAY JOIN items AS item GROUP BY item ORDER BY n DESC, item LIMIT 100))
SELECT ` + q.row(`'item', offered[1], 'second', offered[2], 'third', offered[3], 'score', toString(round(best, 4))`) + `
FROM (
	SELECT b.person AS person, b.items AS items, if(notEmpty(o.votes), o.votes[1], 0) AS best,
		arraySlice(arrayConcat(o.offered, arrayFilter(x -> NOT has(items, x) AND NOT has(o.offered, x), (SELECT items FROM popular))), 1, 3) AS offered
	FROM (` + q.baskets() + `) AS b
	LEFT JOIN (` + offers(q.baskets(), q.baskets()) + `) AS o ON o.person = b.person
)
WHERE offered[1] != ''`
}

// evaluateOffer takes the item that each second person touched last away and asks whether it is offered.
func (q query) evaluateOffer() string {
	tested := `SELECT person, arraySlice(items, 2) AS items, items[1] AS taken FROM (` + q.baskets() + `) WHERE length(items) >= 3 AND cityHash64(person) % 2 = 1`
	known := `SELECT person, items FROM (` + q.baskets() + `) WHERE cityHash64(person) % 2 = 0`
	return `WITH popular AS (SELECT groupArray(item) AS items FROM (SELECT item, count() AS n FROM (` + known + `) ARRAY JOIN items AS item GROUP BY item ORDER BY n DESC, item LIMIT 100))
SELECT count(), ifNotFinite(avg(has(o.offered, t.taken)), 0.), ifNotFinite(avg(has(arraySlice(arrayFilter(x -> NOT has(t.items, x), (SELECT items FROM popular)), 1, 3), t.taken)), 0.)
FROM (` + tested + `) AS t
LEFT JOIN (` + offers("SELECT person, items FROM ("+tested+")", known) + `) AS o ON o.person = t.person`
}
