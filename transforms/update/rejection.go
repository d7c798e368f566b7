package update

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
)

func unknownTable(table string, tables map[string][]identity.Source) *event.Rejection {
	return &event.Rejection{
		Reason: event.UnknownTable, Field: "table",
		Detail: fmt.Sprintf("is %q, which the segment does not list; it has %s", table, strings.Join(slices.Sorted(maps.Keys(tables)), ", ")),
	}
}

func noIdentifier(table string, sources []identity.Source, refused []identity.RefusedValue) *event.Rejection {
	fields := make([]string, len(sources))
	for i, s := range sources {
		fields[i] = s.Field
	}
	detail := fmt.Sprintf("has none that counts; table %q finds them in %s", table, strings.Join(fields, ", "))
	for _, r := range refused {
		detail += fmt.Sprintf("; %s %q: %s", r.Key, r.Value, r.Reason)
	}
	return &event.Rejection{Reason: event.NoIdentifier, Field: "identifiers", Detail: detail}
}
