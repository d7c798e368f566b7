// Package replay sends rejected events again: in go the records of the topic rejected up to its present end, out go the originals to the
// topics they came from, with their receive time kept and their old position in a header.
//
// What was sent is noted in a ledger kept with the offsets of a consumer group, after the brokers have acknowledged it, so that a
// second run does not send it again. A crash in between sends at most the records of the last step twice; since they keep event ID
// and receive time, they count once. An event that is rejected again is a new record of the topic, and belongs to the next run.
package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/event"
)

// HeaderReplayOf names the header of a record that was sent again; it holds the position it was rejected at, TOPIC/PARTITION/OFFSET.
const HeaderReplayOf = "replay_of"

// Group names the consumer group whose offsets hold the ledger of a segment.
func Group(segment string) string { return "braid." + segment + ".replay-rejected" }

// Options say what to send again.
type Options struct {
	Client  kafkaio.Client
	Segment string // name
	// Reasons are those to send again; default all.
	Reasons []event.Reason
	// Since leaves out what was rejected before; default nothing.
	Since time.Time
	// DryRun looks and counts, but sends and notes nothing.
	DryRun bool
	// Route returns the key under which an event belongs into the stream by today's rules, or ""; then, and by default, the old key stays.
	Route func(table string, raw []byte) string
	// Progress is called after each step; default not.
	Progress func(Summary)
}

// Summary is what a run did.
type Summary struct {
	Total     int64                `json:"total"`                // records to look at, about
	Seen      int64                `json:"seen"`                 // records looked at
	Sent      int64                `json:"sent"`                 // sent again; in a dry run: would be
	ByReason  map[event.Reason]int `json:"by_reason"`            // of Sent
	Before    int64                `json:"before"`               // sent again by an earlier run
	Filtered  int64                `json:"filtered"`             // of other reasons
	Cut       int64                `json:"cut"`                  // not whole any more, so they cannot be sent
	Damaged   int64                `json:"damaged"`              // records of the topic that cannot be read
	Positions []string             `json:"unsendable,omitempty"` // of what was cut or damaged, at most 100: positions in the topic rejected
	DryRun    bool                 `json:"dry_run"`
}

// maxPositions is how many positions a Summary lists.
const maxPositions = 100

// stepRecords is about how many records are sent between two notes in the ledger.
const stepRecords = 1000

// Run sends rejected events again. The summary is good with an error, too: what it counts as sent was acknowledged and noted.
func Run(ctx context.Context, options Options) (Summary, error) {
	r := &run{Options: options, topic: topics.Name(options.Segment, topics.Rejected), group: Group(options.Segment)}
	r.summary = Summary{ByReason: map[event.Reason]int{}, DryRun: options.DryRun}
	err := r.run(ctx)
	if err != nil {
		err = fmt.Errorf("replay: %w", err)
	}
	return r.summary, err
}

type run struct {
	Options
	topic, group string
	summary      Summary
	client       *kgo.Client
	admin        *kadm.Client
	partitions   map[int32]*partition
}

// partition is one partition of the topic rejected.
type partition struct {
	ledger   *ledger
	from, at int64 // how far the ledger is written, and how far this run has come
	end      int64 // where it ends
}

func (r *run) run(ctx context.Context) error {
	options, err := r.Client.Options()
	if err != nil {
		return err
	}
	options = append(options, kgo.ProducerBatchMaxBytes(4<<20), kgo.KeepControlRecords(), kgo.ClientID("braid-replay"),
		kgo.DisableClientMetrics(), kgo.ProducerLinger(2*time.Millisecond))
	if r.client, err = kgo.NewClient(options...); err != nil {
		return err
	}
	defer r.client.CloseAllowingRebalance()
	r.admin = kadm.NewClient(r.client)
	if err := r.plan(ctx); err != nil || len(r.partitions) == 0 {
		return err
	}
	starts := map[int32]kgo.Offset{}
	for num, p := range r.partitions {
		starts[num] = kgo.NewOffset().At(p.at)
	}
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: starts})
	for r.left() {
		records, err := r.poll(ctx)
		if err != nil {
			return err
		}
		if err := r.step(ctx, records); err != nil {
			return err
		}
	}
	return nil
}

// pollWait is how long no record may come before the log is asked whether there still are any.
const pollWait = 5 * time.Second

// poll returns the next records. None means that retention took what was left.
func (r *run) poll(ctx context.Context) ([]*kgo.Record, error) {
	limited, cancel := context.WithTimeout(ctx, pollWait)
	defer cancel()
	fetches := r.client.PollRecords(limited, stepRecords)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if records := fetches.Records(); len(records) > 0 {
		return records, nil
	}
	for _, f := range fetches.Errors() {
		if !errors.Is(f.Err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("reading %s/%d: %w", f.Topic, f.Partition, f.Err)
		}
	}
	starts, err := listed(r.admin.ListStartOffsets(ctx, r.topic))
	for num, p := range r.partitions {
		if start, ok := starts.Lookup(r.topic, num); ok && err == nil {
			p.at = max(p.at, min(p.end, start.Offset))
		}
	}
	return nil, err
}

// plan finds out where each partition begins and ends, and what was sent before.
func (r *run) plan(ctx context.Context) error {
	details, err := r.admin.ListTopics(ctx, r.topic)
	if err == nil {
		err = details[r.topic].Err
	}
	if err != nil {
		return fmt.Errorf("topic %s: %w", r.topic, err)
	}
	starts, err := listed(r.admin.ListStartOffsets(ctx, r.topic))
	if err != nil {
		return err
	}
	if !r.Since.IsZero() {
		if starts, err = listed(r.admin.ListOffsetsAfterMilli(ctx, r.Since.UnixMilli(), r.topic)); err != nil {
			return err
		}
	}
	ends, err := listed(r.admin.ListEndOffsets(ctx, r.topic))
	if err != nil {
		return err
	}
	noted, err := r.admin.FetchOffsetsForTopics(ctx, r.group, r.topic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // it is made when something is noted
		return fmt.Errorf("offsets of group %s: %w", r.group, err)
	}
	r.partitions = map[int32]*partition{}
	for num := range details[r.topic].Partitions {
		start, _ := starts.Lookup(r.topic, num)
		end, ok := ends.Lookup(r.topic, num)
		if !ok {
			return fmt.Errorf("topic %s has no end in partition %d", r.topic, num)
		}
		metadata := ""
		if o, ok := noted.Lookup(r.topic, num); ok {
			if o.Err != nil {
				return fmt.Errorf("offsets of group %s: %w", r.group, o.Err)
			}
			metadata = o.Metadata
		}
		l, err := readLedger(metadata, details[r.topic].ID)
		if err != nil {
			return err
		}
		p := &partition{ledger: l, from: l.next(), at: max(start.Offset, l.next()), end: end.Offset}
		if !r.Since.IsZero() {
			p.from = p.at // what came before is left for another run
		}
		if p.at < p.end {
			r.partitions[num] = p
			r.summary.Total += p.end - p.at
		}
	}
	return nil
}

func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = offsets.Error()
	}
	return offsets, err
}

func (r *run) left() bool {
	for _, p := range r.partitions {
		if p.at < p.end {
			return true
		}
	}
	return false
}

// step sends what is to be sent of the records, waits for the acknowledgements, and notes it.
func (r *run) step(ctx context.Context, records []*kgo.Record) error {
	var out []*kgo.Record
	after := r.summary
	after.ByReason = map[event.Reason]int{}
	for reason, n := range r.summary.ByReason {
		after.ByReason[reason] = n
	}
	for _, record := range records {
		p := r.partitions[record.Partition]
		if p == nil || record.Offset >= p.end {
			if p != nil {
				p.at = p.end
			}
			continue
		}
		p.at = record.Offset + 1
		if record.Attrs.IsControl() {
			continue
		}
		if again := r.judge(p, record, &after); again != nil {
			out = append(out, again)
		}
	}
	if !r.DryRun {
		if err := r.send(ctx, out); err != nil {
			return err
		}
		if err := r.note(ctx); err != nil {
			return err
		}
	}
	r.summary = after
	if r.Progress != nil {
		r.Progress(r.summary)
	}
	return nil
}

// judge counts a record of the topic rejected, and returns what is to be sent, if anything.
func (r *run) judge(p *partition, record *kgo.Record, s *Summary) *kgo.Record {
	s.Seen++
	unsendable := func(n *int64) {
		*n++
		if len(s.Positions) < maxPositions {
			s.Positions = append(slices.Clip(s.Positions), position(record.Topic, record.Partition, record.Offset))
		}
	}
	rejected, err := event.DecodeRejected(record.Value)
	switch {
	case err != nil:
		unsendable(&s.Damaged)
	case len(r.Reasons) > 0 && !slices.Contains(r.Reasons, rejected.Reason):
		s.Filtered++
	case p.ledger.has(record.Offset, rejected.Reason):
		s.Before++
	case !rejected.Replayable():
		unsendable(&s.Cut)
	default:
		s.Sent++
		s.ByReason[rejected.Reason]++
		return r.again(rejected)
	}
	return nil
}

// again is the original, as it is to be sent.
func (r *run) again(rejected event.RejectedRecord) *kgo.Record {
	original := rejected.Original()
	out := &kgo.Record{Topic: original.Topic, Key: original.Key, Value: original.Value, Timestamp: time.UnixMilli(original.Timestamp)}
	if r.Route != nil {
		probe := event.Event{Raw: original.Value}
		if key := r.Route(probe.Field("table").Str, original.Value); key != "" {
			out.Key = []byte(key)
		}
	}
	for _, h := range original.Headers {
		if h.Key != HeaderReplayOf {
			out.Headers = append(out.Headers, kgo.RecordHeader(h))
		}
	}
	out.Headers = append(out.Headers, kgo.RecordHeader{Key: HeaderReplayOf, Value: []byte(position(rejected.Topic, rejected.Partition, rejected.Offset))})
	return out
}

func (r *run) send(ctx context.Context, records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	var errs []error
	for _, result := range r.client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			errs = append(errs, fmt.Errorf("sending to %s: %w", result.Record.Topic, result.Err))
		}
	}
	if len(errs) > 3 {
		errs = append(errs[:3], fmt.Errorf("and %d more", len(errs)-3))
	}
	return errors.Join(errs...)
}

// note writes the ledgers as they are now, also when the command is being stopped.
func (r *run) note(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	offsets := kadm.Offsets{}
	for num, p := range r.partitions {
		if p.at == p.from {
			continue
		}
		p.ledger.add(p.from, p.at, r.Reasons)
		p.from = p.at
		text, err := p.ledger.encode()
		if err != nil {
			return err
		}
		offsets.Add(kadm.Offset{Topic: r.topic, Partition: num, At: p.ledger.next(), LeaderEpoch: -1, Metadata: text})
	}
	if len(offsets) == 0 {
		return nil
	}
	if err := r.admin.CommitAllOffsets(ctx, r.group, offsets); err != nil {
		return fmt.Errorf("noting what was sent in group %s: %w", r.group, err)
	}
	return nil
}

func position(topic string, partition int32, offset int64) string {
	return topic + "/" + strconv.Itoa(int(partition)) + "/" + strconv.FormatInt(offset, 10)
}
