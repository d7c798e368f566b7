package score

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
)

// A next best offer is what people have who have what somebody has: items that occur together are counted, each of a person's latest items
// votes for others by how alike they are (the cosine of their people, less where few have both), and what the person has already is left
// out. Where nothing follows, it is what most people have.

// latestItems is how many of a person's items count, those touched last; pairs grow with its square.
const latestItems = 30

// doubt is how many people more would have to have both of two items for these to count as alike as they look: pairs that a few people
// happen to have are not to outvote those of many.
const doubt = 5

// computeOffer writes the rows of the score and evaluates it.
func (q query) computeOffer(ctx context.Context, conn driver.Conn) (*Evaluation, error) {
	e := &Evaluation{Score: q.name, Measure: "hit rate at 3", Against: "what most people have"}
	for _, statement := range []string{q.gatherItems(), insertRows + q.nextBestOffer()} {
		if err := conn.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	return e, conn.QueryRow(ctx, q.evaluateOffer()).Scan(&e.People, &e.Model, &e.Baseline)
}

// gatherItems returns a statement that writes down what everybody has, latest first; of equal time in any order that stays.
func (q query) gatherItems() string {
	return fmt.Sprintf(`INSERT INTO %s (run, score, person, item, place)
SELECT %d, %s, person, item, place FROM (
	SELECT person, item, row_number() OVER (PARTITION BY person ORDER BY last DESC, cityHash64(item)) AS place
	FROM (
		SELECT person, item, max(at) AS last
		FROM (%s) ARRAY JOIN all_items AS item
		GROUP BY person, item
	)
) WHERE place <= %d`, clickhouseio.Quote(schema.ScoreItems), q.run.Number, clickhouseio.QuoteText(q.name), q.events(items(q.score.Item)+" AS all_items"), latestItems)
}

// items returns a query of person, item and place.
func (q query) items(where string) string {
	return fmt.Sprintf("SELECT person, item, place FROM %s WHERE run = %d AND score = %s%s", clickhouseio.Quote(schema.ScoreItems), q.run.Number, clickhouseio.QuoteText(q.name), where)
}

// offers returns a query of what is offered to each person of one query of items, best first, by those of another.
func offers(of, known string) string {
	return fmt.Sprintf(`SELECT person, arrayMap(x -> x.2, arraySlice(arrayReverseSort(groupArray((vote, other))), 1, 3)) AS offered,
	arrayMap(x -> x.1, arraySlice(arrayReverseSort(groupArray((vote, other))), 1, 3)) AS votes
FROM (
	SELECT of.person AS person, pairs.other AS other, sum(pairs.weight) AS vote
	FROM (%[1]s) AS of
	INNER JOIN (
		SELECT a.item AS item, b.item AS other, count() AS together,
			together / sqrt(any(n.people) * any(m.people)) * together / (together + %[3]d) AS weight
		FROM (%[2]s) AS a
		INNER JOIN (%[2]s) AS b ON a.person = b.person
		INNER JOIN (SELECT item, count() AS people FROM (%[2]s) GROUP BY item) AS n ON n.item = a.item
		INNER JOIN (SELECT item, count() AS people FROM (%[2]s) GROUP BY item) AS m ON m.item = b.item
		WHERE a.item != b.item
		GROUP BY item, other
	) AS pairs ON pairs.item = of.item
	LEFT ANTI JOIN (%[1]s) AS has ON has.person = of.person AND has.item = pairs.other
	GROUP BY person, other
)
GROUP BY person`, of, known, doubt)
}

// popular returns what most people have, most first.
func popular(known string) string {
	return "SELECT groupArray(item) FROM (SELECT item, count() AS n FROM (" + known + ") GROUP BY item ORDER BY n DESC, item LIMIT 200)"
}

func (q query) nextBestOffer() string {
	all := q.items("")
	return `WITH (` + popular(all) + `) AS popular
SELECT ` + q.row(`'item', offered[1], 'second', offered[2], 'third', offered[3], 'score', toString(round(best, 4))`) + `
FROM (
	SELECT b.person AS person, if(notEmpty(o.votes), o.votes[1], 0) AS best,
		arraySlice(arrayConcat(o.offered, arrayFilter(x -> NOT has(b.items, x) AND NOT has(o.offered, x), popular)), 1, 3) AS offered
	FROM (SELECT person, groupArray(item) AS items FROM (` + all + `) GROUP BY person) AS b
	LEFT JOIN (` + offers(all, all) + `) AS o ON o.person = b.person
)
WHERE offered[1] != ''`
}

// evaluateOffer takes the item that each second person touched last away, and asks whether it is offered by what the others have.
func (q query) evaluateOffer() string {
	tested := " AND cityHash64(person) % 2 = 1 AND person IN (SELECT person FROM (" + q.items("") + ") WHERE place = 3)"
	known := q.items(" AND cityHash64(person) % 2 = 0")
	left, taken := q.items(" AND place > 1"+tested), q.items(" AND place = 1"+tested)
	return `WITH (` + popular(known) + `) AS popular
SELECT count(), ifNotFinite(avg(has(o.offered, t.item)), 0.), ifNotFinite(avg(has(arraySlice(arrayFilter(x -> NOT has(b.items, x), popular), 1, 3), t.item)), 0.)
FROM (` + taken + `) AS t
INNER JOIN (SELECT person, groupArray(item) AS items FROM (` + left + `) GROUP BY person) AS b ON b.person = t.person
LEFT JOIN (` + offers(left, known) + `) AS o ON o.person = t.person`
}
