// Package shop makes the customer events that the demo, the tests and the benchmarks run on, each with the outcome it must have.
//
// Month replays a real month of a shop: in go its invoices, generated users and a product catalogue (package data), out comes one
// stream of events in the order of their receive times, with the web and app visits that surround each invoice, and a small share
// of what goes wrong in practice. People is an endless stream over a given number of people, cheap enough to measure others with.
// Truth adds up what profiles must say after the events it was shown. segment.yaml is the configuration that fits all of them.
//
// Everything is a function of the seed: the same options give the same bytes.
package shop

import (
	_ "embed"
	"strconv"

	"github.com/braidhq/braid/transforms/event"
)

// Segment is the configuration that these events are made for: the text of segment.yaml.
//
//go:embed segment.yaml
var Segment []byte

// Tables of the events.
const (
	PageView = "page_view" // a page or a screen was looked at
	Cart     = "cart"      // a product was put into the cart or taken out
	Login    = "login"     // somebody said who they are
	Orders   = "orders"    // an invoice, from the shop's back end
	Refunds  = "refunds"   // a cancelled invoice, from the shop's back end; its total is above zero
)

// Keys are the stitching keys of the segment, most identifying first, and the event field each is found in.
var Keys = []struct{ Key, Field string }{
	{"customer_id", "user_id"},
	{"email", "email"},
	{"device", "device_id"},
	{"advertising_id", "advertising_id"},
	{"cookie", "anonymous_id"},
}

// Identifiers are the valid identifiers of one event in the order of Keys; an empty text is an absent one.
type Identifiers [5]string

// Places of the keys in Identifiers.
const (
	Customer    = iota // a user of the shop
	Email              // an address, in lower case
	Device             // an app on a phone
	Advertising        // a phone
	Cookie             // a browser
)

// Leading returns the most identifying one as "key:value", or an empty text when there is none.
func (ids Identifiers) Leading() string {
	for i, value := range ids {
		if value != "" {
			return Keys[i].Key + ":" + value
		}
	}
	return ""
}

// Pence is an amount of money in hundredths.
type Pence int64

// String returns the amount with two decimals, for example "-12.05".
func (p Pence) String() string { return string(p.append(nil)) }

func (p Pence) append(dst []byte) []byte {
	if p < 0 {
		dst, p = append(dst, '-'), -p
	}
	dst = strconv.AppendInt(dst, int64(p/100), 10)
	return append(dst, '.', byte('0'+p/10%10), byte('0'+p%10))
}

// Outcome is what must become of an event.
type Outcome uint8

// The outcomes.
const (
	Applied   Outcome = iota // it counts, once
	Duplicate                // a sender's retry of an event sent before, within an hour of receive time: it changes nothing
	Rejected                 // it goes to the topic rejected, for Event.Reason
)

// Event is one event as it is sent, and what must become of it.
type Event struct {
	Received int64  // receive time in epoch milliseconds
	Time     int64  // event time as sent, in epoch milliseconds
	ID       string // event_id as sent; empty when the event is too broken to have one
	Table    string // table as sent
	Key      string // record key: the leading identifier as "key:value", empty when there is none
	Source   string // web, ios, android or backend
	Seq      uint64 // ascending within a session, from 1
	Value    []byte // the event record: JSON unless the event is broken on purpose

	Outcome     Outcome
	Reason      event.Reason // why it must be rejected
	Identifiers Identifiers  // what identifies it; empty when it must be rejected
	Amount      Pence        // total of an order or a refund
}

// Headers returns the record headers: received, source, seq.
func (e *Event) Headers() []event.Header {
	b := strconv.AppendInt(make([]byte, 0, 40), e.Received, 10)
	n := len(b)
	b = strconv.AppendUint(b, e.Seq, 10)
	return []event.Header{
		{Key: event.HeaderReceived, Value: b[:n:n]},
		{Key: event.HeaderSource, Value: []byte(e.Source)},
		{Key: event.HeaderSeq, Value: b[n:]},
	}
}

// Record returns the event as a record of the stream, without a position.
func (e *Event) Record() event.Record {
	r := event.Record{Timestamp: e.Received, Value: e.Value, Headers: e.Headers()}
	if e.Key != "" {
		r.Key = []byte(e.Key)
	}
	return r
}
