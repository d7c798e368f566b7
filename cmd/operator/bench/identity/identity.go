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
	// Sharers is how many people share one identifier; default 100,000.
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
	Shared              Shared  `json:"shared"`
}

// Shared is an identifier that very many people share.
type Shared struct {
	People        int     `json:"people"`
	FirstMicros   float64 `json:"first_micros"`   // an event, of the first tenth of the people
	LastMicros    float64 `json:"last_micros"`    // and of the last tenth
	DocumentBytes int     `json:"document_bytes"` // of the profile that has it in the end, with its cells
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
		func() error { return r.share(s, o.Sharers) },
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
	fmt.Fprintf(o.Out, "  an identifier that %d people share: %.1f us an event at first, %.1f us in the end, its document has %d bytes\n",
		r.Shared.People, r.Shared.FirstMicros, r.Shared.LastMicros, r.Shared.DocumentBytes)
	return r, nil
}
