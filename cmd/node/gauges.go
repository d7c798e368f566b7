package node

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/pipelines"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// lookTimeout bounds what a look at the metrics asks of broker and store.
const lookTimeout = 2 * time.Second

var (
	lagRecords = prometheus.NewDesc("braid_lag_records",
		"Records between what has been applied, or prepared, and the end of the topic. Absent while the broker does not answer.", []string{"topic", "partition"}, nil)
	archiveLag = prometheus.NewDesc("braid_archive_lag_records",
		"Records between what ClickHouse has and the end of the topic. Absent while the broker does not answer, or nothing is archived.", []string{"topic", "partition"}, nil)
	snapshotEpoch = prometheus.NewDesc("braid_snapshot_epoch", "First epoch of the stream that is not in the snapshot in use. Absent before the first batch run.", nil, nil)
	snapshotTime  = prometheus.NewDesc("braid_snapshot_created_seconds", "When the snapshot in use was made, in seconds since 1970.", nil, nil)
	diskBytes     = prometheus.NewDesc("braid_disk_bytes", "Bytes that files take on disk, by part: kafka, store, clickhouse or snapshots. Embedded ones only.", []string{"part"}, nil)
)

// gauges are figures that are found out when somebody looks.
type gauges struct{ node *Node }

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagRecords
	ch <- archiveLag
	ch <- snapshotEpoch
	ch <- snapshotTime
	ch <- diskBytes
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	lag, err := g.node.lag(ctx)
	if err != nil {
		g.node.options.Logger.Debug("the lag is not known", "error", err)
	}
	for topic, partitions := range lag {
		for p, n := range partitions {
			ch <- prometheus.MustNewConstMetric(lagRecords, prometheus.GaugeValue, float64(n), topic, strconv.Itoa(int(p)))
		}
	}
	for topic, partitions := range g.node.archiveLag(ctx) {
		for p, n := range partitions {
			ch <- prometheus.MustNewConstMetric(archiveLag, prometheus.GaugeValue, float64(n), topic, strconv.Itoa(int(p)))
		}
	}
	if s := g.node.snapshots.Latest(); s != nil {
		ch <- prometheus.MustNewConstMetric(snapshotEpoch, prometheus.GaugeValue, float64(s.Epoch()))
		ch <- prometheus.MustNewConstMetric(snapshotTime, prometheus.GaugeValue, float64(s.Created)/1000)
	}
	for part, dir := range g.node.directories() {
		ch <- prometheus.MustNewConstMetric(diskBytes, prometheus.GaugeValue, float64(bytesBelow(dir)), part)
	}
}

// lag returns how many records wait in each partition of the topic of events and of the raw topics.
func (n *Node) lag(ctx context.Context) (map[string]map[int32]int64, error) {
	admin := kadm.NewClient(n.admin)
	raw := n.options.Deployment.RawTopics()
	names := append([]string{n.events}, raw...)
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	progress, err := n.Progress(ctx)
	if err != nil {
		return nil, err
	}
	var prepared kadm.OffsetResponses
	if len(raw) > 0 {
		prepared, err = admin.FetchOffsets(ctx, pipelines.GroupPrepare(n.options.Segment.Name))
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // it is made when the first offset is noted
			return nil, err
		}
	}
	lag := make(map[string]map[int32]int64, len(names))
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(end.Topic, end.Partition)
		if !ok || end.Err != nil || start.Err != nil {
			return
		}
		next := progress[end.Partition].NextOffset
		if end.Topic != n.events {
			committed, _ := prepared.Lookup(end.Topic, end.Partition)
			next = committed.At
		}
		if lag[end.Topic] == nil {
			lag[end.Topic] = map[int32]int64{}
		}
		lag[end.Topic][end.Partition] = max(0, end.Offset-max(next, start.Offset))
	})
	return lag, nil
}

// archiveLag returns how many records of each topic ClickHouse does not have yet.
func (n *Node) archiveLag(ctx context.Context) map[string]map[int32]int64 {
	if n.archive.URL == "" {
		return nil
	}
	admin := kadm.NewClient(n.admin)
	committed, err := admin.FetchOffsets(ctx, pipelines.GroupArchive(n.options.Segment.Name))
	if err != nil {
		return nil
	}
	ends, err := admin.ListEndOffsets(ctx, pipelines.ArchivedTopics(n.options.Segment.Name)...)
	if err != nil {
		return nil
	}
	lag := map[string]map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err != nil {
			return
		}
		at, _ := committed.Lookup(end.Topic, end.Partition)
		if lag[end.Topic] == nil {
			lag[end.Topic] = map[int32]int64{}
		}
		lag[end.Topic][end.Partition] = max(0, end.Offset-max(at.At, 0))
	})
	return lag
}

// directories returns where what is embedded lies.
func (n *Node) directories() map[string]string {
	d, dirs := n.options.Deployment, map[string]string{}
	if d.Kafka.Embedded != nil {
		dirs["kafka"] = d.KafkaDir()
	}
	if u, err := url.Parse(d.StoreURL()); err == nil && d.StoreEmbedded() {
		dirs["store"] = u.Path
	}
	if n.archive.URL != "" {
		dirs["snapshots"] = d.SnapshotsDir()
	}
	if d.ClickHouse == deployment.ClickHouseEmbedded {
		dirs["clickhouse"] = d.ClickHouseDir()
	}
	return dirs
}

// bytesBelow is what the files below a directory take. Files that vanish meanwhile do not count.
func bytesBelow(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // it is gone
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// buildInfo is the constant 1, labelled with how the binary was made.
func buildInfo() prometheus.Collector {
	labels := prometheus.Labels{"version": "unknown", "revision": "", "go_version": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		labels["version"] = info.Main.Version
		for _, dep := range info.Deps { // in a company's own binary
			if dep.Path == "github.com/braidhq/braid" {
				labels["version"] = dep.Version
			}
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				labels["revision"] = s.Value
			}
		}
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "braid", Name: "build_info", Help: "Always 1; the labels say how the binary was made.", ConstLabels: labels})
	info.Set(1)
	return info
}
