package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sampleEvery is the time between two looks at the memory.
const sampleEvery = 10 * time.Second

// schedule says when each event of the paced load is to be sent; nothing that happens changes it.
type schedule struct {
	start time.Time
	first uint64 // Seq of the first event
	rate  int
}

func (s *schedule) at(seq uint64) time.Time {
	n := int64(seq - s.first)
	rate := int64(s.rate)
	return s.start.Add(time.Duration(n/rate)*time.Second + time.Duration(n%rate)*time.Second/time.Duration(rate))
}

// paced sends events at the rate, whatever becomes of them, and measures until the last is applied.
func (r *run) paced(ctx context.Context, n *node.Node, producer *kgo.Client) error {
	p := &Paced{Rate: r.Rate, Seconds: r.For.Seconds(), Events: int(float64(r.Rate) * r.For.Seconds())}
	r.report.Paced = p
	before := n.Figures().Counts().Applied
	settleMemory()
	n.Figures().ResetLatency()
	watch := startWatch()
	s := &schedule{start: time.Now().Add(100 * time.Millisecond), first: uint64(r.people.Sent()) + 1, rate: r.Rate}
	intended := newIntended(s)
	stop := transforms.Observe(intended.observe)
	defer stop()

	sampling, ended := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { p.sample(sampling, r.deployment().KafkaDir()) })
	sent := make(chan error, 1)
	go func() { sent <- r.send(ctx, s, p.Events, producer, n.Events()) }()
	err := r.until(ctx, n, before+p.Events)
	ended()
	sampler.Wait()
	if err != nil {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	p.measured(watch, n, intended)
	p.Profiles, err = check(ctx, r.people, n.Reader())
	return err
}

func (p *Paced) measured(watch *watch, n *node.Node, i *intended) {
	p.CPU = watch.cpu() / time.Since(watch.began).Seconds()
	p.RSSPeak = peakResident()
	p.LatencyMS = Latency(n.Figures().Latency())
	p.IntendedMS = i.latency()
	half := p.Samples[len(p.Samples)/2:]
	p.GrowthPerMinute = 60 * slope(half, func(s Sample) int64 { return s.RSS })
	p.UnexplainedGrowth = 60 * slope(half, func(s Sample) int64 { return s.RSS - s.Index })
}

// sample looks at the memory at once, then regularly, and at the end.
func (p *Paced) sample(ctx context.Context, kafka string) {
	began := time.Now()
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	p.look(began, kafka)
	for {
		select {
		case <-ticker.C:
			p.look(began, kafka)
		case <-ctx.Done():
			p.look(began, kafka)
			return
		}
	}
}

// send keeps to the schedule: an event that is due is handed to the producer, which never makes the next one wait for an answer.
func (r *run) send(ctx context.Context, s *schedule, events int, producer *kgo.Client, topic string) error {
	failed := make(chan error, 1)
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	for i := 0; i < events; {
		seq := s.first + uint64(i)
		if wait := time.Until(s.at(seq)); wait > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case err := <-failed:
				return fmt.Errorf("sending: %w", err)
			case <-time.After(max(wait, time.Millisecond)):
			}
			continue
		}
		e := r.people.Next()
		e.Received = s.at(e.Seq).UnixMilli()
		producer.Produce(ctx, topics.ToKafka(topic, e.Record()), done)
		i++
	}
	return producer.Flush(ctx)
}

// intended measures from the intended time of an event to its commit.
type intended struct {
	schedule *schedule
	mu       sync.Mutex
	micros   *hdrhistogram.Histogram
}

const longest = int64(time.Hour / time.Microsecond)

func newIntended(s *schedule) *intended {
	return &intended{schedule: s, micros: hdrhistogram.New(1, longest, 3)}
}

func (i *intended) observe(a transforms.Applied) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, in := range a.Inputs {
		if in.Marker != nil || in.Rejected != nil || in.Event.Order.Seq < i.schedule.first {
			continue
		}
		late := a.Committed.Sub(i.schedule.at(in.Event.Order.Seq)).Microseconds()
		_ = i.micros.RecordValue(min(max(late, 1), longest)) // within the bounds
	}
}

func (i *intended) latency() Latency {
	i.mu.Lock()
	defer i.mu.Unlock()
	ms := func(micros int64) float64 { return float64(micros) / 1000 }
	return Latency{P50: ms(i.micros.ValueAtQuantile(50)), P99: ms(i.micros.ValueAtQuantile(99)), Max: ms(i.micros.Max())}
}
