package event

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"
)

// FromRaw makes a draft of a raw record, which holds any JSON object: an event, perhaps without an ID or a table, or something that a
// transform is to turn into one. Of an object with none of identifiers, properties and context all of it becomes the properties.
// The table is that of the event or, where it names none, the last part of the topic's name. The error is a *Rejection.
func FromRaw(r Record, limits Limits) (Draft, error) {
	e := Event{Raw: r.Value, Position: r.Position, Received: r.Timestamp}
	if err := e.headers(r.Headers); err != nil {
		return Draft{}, err
	}
	if err := e.index(limits.withDefaults()); err != nil {
		return Draft{}, err
	}
	d := Draft{
		Key: string(r.Key), Received: e.Received, Source: e.Source, Seq: e.Order.Seq, Origin: r.Position,
		Table: r.Topic[strings.LastIndexByte(r.Topic, '.')+1:],
	}
	if id := e.Field("event_id"); id.Type == gjson.String {
		d.ID = id.Str
	}
	if table := e.Field("table"); table.Type == gjson.String && table.Str != "" {
		d.Table = table.Str
	}
	if err := e.times(limits.withDefaults().Skew); err != nil {
		return Draft{}, err
	}
	d.Time = e.Time
	whole := true
	for field, name := range map[*json.RawMessage]string{&d.Identifiers: "identifiers", &d.Properties: "properties", &d.Context: "context"} {
		v := e.Field(name)
		switch {
		case !v.Exists() || v.Type == gjson.Null:
		case !v.IsObject():
			return Draft{}, &Rejection{Reason: WrongType, Field: name, Detail: "is " + kind(v.Raw) + ", not an object"}
		default:
			*field, whole = json.RawMessage(v.Raw), false
		}
	}
	if whole {
		d.Properties = r.Value
	}
	return d, nil
}
