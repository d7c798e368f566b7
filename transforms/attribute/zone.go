package attribute

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // zones are the same on every machine

	"github.com/braidhq/braid/transforms/attribute/accumulator"
)

// locations are the time zones met so far, by name.
var locations sync.Map

// location returns the time zone of an IANA name, UTC when there is none.
func location(name string) *time.Location {
	if known, ok := locations.Load(name); ok {
		return known.(*time.Location)
	}
	l, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return time.UTC
	}
	locations.Store(name, l)
	return l
}

func locationOf(v accumulator.Value) *time.Location {
	name, _ := v.Text()
	return location(name)
}

// findZones finds the attributes that hold time zones.
func (s *Set) findZones() (errs []error) {
	for i := range s.definitions {
		c := &s.definitions[i]
		if c.Zone == "" || !zoneIsAttribute(c.Zone) {
			continue
		}
		for j := range s.definitions {
			if o := &s.definitions[j]; o.Name == c.Zone && o.Zone == "" && j != i && (o.kind != nil || o.From != "") {
				c.zone = j
			}
		}
		if c.zone < 0 {
			errs = append(errs, &DefinitionError{Name: c.Name, Err: &FieldError{
				Field: "zone", Message: fmt.Sprintf("there is no attribute %q that has no zone itself", c.Zone), Hint: "an IANA name such as Europe/Berlin, or an attribute that holds one",
			}})
		}
	}
	return errs
}
