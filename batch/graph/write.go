package graph

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

// insertRows is how many rows an insert has at most.
const insertRows = 200_000

// Write settles cells and rulings, and writes the groups as those of a run.
func Write(ctx context.Context, conn driver.Conn, config *update.Config, run uint64, cells []Cell, rulings []identity.Ruling) (Summary, error) {
	members := newInserter(ctx, conn, schema.GraphIdentifiers, "run, key, value, profile_id, person, first, last, events")
	owners := newInserter(ctx, conn, schema.GraphCells, "run, cell, profile_id, person")
	sum, err := Each(config, cells, rulings, func(g Group) error {
		id := g.ID.String()
		for _, m := range g.Members {
			if err := members.add(run, m.Key, m.Value, id, g.Person, at(m.First.Time), at(m.Last.Time), m.Events); err != nil {
				return err
			}
		}
		for _, c := range g.Cells {
			if err := owners.add(run, c.String(), id, g.Person); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = members.send()
	}
	if err == nil {
		err = owners.send()
	}
	return sum, err
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

type inserter struct {
	ctx       context.Context
	conn      driver.Conn
	statement string
	batch     driver.Batch
	rows      int
}

func newInserter(ctx context.Context, conn driver.Conn, table, columns string) *inserter {
	return &inserter{ctx: ctx, conn: conn, statement: "INSERT INTO " + clickhouseio.Quote(table) + " (" + columns + ")"}
}

func (i *inserter) add(values ...any) (err error) {
	if i.batch == nil {
		if i.batch, err = i.conn.PrepareBatch(i.ctx, i.statement, driver.WithReleaseConnection()); err != nil {
			return fmt.Errorf("identity graph: %w", err)
		}
	}
	if err := i.batch.Append(values...); err != nil {
		return fmt.Errorf("identity graph: %w", err)
	}
	if i.rows++; i.rows < insertRows {
		return nil
	}
	return i.send()
}

func (i *inserter) send() error {
	if i.batch == nil {
		return nil
	}
	batch := i.batch
	i.batch, i.rows = nil, 0
	if err := batch.Send(); err != nil {
		return fmt.Errorf("identity graph: %w", err)
	}
	return nil
}
