package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/update"
)

// Administrate returns a client for a cluster, which ends with the test.
func Administrate(t testing.TB, brokers []string) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DisableClientMetrics(), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(4<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// Broker runs the broker of a place while no process does; one that is not embedded runs anyway. The returned function ends it.
func (p *Place) Broker() (brokers []string, end func()) {
	p.t.Helper()
	if d := p.Deployment(); d.Kafka.Embedded == nil {
		return d.Client().Brokers, func() {}
	}
	broker, err := embedded.StartBroker(context.Background(), embedded.Options{Dir: p.Deployment().KafkaDir()})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { broker.Close() })
	return broker.Addresses(), func() {
		p.t.Helper()
		if err := broker.Close(); err != nil {
			p.t.Fatal(err)
		}
	}
}

// Applied waits until everything in the topic of events has been applied: the group, which never runs ahead of the store, is at the end.
func (p *Process) Applied() {
	p.t.Helper()
	segment := p.place.Segment().Name
	topic, group := topics.Name(segment, topics.Events), pipelines.GroupRealtime(segment)
	admin := Administrate(p.t, p.Endpoints.Kafka)
	Await(p.t, "the end of the stream", func(ctx context.Context) error {
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err = errors.Join(err, ends.Error()); err != nil {
			return err
		}
		committed, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return err
		}
		ends.Each(func(end kadm.ListedOffset) {
			if at, _ := committed.Lookup(topic, end.Partition); at.At < end.Offset {
				err = fmt.Errorf("partition %d is applied up to %d of %d", end.Partition, at.At, end.Offset)
			}
		})
		return err
	})
}

// Agrees checks that profiles say exactly what the people did. It asks once: everything must have been applied.
func (p *Process) Agrees(people *shop.People) {
	p.t.Helper()
	wrong := 0
	for want := range people.Totals() {
		got, err := p.Profile(p.t.Context(), want.Key, want.Value)
		if err != nil {
			p.t.Errorf("%s %s: %v", want.Key, want.Value, err)
		} else if differences := compare(got, want); len(differences) > 0 {
			p.t.Errorf("%s %s: %s", want.Key, want.Value, strings.Join(differences, ", "))
		} else {
			continue
		}
		if wrong++; wrong == 10 {
			p.t.Fatal("and perhaps more")
		}
	}
	if wrong > 0 {
		p.t.FailNow()
	}
}

func compare(got Profile, want shop.ProfileTotals) (differences []string) {
	wanted := map[string]string{
		"views": fmt.Sprint(want.Views), "orders": fmt.Sprint(want.Orders), "refunds": fmt.Sprint(want.Refunds),
		"revenue": want.Revenue.String(), "refunded": want.Refunded.String(),
	}
	if got.Events != want.Events {
		differences = append(differences, fmt.Sprintf("%d events, want %d", got.Events, want.Events))
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if found, want := number(got.Attributes[name]), number(json.RawMessage(wanted[name])); found != want {
			differences = append(differences, fmt.Sprintf("%s %s, want %s", name, found, want))
		}
	}
	return differences
}

// number gives amounts one form: no trailing zeros, and zero for nothing.
func number(raw json.RawMessage) string {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return "0"
	}
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Published waits until what was published of each of the people's profiles is all of it, and no effect is missing among those sent.
func (p *Process) Published(people *shop.People) {
	p.t.Helper()
	want := map[string]int{}
	for total := range people.Totals() {
		profile, err := p.Profile(p.t.Context(), total.Key, total.Value)
		if err != nil {
			p.t.Fatal(err)
		}
		want[profile.ID] = profile.Events
	}
	segment := p.place.Segment().Name
	Await(p.t, "the profiles' publication", func(ctx context.Context) error {
		effects, err := ReadEffects(ctx, p.Endpoints.Kafka, segment)
		if err != nil {
			return err
		}
		if gaps := effects.Gaps(); len(gaps) > 0 {
			return fmt.Errorf("%d effects are missing, among them %s", len(gaps), gaps[0])
		}
		for id, events := range want {
			if have := effects.Published[id]; have != events {
				return fmt.Errorf("profile %s was published with %d events, it has %d", id, have, events)
			}
		}
		return nil
	})
}

// Audit goes over a place at rest, which was stopped after Published, and returns its effects: the stream is applied to its end, and
// the effects are those the store gave out, no more and no fewer.
func (p *Place) Audit(brokers []string) *Effects {
	p.t.Helper()
	progress, segment := p.Progress(), p.Segment().Name
	effects, err := ReadEffects(p.t.Context(), brokers, segment)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(effects.Violations) > 0 {
		p.t.Errorf("%d violations: %s", len(effects.Violations), strings.Join(effects.Violations[:min(5, len(effects.Violations))], "; "))
	}
	if err := effects.Complete(progress); err != nil {
		p.t.Error(err)
	}
	topic := topics.Name(segment, topics.Events)
	ends, err := Administrate(p.t, brokers).ListEndOffsets(p.t.Context(), topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		p.t.Fatal(err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		at := progress[update.Partition{Topic: topic, Partition: end.Partition}]
		if at.NextOffset > end.Offset {
			p.t.Errorf("partition %d is applied up to %d, it ends at %d", end.Partition, at.NextOffset, end.Offset)
		}
	})
	return effects
}
