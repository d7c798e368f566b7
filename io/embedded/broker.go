package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Durability says what an acknowledged record survives.
type Durability string

const (
	// DurabilityProcess acknowledges when the operating system has the record: it survives a killed process.
	DurabilityProcess Durability = "process"
	// DurabilityFsync acknowledges when the record is on disk: it survives a power cut, at a quarter of the speed or less.
	DurabilityFsync Durability = "fsync"
)

// Options says where and how a broker runs.
type Options struct {
	// Dir is the broker's own directory, made if needed. Required.
	Dir string
	// Port is the port on 127.0.0.1; 0 takes a free one.
	Port int
	// Durability is DurabilityProcess unless said otherwise.
	Durability Durability
	// RetentionBytes is kept per partition of a topic that does not say so itself (retention.bytes). Default 1 GiB; -1 keeps all.
	RetentionBytes int64
	// RetentionAge is kept in topics that do not say so themselves (retention.ms). Default 7 days; -1 keeps all.
	RetentionAge time.Duration
	// RetentionInterval is the time between two looks at what may go. Default 30 seconds.
	RetentionInterval time.Duration
	// Now is the clock that ages segments. Default time.Now.
	Now func() time.Time
	// Logger receives the broker's warnings. Default slog.Default.
	Logger *slog.Logger
}

// Validate reports the first option that makes no sense.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return errors.New("embedded broker: no directory given")
	case o.Port < 0 || o.Port > 65535:
		return fmt.Errorf("embedded broker: port %d is not between 0 and 65535", o.Port)
	case o.Durability != "" && o.Durability != DurabilityProcess && o.Durability != DurabilityFsync:
		return fmt.Errorf("embedded broker: durability %q is neither %q nor %q", o.Durability, DurabilityProcess, DurabilityFsync)
	case o.RetentionBytes < -1:
		return fmt.Errorf("embedded broker: retention of %d bytes", o.RetentionBytes)
	case o.RetentionAge < -1:
		return fmt.Errorf("embedded broker: retention age %v", o.RetentionAge)
	case o.RetentionInterval < 0:
		return fmt.Errorf("embedded broker: retention interval %v", o.RetentionInterval)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Durability == "" {
		o.Durability = DurabilityProcess
	}
	if o.RetentionBytes == 0 {
		o.RetentionBytes = 1 << 30
	}
	if o.RetentionAge == 0 {
		o.RetentionAge = 7 * 24 * time.Hour
	}
	if o.RetentionInterval == 0 {
		o.RetentionInterval = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Broker is a running embedded Kafka broker.
type Broker struct {
	options Options
	lock    *DirectoryLock
	cluster *kfake.Cluster
	address string
	client  *kgo.Client
	admin   *kadm.Client

	stop   context.CancelFunc
	loop   sync.WaitGroup
	closed sync.Once
	space  space
}

// StartBroker locks the directory, recovers what is in it, compacts compacted topics and serves. The context bounds the start only;
// Close ends the broker. An error that wraps ErrLocked means that another process has the directory.
func StartBroker(ctx context.Context, options Options) (_ *Broker, err error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	lock, err := LockDirectory(options.Dir)
	if err != nil {
		return nil, err
	}
	b := &Broker{options: options, lock: lock, space: space{dir: options.Dir}}
	defer func() {
		if err != nil {
			b.release()
		}
	}()
	gate := newGate()
	defer gate.open()
	if b.cluster, err = kfake.NewCluster(b.clusterOptions(gate)...); err != nil {
		return nil, fmt.Errorf("embedded broker in %s: %w", options.Dir, err)
	}
	b.address = b.cluster.ListenAddrs()[0]
	if b.client, err = kgo.NewClient(
		kgo.SeedBrokers(gate.address()),
		kgo.Dialer(gate.dial),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.MetadataMinAge(20*time.Millisecond), // topics come and go: listings must not be answered from a cache
		kgo.ClientID("braid-embedded"),
		kgo.DisableClientMetrics(), // else closing waits for an answer to the last push
	); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	b.admin = kadm.NewClient(b.client)
	if err = b.compact(ctx); err != nil {
		return nil, fmt.Errorf("embedded broker in %s: compacting: %w", options.Dir, err)
	}
	debug.FreeOSMemory() // recovery after a kill held the records in memory
	loopCtx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.loop.Go(func() { b.retain(loopCtx) })
	return b, nil
}

// maxBatchBytes is the largest batch the broker takes in a topic that does not say so itself.
const maxBatchBytes = 8 << 20

func (b *Broker) clusterOptions(gate *gate) []kfake.Opt {
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(b.options.Port),
		kfake.ListenFn(gate.listen),
		kfake.DataDir(b.options.Dir),
		kfake.ClusterID("braid-embedded"),
		kfake.WithLogger(brokerLog{b.options.Logger, &b.space}),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms":    strconv.FormatInt((100 * 365 * 24 * time.Hour).Milliseconds(), 10), // never: see the package comment
			"log.retention.bytes":       strconv.FormatInt(b.options.RetentionBytes, 10),
			"log.retention.ms":          strconv.FormatInt(ageMillis(b.options.RetentionAge), 10),
			"message.max.bytes":         strconv.Itoa(maxBatchBytes),
			"offsets.retention.minutes": strconv.Itoa(10 * 365 * 24 * 60),
		}),
	}
	if b.options.Durability == DurabilityFsync {
		options = append(options, kfake.SyncWrites())
	}
	return options
}

func ageMillis(age time.Duration) int64 {
	if age < 0 {
		return -1
	}
	return age.Milliseconds()
}

// Addresses returns where clients reach the broker: one "127.0.0.1:port".
func (b *Broker) Addresses() []string { return []string{b.address} }

// Durability returns what an acknowledged record survives.
func (b *Broker) Durability() Durability { return b.options.Durability }

// DiskBytes returns the size of all files in the broker's directory.
func (b *Broker) DiskBytes() (int64, error) {
	var total int64
	err := filepath.WalkDir(b.options.Dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreMissing(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		total += info.Size()
		return nil
	})
	return total, err
}

// ignoreMissing drops the error of a file that went away while the directory was read: retention works beside us.
func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Close stops serving, writes what makes the next start fast and unlocks the directory. Clients see their connections end. Closing
// twice is harmless.
func (b *Broker) Close() error {
	var err error
	b.closed.Do(func() { err = b.release() })
	return err
}

func (b *Broker) release() error {
	if b.stop != nil {
		b.stop()
		b.loop.Wait()
	}
	if b.client != nil {
		b.client.Close()
	}
	if b.cluster != nil {
		b.cluster.Close()
	}
	return b.lock.Release()
}

// brokerLog passes the broker's messages on. They are the only way in which it tells of a full disk.
type brokerLog struct {
	to    *slog.Logger
	space *space
}

// Logf implements kfake.Logger.
func (l brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	l.space.hear(args)
	at := slog.LevelDebug // also for its informational messages: there is one per request
	switch level {
	case kfake.LogLevelError:
		at = slog.LevelError
	case kfake.LogLevelWarn:
		at = slog.LevelWarn
	}
	if l.to.Enabled(context.Background(), at) {
		l.to.Log(context.Background(), at, "embedded broker: "+fmt.Sprintf(format, args...))
	}
}
