package scenario

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
	"github.com/tidwall/gjson"
)

// Teller returns an effect in the words of scripts.
type Teller func(w *World, e update.Effect) (string, error)

var tellers = map[string]Teller{}

// RegisterTopic says how the effects of a topic, given by its name within the segment, are told. It panics when that was said before,
// so it belongs into an init function. Effects of other topics are told as JSON.
func RegisterTopic(topic string, tell Teller) {
	if tellers[topic] != nil {
		panic(fmt.Sprintf("scenario.RegisterTopic: topic %q is there twice", topic))
	}
	tellers[topic] = tell
}

func init() {
	RegisterTopic(update.TopicProfiles, tellProfile)
	RegisterTopic(update.TopicIdentityChanges, tellIdentity)
	RegisterTopic(update.TopicAudienceChanges, tellAudience)
	RegisterTopic(update.TopicRejected, tellRejected)
}

// Name returns the identifier that a profile ID stands for: cookie:a1.
func (w *World) Name(id identity.ID) string { return w.nameOf(id.String()) }

func (w *World) nameOf(id string) string {
	if name, ok := w.names[id]; ok {
		return name
	}
	return id
}

var profileID = regexp.MustCompile(`\b[a-z2-7]{26}\b`)

// Tell returns an effect in the words of scripts, profile IDs as the identifiers they stand for.
func (w *World) Tell(e update.Effect) (string, error) {
	if tell := tellers[e.Topic]; tell != nil {
		return tell(w, e)
	}
	return profileID.ReplaceAllStringFunc(string(e.Value), w.nameOf), nil
}

// Cause returns the ID of the event that caused an effect, or "due" when it was time alone.
func (w *World) Cause(e update.Effect) string {
	trace := gjson.GetBytes(e.Value, "trace").Str
	if name, ok := w.places[trace]; ok {
		return name
	}
	return trace
}

func tellProfile(w *World, e update.Effect) (string, error) {
	var p struct {
		ProfileID    string `json:"profile_id"`
		SupersededBy string `json:"superseded_by"`
		Profile      struct {
			Events int `json:"events"`
		} `json:"profile"`
	}
	if err := json.Unmarshal(e.Value, &p); err != nil {
		return "", err
	}
	if p.SupersededBy != "" {
		return w.nameOf(p.ProfileID) + " goes on as " + w.nameOf(p.SupersededBy), nil
	}
	return w.nameOf(p.ProfileID) + " has " + Count(p.Profile.Events, "event"), nil
}

func tellIdentity(w *World, e update.Effect) (string, error) {
	var c update.IdentityEffect
	if err := json.Unmarshal(e.Value, &c); err != nil {
		return "", err
	}
	after := w.nameOf(c.After)
	var before []string
	for _, id := range c.Before {
		before = append(before, w.nameOf(id))
	}
	moved := strings.Join(c.Moved, " ")
	if c.Unlisted > 0 {
		moved += fmt.Sprintf(" and %d more", c.Unlisted)
	}
	text := string(c.Kind)
	switch {
	case c.Kind == update.ProfileCreated && moved == after:
		return text + " " + after, nil
	case c.Kind == update.ProfileCreated:
		return text + " " + after + " of " + moved, nil
	case c.Kind == update.ProfileExtended && len(before) == 1:
		text += " " + before[0] + " by " + moved
		if after != before[0] {
			text += ", now " + after
		}
	case c.Kind == update.ProfilesMerged && len(before) == 2:
		text += " " + before[0] + " and " + before[1] + " into " + after
	case c.Kind == update.ProfilesMoved && len(before) == 2:
		text += " " + moved + " from " + before[1] + " to " + before[0]
	case c.Kind == update.ProfileSplit && len(before) == 1:
		text += " " + moved + " from " + before[0] + ", now " + after
	case c.Kind == update.LinkRefused:
		text += " to join " + strings.Join(before, " and ")
		if c.Reason != identity.TwoPersons {
			text += ", " + string(c.Reason)
		}
	case c.Kind == update.ValuesRefused:
		for i, r := range c.Refused {
			text += fmt.Sprintf("%s %s %q, %s", []string{"", ";"}[min(i, 1)], r.Key, r.Value, r.Reason)
		}
		return text, nil
	case c.Kind == update.IdentifiersEvicted:
		text += fmt.Sprintf(" of %s: %s, %s", after, moved, c.Reason)
	default:
		text += fmt.Sprintf(" %s into %s, moved %s", strings.Join(before, " and "), after, moved)
	}
	if c.Leader != "" {
		text += " (" + c.Leader + " with " + c.Other + ")"
	}
	return text, nil
}

func tellAudience(w *World, e update.Effect) (string, error) {
	var c update.AudienceEffect
	if err := json.Unmarshal(e.Value, &c); err != nil {
		return "", err
	}
	text := w.nameOf(c.ProfileID) + " " + string(c.Change) + " " + c.Audience
	for i, name := range slices.Sorted(maps.Keys(c.Because)) {
		text += []string{", for ", ", "}[min(i, 1)] + name + " is " + string(c.Because[name])
	}
	return text, nil
}

func tellRejected(_ *World, e update.Effect) (string, error) {
	r, err := event.DecodeRejected(e.Value)
	if err != nil {
		return "", err
	}
	return string(r.Reason), nil
}

// Count returns a number of things: 1 event, 2 events.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// text tells what became of a record: whether it counted, whom it brought together, what of it was not used.
func (o *Outcome) text(w *World) (string, error) {
	var lines []string
	switch {
	case o.Result.Duplicates > 0:
		lines = append(lines, "counted before")
	case o.Result.Events > 0:
		lines = append(lines, "counted")
	}
	for _, t := range o.Troubles {
		lines = append(lines, t.Text)
	}
	for _, e := range o.Effects {
		if e.Topic != update.TopicIdentityChanges || gjson.GetBytes(e.Value, "kind").Str == string(update.ValuesRefused) { // these are troubles
			continue
		}
		line, err := w.Tell(e)
		if err != nil {
			return "", err
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), nil
}
