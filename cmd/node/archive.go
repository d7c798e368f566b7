package node

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/transforms"
)

// openArchive makes sure that the tables are there, and first the server, if it is embedded.
func (n *Node) openArchive(ctx context.Context) error {
	d := n.options.Deployment
	if d.ClickHouse == deployment.ClickHouseOff {
		return nil
	}
	database := schema.DatabaseName(n.options.Segment.Name)
	client, ok := d.ClickHouseClient()
	if !ok {
		server, err := n.startClickHouse(ctx)
		if err != nil {
			return err
		}
		n.cleanup(func() { server.Close() })
		client = clickhouseio.Client{URL: server.URL(clickhouse.UserBraid, "")}
		n.analyst = server.URL(clickhouse.UserAnalyst, database)
	}
	n.archive = client.In(database)
	err := n.makeTables(ctx)
	if err != nil && ok && !permanent(err) { // a cluster that is away holds nobody up
		n.options.Logger.Error("ClickHouse is away; the archive begins when it is there, until then the topics keep what comes", "error", err)
		n.noTables.Store(true)
		return nil
	}
	return err
}

// makeTables makes the segment's tables, or brings them up to date.
func (n *Node) makeTables(ctx context.Context) error {
	d := n.options.Deployment
	conn, err := n.archive.In("default").Open(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	added, err := schema.Apply(ctx, conn, schema.Options{Segment: n.options.Segment.Name, Cluster: d.Archive.Cluster, RetentionDays: d.Archive.Days()})
	for _, m := range added {
		if added[0].Version == 1 { // they are new
			break
		}
		n.options.Logger.Info("tables brought up to date", "database", n.archive.Database(), "version", m.Version, "name", m.Name)
	}
	return err
}

// archiveLater starts the archive job once ClickHouse is there.
func (n *Node) archiveLater(ctx context.Context, file transforms.Segment) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(archiveRetry):
		}
		err := n.makeTables(ctx)
		switch {
		case err == nil:
			n.options.Logger.Info("ClickHouse is there; the archive begins")
			n.noTables.Store(false)
			return n.runArchive(file)
		case permanent(err):
			n.options.Logger.Error("nothing is archived", "error", err)
			return nil
		}
	}
}

// archiveRetry is how long a node waits before it asks again for a ClickHouse that was away at its start.
const archiveRetry = 2 * time.Second

// startClickHouse starts the embedded server; its library is fetched when that has not been done.
func (n *Node) startClickHouse(ctx context.Context) (*clickhouse.Server, error) {
	log := n.options.Logger
	library, err := clickhouse.FindOrFetch(ctx,
		func() {
			log.Info("fetching the library of ClickHouse, once", "package", clickhouse.Package, "version", clickhouse.Version)
		},
		func(step string, percent int64) {
			log.Info("fetching the library of ClickHouse", "step", step, "percent", percent)
		})
	if err != nil {
		return nil, err
	}
	return clickhouse.Start(ctx, clickhouse.Options{Dir: n.options.Deployment.ClickHouseDir(), Library: library, Logger: n.options.Logger})
}

// startArchive starts the archive job. It may fail for as long as ClickHouse is away: the topics keep what it has not archived, and
// the node stays ready.
func (n *Node) startArchive(file transforms.Segment) error {
	switch {
	case n.archive.URL == "":
		return nil
	case n.noTables.Load():
		n.parts.Go(func() error { return n.archiveLater(n.lifetime, file) })
		return nil
	}
	return n.runArchive(file)
}

func (n *Node) runArchive(file transforms.Segment) error {
	c := pipelines.ArchiveConfig{Segment: file, Name: n.options.Segment.Name, Kafka: n.client, ClickHouse: n.archive}
	return n.startJob(job{name: "archive", behind: true}, func(s beam.Scope) { pipelines.Archive(s, c) })
}
