package graph

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

// Kind is what the rows of a file mean.
type Kind string

// The kinds.
const (
	Links   Kind = "links"   // the identifiers of a row belong together
	Forbids Kind = "forbids" // columns a and b: two identifiers, each as "key:value", that may not share a profile
)

// Import says what is sent where.
type Import struct {
	Kind   Kind
	Rules  *identity.Rules
	Client kafkaio.Client
	Topic  string // of events
	Origin string // where the rows come from; kept with the links
	Time   int64  // of rows that have none, epoch milliseconds
	From   int64  // first row that is sent; those before it were sent before
	DryRun bool   // count only
	// Progress is told after some rows; it may be nil.
	Progress func(Summary)
}

// Summary is what was sent.
type Summary struct {
	Rows    int64                    `json:"rows"`    // read, those that were passed over included
	Sent    int64                    `json:"sent"`    // acknowledged by the broker
	Useless int64                    `json:"useless"` // rows with less than two identifiers that count
	Refused map[identity.Refusal]int `json:"refused"` // identifiers that identify nobody, by reason
	// Next is the row to go on from when it was not all.
	Next int64 `json:"next"`
}

// progressRows is how many rows lie between two words of progress.
const progressRows = 5000

// Run sends the rows of a file. The same rows give the same events, so that what is sent again changes nothing.
func (im Import) Run(ctx context.Context, rows *Reader) (s Summary, err error) {
	s = Summary{Refused: map[identity.Refusal]int{}, Next: 1}
	var producer *kgo.Client
	if !im.DryRun {
		options, err := im.Client.Options()
		if err != nil {
			return s, err
		}
		if producer, err = kgo.NewClient(append(options, kgo.DisableClientMetrics(), kgo.DefaultProduceTopic(im.Topic))...); err != nil {
			return s, err
		}
		defer producer.Close()
	}
	flight := flight{next: 1}
	defer func() { s.Sent, s.Next = flight.sent, flight.next }()
	for {
		row, err := rows.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return s, errors.Join(err, flight.land(ctx, producer))
		}
		s.Rows++
		if row.Number < im.From {
			flight.next = row.Number + 1
			continue
		}
		d, ok := im.draft(row, &s)
		switch {
		case !ok:
			s.Useless++
		case im.DryRun:
		default:
			if err := flight.send(ctx, producer, d); err != nil {
				return s, errors.Join(err, flight.land(ctx, producer))
			}
		}
		if s.Rows%progressRows == 0 {
			if err := flight.landed(ctx, producer, row.Number+1); err != nil {
				return s, err
			}
			if s.Sent, s.Next = flight.sent, flight.next; im.Progress != nil {
				im.Progress(s)
			}
		}
	}
	return s, flight.landed(ctx, producer, s.Rows+1)
}

// draft returns the event of a row, and false when it joins nothing.
func (im Import) draft(row Row, s *Summary) (event.Draft, bool) {
	var ids, names []string // as they are sent, and normalized
	for _, text := range row.Identifiers {
		if im.Kind == Forbids {
			text = text[len("a:"):]
		}
		raw, err := identity.ParseIdentifier(text)
		reason := identity.NotConfigured
		var id identity.Identifier
		if err == nil {
			id, reason = im.Rules.Normalize(raw.Key, raw.Value)
		}
		if reason != "" {
			s.Refused[reason]++
			continue
		}
		if name := id.String(); !slices.Contains(names, name) {
			if slices.Contains(im.Rules.Conceals(), id.Key) {
				text = name
			}
			ids, names = append(ids, text), append(names, name)
		}
	}
	if len(ids) < 2 {
		return event.Draft{}, false
	}
	slices.Sort(ids)
	at := row.Time
	if at == 0 {
		at = im.Time
	}
	d := event.Draft{Table: update.TableLinks, Time: at, Received: at, Source: "import", Key: ids[0]}
	var properties any = update.LinkProperties{Identifiers: ids, Origin: im.Origin}
	if im.Kind == Forbids {
		d.Table = update.TableRulings
		properties = update.RulingProperties{Ruling: identity.Forbid, A: ids[0], B: ids[1], Reason: im.Origin}
	}
	d.Properties, _ = json.Marshal(properties) // texts only: cannot fail
	sum := sha256.Sum256([]byte(d.Table + "\n" + im.Origin + "\n" + strconv.FormatInt(at, 10) + "\n" + strings.Join(ids, "\n")))
	d.ID = "import/" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
	return d, true
}

// flight is what is on its way to the broker.
type flight struct {
	mu     sync.Mutex
	sent   int64
	failed error
	next   int64 // row up to which all has arrived
}

func (f *flight) send(ctx context.Context, producer *kgo.Client, d event.Draft) error {
	r, err := event.New(d)
	if err != nil {
		return err
	}
	producer.Produce(ctx, topics.ToKafka("", r), func(_ *kgo.Record, err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err == nil {
			f.sent++
		} else if f.failed == nil {
			f.failed = fmt.Errorf("the broker did not take a row: %w", err)
		}
	})
	return nil
}

// land waits for what is on its way.
func (f *flight) land(ctx context.Context, producer *kgo.Client) error {
	if producer == nil {
		return nil
	}
	err := producer.Flush(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(err, f.failed)
}

// landed waits for what is on its way and notes up to which row that is.
func (f *flight) landed(ctx context.Context, producer *kgo.Client, next int64) error {
	err := f.land(ctx, producer)
	if err == nil {
		f.next = next
	}
	return err
}
