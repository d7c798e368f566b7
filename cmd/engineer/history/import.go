package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/tabular"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

// Import says what is sent where.
type Import struct {
	Config  *update.Config
	Client  kafkaio.Client
	Topic   string // of events
	Mapping Mapping
	Format  tabular.Format // default by the names of the files
	// State is the directory in which is noted how far each file is.
	State string
	// Rejects is told of rows that are no events; it may be nil.
	Rejects func(Reject)
	DryRun  bool // read and check only
	// Progress is told after some rows; it may be nil.
	Progress func(file string, s Summary)
}

// Reject is a row that is no event.
type Reject struct {
	File   string `json:"file"`
	Row    int64  `json:"row"` // from 1; a header does not count
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// Summary is what became of rows.
type Summary struct {
	Files    int            `json:"files"`
	Rows     int64          `json:"rows"`     // read
	Sent     int64          `json:"sent"`     // acknowledged by the broker
	Before   int64          `json:"before"`   // sent by an import that was broken off
	Rejected map[string]int `json:"rejected"` // by reason
}

// portion is how many rows are sent before it is noted.
const portion = 20_000

// note is how far an import of a file is. Rows were sent, and further ones perhaps, behind the offsets.
type note struct {
	Version int             `json:"v"`
	File    string          `json:"file"`
	Bytes   int64           `json:"bytes"`
	Rows    int64           `json:"rows"`
	Offsets map[int32]int64 `json:"offsets"`
	Done    bool            `json:"done"`
}

// Run sends files one after the other. A file that was imported whole before is passed over.
func (im Import) Run(ctx context.Context, files []string) (s Summary, err error) {
	s.Rejected = map[string]int{}
	options, err := im.options()
	if err != nil {
		return s, err
	}
	var client *kgo.Client
	if !im.DryRun {
		if client, err = kgo.NewClient(append(options, kgo.DefaultProduceTopic(im.Topic))...); err != nil {
			return s, err
		}
		defer client.Close()
	}
	for _, file := range files {
		f := &fileImport{Import: im, path: file, client: client, total: &s}
		if err := f.run(ctx); err != nil {
			return s, fmt.Errorf("%s: %w", file, err)
		}
		s.Files++
	}
	return s, nil
}

func (im Import) options() ([]kgo.Opt, error) {
	if im.DryRun {
		return nil, nil
	}
	options, err := im.Client.Options()
	return append(options, kgo.DisableClientMetrics()), err
}

// fileImport is the import of one file.
type fileImport struct {
	Import
	path   string
	client *kgo.Client
	total  *Summary
	note   note
	there  map[string]bool // events of the portion under way that the stream has already

	mu     sync.Mutex
	failed error
}

func (f *fileImport) run(ctx context.Context) error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if err := f.begin(ctx, info); err != nil || f.note.Done {
		return err
	}
	table, err := tabular.Open(f.path, f.Format)
	if err != nil {
		return err
	}
	defer table.Close()
	format := f.Format
	if ext := filepath.Ext(f.path); format == "" && (ext == ".jsonl" || ext == ".ndjson") {
		format = tabular.Lines
	}
	m, err := newMapper(f.Config, f.Mapping, filepath.Base(f.path), format, table.Columns())
	if err != nil {
		return err
	}
	from := f.note.Rows
	for number := int64(1); ; number++ {
		values, err := table.Next()
		if errors.Is(err, io.EOF) {
			return f.end(ctx, number-1, true)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("row %d: %w", number, err), f.end(ctx, number-1, false))
		}
		f.total.Rows++
		if number <= from {
			f.total.Before++
			continue
		}
		if err := f.send(ctx, m, number, values); err != nil {
			return errors.Join(err, f.end(ctx, number-1, false))
		}
		if (number-from)%portion == 0 {
			if err := f.end(ctx, number, false); err != nil {
				return err
			}
		}
		if f.Progress != nil && number%1000 == 0 {
			f.mu.Lock() // what has arrived is counted meanwhile
			sum := *f.total
			f.mu.Unlock()
			f.Progress(f.path, sum)
		}
	}
}

// begin reads how far an earlier import of the file came, and what the stream has of the portion that it was broken off in.
func (f *fileImport) begin(ctx context.Context, info os.FileInfo) error {
	f.note = note{Version: 1, File: f.path, Bytes: info.Size()}
	if f.DryRun {
		return nil
	}
	raw, err := os.ReadFile(f.noteFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.save(ctx, 0, false)
	case err != nil:
		return err
	}
	var before note
	if err := json.Unmarshal(raw, &before); err != nil {
		return fmt.Errorf("how far an earlier import came, %s: %w", f.noteFile(), err)
	}
	if before.Bytes != info.Size() {
		return fmt.Errorf("it was imported before, as far as row %d, and has changed since; give the new rows a file of their own, or remove %s to import it once more", before.Rows, f.noteFile())
	}
	f.note = before
	if f.note.Done {
		return nil
	}
	f.there, err = f.behind(ctx)
	return err
}

func (f *fileImport) noteFile() string {
	path, err := filepath.Abs(f.path)
	if err != nil {
		path = f.path
	}
	return filepath.Join(f.State, fmt.Sprintf("%s-%08x.json", filepath.Base(f.path), uint32(xxhash.Sum64String(path))))
}

// behind returns the imported events that the stream has behind the offsets of the note.
func (f *fileImport) behind(ctx context.Context) (map[string]bool, error) {
	ends, err := kadm.NewClient(f.client).ListEndOffsets(ctx, f.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	from := map[int32]kgo.Offset{}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if start := f.note.Offsets[o.Partition]; start < o.Offset {
			from[o.Partition], left[o.Partition] = kgo.NewOffset().At(start), o.Offset
		}
	})
	there := map[string]bool{}
	if len(from) == 0 {
		return there, nil
	}
	options, err := f.options()
	if err != nil {
		return nil, err
	}
	reader, err := kgo.NewClient(append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.Topic: from}))...)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if e, err := event.Decode(topics.FromKafka(r, [16]byte{}), event.Limits{}); err == nil && e.Source == Source {
				there[e.ID] = true
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return there, nil
}

// send sends a row.
func (f *fileImport) send(ctx context.Context, m *mapper, number int64, values []string) error {
	r, err := m.record(number, values)
	if err != nil {
		f.reject(number, "not_an_event", err.Error())
		return nil
	}
	in := f.Config.Prepare(r)
	switch {
	case in.Rejected != nil:
		f.reject(number, string(in.Rejected.Reason), in.Rejected.Detail)
		return nil
	case f.DryRun:
		return nil
	case f.there[in.Event.ID]:
		f.total.Before++
		return nil
	}
	f.client.Produce(ctx, topics.ToKafka("", r), func(_ *kgo.Record, err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err == nil {
			f.total.Sent++
		} else if f.failed == nil {
			f.failed = fmt.Errorf("the broker did not take a row: %w", err)
		}
	})
	return nil
}

func (f *fileImport) reject(number int64, reason, detail string) {
	f.total.Rejected[reason]++
	if f.Rejects != nil {
		f.Rejects(Reject{f.path, number, reason, detail})
	}
}

// end waits until what was sent has arrived, and notes it.
func (f *fileImport) end(ctx context.Context, rows int64, done bool) error {
	if f.DryRun {
		return nil
	}
	err := f.client.Flush(ctx)
	f.mu.Lock()
	err = errors.Join(err, f.failed)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	f.there = nil
	return f.save(ctx, rows, done)
}

func (f *fileImport) save(ctx context.Context, rows int64, done bool) error {
	ends, err := kadm.NewClient(f.client).ListEndOffsets(ctx, f.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	f.note.Rows, f.note.Done, f.note.Offsets = rows, done, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { f.note.Offsets[o.Partition] = o.Offset })
	raw, err := json.Marshal(f.note)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.State, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(f.noteFile()+".new", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(f.noteFile()+".new", f.noteFile())
}
