package graph

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/batch/aggregate"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

// Read returns the cells and rulings of the archived epochs before one.
func Read(ctx context.Context, conn driver.Conn, config *update.Config, epoch uint64) (cells []Cell, rulings []identity.Ruling, err error) {
	from := clickhouseio.Quote(schema.Stream) + " FINAL"
	rows, err := conn.Query(ctx, fmt.Sprintf(`
		SELECT cell, identifiers, events, first.1, first.2, first.3, last.1, last.2, last.3
		FROM (
			SELECT cell, any(identifiers) AS identifiers, count() AS events,
				min((order_time, seq, event_id)) AS first, max((order_time, seq, event_id)) AS last
			FROM %s WHERE %s AND epoch < %d GROUP BY cell
		)
		SETTINGS max_bytes_before_external_group_by = 268435456, max_threads = 2`, from, aggregate.Counted, epoch))
	if err != nil {
		return nil, nil, fmt.Errorf("identity graph: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var identifiers map[string]string
		var c Cell
		var firstAt, lastAt time.Time
		if err := rows.Scan(&name, &identifiers, &c.Events, &firstAt, &c.First.Seq, &c.First.ID, &lastAt, &c.Last.Seq, &c.Last.ID); err != nil {
			return nil, nil, fmt.Errorf("identity graph: %w", err)
		}
		c.First.Time, c.Last.Time = firstAt.UnixMilli(), lastAt.UnixMilli()
		if c.ID, err = identity.ParseID(name); err != nil {
			return nil, nil, fmt.Errorf("identity graph: cell %q: %w", name, err)
		}
		for key, value := range identifiers {
			c.Identifiers = append(c.Identifiers, identity.Identifier{Key: key, Value: value})
		}
		slices.SortFunc(c.Identifiers, identity.Identifier.Compare)
		cells = append(cells, c)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("identity graph: %w", err)
	}
	rulings, err = readRulings(ctx, conn, config, from, epoch)
	return cells, rulings, err
}

func readRulings(ctx context.Context, conn driver.Conn, config *update.Config, from string, epoch uint64) (rulings []identity.Ruling, err error) {
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT raw, received, seq FROM %s WHERE kind = 'event' AND table = ? AND epoch < %d", from, epoch), update.TableRulings)
	if err != nil {
		return nil, fmt.Errorf("identity graph: rulings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw string
		var received time.Time
		var seq uint64
		if err := rows.Scan(&raw, &received, &seq); err != nil {
			return nil, fmt.Errorf("identity graph: rulings: %w", err)
		}
		in := config.Prepare(event.Record{Value: []byte(raw), Headers: []event.Header{
			{Key: event.HeaderReceived, Value: fmt.Append(nil, received.UnixMilli())}, {Key: event.HeaderSeq, Value: fmt.Append(nil, seq)},
		}})
		if in.Ruling != nil {
			rulings = append(rulings, *in.Ruling)
		}
	}
	return rulings, rows.Err()
}
