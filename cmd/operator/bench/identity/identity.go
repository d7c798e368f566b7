// Package identity measures who belongs together: how right it is, on a month of events of which it is known whose every identifier is,
// and how fast, in the pure core.
package identity

import (
	"context"
	"fmt"
	"io"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/segment"
)

// Options say what to measure.
type Options struct {
	// Segment is the segment file's text; default that of the shop.
	Segment []byte
	// Traffic multiplies the month's visits; default 1.
	Traffic float64
	// Sharers is how many people share one browser, and how many browsers one person has; default 100,000.
	Sharers int
	Out     io.Writer
}

// Report is what was measured.
type Report struct {
	Events      int `json:"events"`
	Profiles    int `json:"profiles"`
	Identifiers int `json:"identifiers"` // of those whose owners are known
	// Precision is the part of the pairs of identifiers within a profile that have an owner in common; Recall that of the pairs of one
	// owner that events connect which are within a profile.
	Precision   float64 `json:"precision"`
	Recall      float64 `json:"recall"`
	WrongPairs  int     `json:"wrong_pairs"`
	MissedPairs int     `json:"missed_pairs"`
	// Corrections is what settling all links at once still changed: nothing, if the work of each event was exact.
	Corrections int `json:"corrections"`

	CoreEventsPerSecond float64 `json:"core_events_per_second"` // one processor, documents in memory
	TreeMicros          float64 `json:"tree_micros"`            // an event of a person with 200 identifiers
	ContestMicros       float64 `json:"contest_micros"`         // an event that a person with 200 identifiers loses one by
	Shared              Flood   `json:"shared"`                 // a browser that very many customers share
	Hub                 Flood   `json:"hub"`                    // a customer with very many browsers
}

// Flood is an identifier that is seen with very many others.
type Flood struct {
	Others        int     `json:"others"`
	FirstMicros   float64 `json:"first_micros"`   // an event, of the first tenth of them
	LastMicros    float64 `json:"last_micros"`    // and of the last tenth
	Cells         int     `json:"cells"`          // of the profile that has it in the end
	DocumentBytes int     `json:"document_bytes"` // likewise, with its cells
}

// Run measures.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Segment == nil {
		o.Segment = shop.Segment
	}
	if o.Sharers == 0 {
		o.Sharers = 100_000
	}
	s, err := segment.Parse("segment.yaml", o.Segment)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	fmt.Fprintln(o.Out, "a month of events, every identifier's owner known")
	if err := r.judge(ctx, s, o); err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Out, "  %d events, %d profiles, %d identifiers with known owners\n", r.Events, r.Profiles, r.Identifiers)
	fmt.Fprintf(o.Out, "  precision %.6f (%d wrong pairs)  recall %.6f (%d missed pairs)\n", r.Precision, r.WrongPairs, r.Recall, r.MissedPairs)
	fmt.Fprintf(o.Out, "  corrections when all links are settled at once: %d\n", r.Corrections)
	fmt.Fprintln(o.Out, "the core, one processor")
	for _, measure := range []func() error{
		func() error { return r.core(s, o) },
		func() error { return r.trees(s) },
		func() (err error) {
			r.Shared, err = flood(s, o.Sharers, func(i int) *shop.Event { return pageView(i, i, 0) }, pageView(o.Sharers, -1, 0))
			return err
		},
		func() (err error) {
			r.Hub, err = flood(s, o.Sharers, func(i int) *shop.Event { return pageView(i, 0, i) }, pageView(o.Sharers, 0, 0))
			return err
		},
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := measure(); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(o.Out, "  %.0f events/s\n", r.CoreEventsPerSecond)
	fmt.Fprintf(o.Out, "  a person with 200 identifiers: %.1f us an event, %.1f us one that moves an identifier\n", r.TreeMicros, r.ContestMicros)
	for _, f := range []struct {
		what string
		Flood
	}{{"a browser that %d customers share", r.Shared}, {"a customer with %d browsers", r.Hub}} {
		fmt.Fprintf(o.Out, "  "+f.what+": %.1f us an event at first, %.1f us in the end, %d cells, %d bytes\n",
			f.Others, f.FirstMicros, f.LastMicros, f.Cells, f.DocumentBytes)
	}
	return r, nil
}
