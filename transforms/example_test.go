package transforms_test

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/event"
)

func ExampleDecode() {
	p, s := beam.NewPipelineWithRoot()
	records := beam.Create(s,
		record(0, 0, `{"event_id":"e0","table":"loans","identifiers":{"card":"7","email":" Ann@X.example "}}`),
		record(1, 5, `{"event_id":"e1","table":"returns","identifiers":{"card":"7"}}`),
		tick(2, 10))
	beam.ParDo0(s, printInput, transforms.Decode(s, library, records))
	if _, err := direct.Run(context.Background(), p, direct.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// event e0 [card:7 email:ann@x.example]
	// rejected 1 unknown_table
	// marker 2
}

func ExampleUpdate() {
	p, s := beam.NewPipelineWithRoot()
	inputs := transforms.Decode(s, library, beam.Create(s,
		record(0, 0, `{"event_id":"e0","table":"visits","identifiers":{"cookie":"c"}}`),
		record(1, 5, `{"event_id":"e1","table":"loans","identifiers":{"card":"7","cookie":"c"},"properties":{"books":3}}`)))
	effects := transforms.Update(s, library, "memory:example-update", inputs)
	beam.ParDo0(s, printEffect, effects) // in a job kafkaio.Write sends them
	if _, err := direct.Run(context.Background(), p, direct.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// identity-changes braid.library.events/0/0 created
	// identity-changes braid.library.events/0/1 extended
	// profiles braid.library.events/0/2 {"books":3,"visits":1}
}

func ExampleAdvance() {
	ctx := context.Background()
	const store = "memory:example-advance"
	for _, bundle := range [][]event.Record{
		{record(0, 0, `{"event_id":"e0","table":"visits","identifiers":{"card":"7"}}`)}, // published at once
		{record(1, 5, `{"event_id":"e1","table":"visits","identifiers":{"card":"7"}}`)}, // held back: that was a moment ago
		{tick(2, 1005)}, // the topic's clock moves on
	} {
		p, s := beam.NewPipelineWithRoot()
		transforms.Update(s, library, store, transforms.Decode(s, library, beam.CreateList(s, bundle)))
		if _, err := direct.Run(ctx, p, direct.Options{}); err != nil {
			fmt.Println(err)
		}
	}

	p, s := beam.NewPipelineWithRoot()
	effects := transforms.Advance(s, library, store, libraryEvents)
	beam.ParDo0(s, announce, effects) // in a job kafkaio.Write sends them
	engine, err := direct.Start(ctx, p, direct.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a second later", <-announced)
	if err := engine.Drain(ctx); err != nil { // it would look for more for ever
		fmt.Println(err)
	}
	// Output:
	// a second later {"books":0,"visits":2}
}

func ExampleDraft() {
	p, s := beam.NewPipelineWithRoot()
	raw := func(offset int64, value string) event.Record {
		return event.Record{Position: event.Position{Topic: "raw.loans", Offset: offset}, Timestamp: opened, Value: []byte(value)}
	}
	drafts, rejected := transforms.Draft(s, library, beam.Create(s,
		raw(0, `{"table":"visits","identifiers":{"card":"7"}}`),
		raw(1, `{"card":"7","books":["Emma","Ulysses"]}`),
		raw(2, `{"card":`)))
	beam.ParDo0(s, printDraft, drafts)
	beam.ParDo0(s, printRejected, rejected)
	if _, err := direct.Run(context.Background(), p, direct.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// visits: identifiers "{\"card\":\"7\"}", properties ""
	// loans: identifiers "", properties "{\"card\":\"7\",\"books\":[\"Emma\",\"Ulysses\"]}"
	// rejected raw.loans/0/2 malformed_json  at byte 8: the text ends where a value should be <nil>
}

func ExampleSeal() {
	p, s := beam.NewPipelineWithRoot()
	origin := event.Position{Topic: "raw.loans", Partition: 2, Offset: 41}
	loan := event.Draft{Table: "loans", Received: opened, Identifiers: event.Texts(map[string]string{"card": "7"}), Origin: origin}
	first, second, bad := loan, loan, loan
	first.Properties, second.Properties, bad.Properties = []byte(`{"book":"Emma"}`), []byte(`{"book":"Ulysses"}`), []byte(`{"book":`)
	records, rejected := transforms.Seal(s, library, beam.Create(s, first, second, bad))
	beam.ParDo0(s, printRecord, records)
	beam.ParDo0(s, printRejected, rejected)
	if _, err := direct.Run(context.Background(), p, direct.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// card:7 {"event_id":"raw.loans/2/41/0","table":"loans","identifiers":{"card":"7"},"properties":{"book":"Emma"}}
	// card:7 {"event_id":"raw.loans/2/41/1","table":"loans","identifiers":{"card":"7"},"properties":{"book":"Ulysses"}}
	// rejected raw.loans/2/41/2 malformed_json properties at byte 8: the text ends where a value should be <nil>
}
