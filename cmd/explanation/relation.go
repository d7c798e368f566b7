package explanation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// Relation is how two identifiers stand to each other: the links that make them one profile, or those that were refused. Its JSON form is
// what GET /v1/identity/explain answers.
type Relation struct {
	A        Side      `json:"a"`
	B        Side      `json:"b"`
	Together bool      `json:"together"`
	Path     []Link    `json:"path"`    // from A to B, when they are together
	Refused  []Refusal `json:"refused"` // links between the two profiles, when they are apart; lightest first
	Rulings  []Ruling  `json:"rulings"` // about the two
}

// Side is one of the two.
type Side struct {
	Identifier string `json:"identifier"`           // normalized
	ProfileID  string `json:"profile_id,omitempty"` // none when nobody has the identifier
	// ProfileKey is the profile key's identifier in the profile, if there is one.
	ProfileKey string `json:"profile_key,omitempty"`
}

// Refusal is a link that does not hold, and why.
type Refusal struct {
	Link
	Reason identity.Reason `json:"reason"`
	// Between are the two identifiers that a ruling keeps apart, when that is the reason.
	Between []string `json:"between,omitempty"`
}

// Ruling is a decision that somebody made.
type Ruling struct {
	Ruling identity.RulingKind `json:"ruling"`
	A      string              `json:"a"`
	B      string              `json:"b"`
	At     string              `json:"at"`
	Event  string              `json:"event"`
}

// Relate says how two identifiers, given as "key:value" and not normalized, stand to each other. An *identity.RefusedError says that one of
// them cannot be an identifier.
func Relate(ctx context.Context, s *segment.Segment, reader *update.Reader, a, b string) (*Relation, error) {
	r := &Relation{Path: []Link{}, Refused: []Refusal{}, Rulings: []Ruling{}}
	folder := reader.Folder()
	var ids [2]identity.Identifier
	var docs [2]*profile.Document
	for i, text := range []string{a, b} {
		var err error
		if ids[i], err = s.Rules.Parse(text); err != nil {
			var refused *identity.RefusedError
			if !errors.As(err, &refused) {
				refused = &identity.RefusedError{Key: text, Reason: identity.NotConfigured}
			}
			return nil, refused
		}
		if docs[i], err = reader.Document(ctx, identity.NewID(s.Name, ids[i])); err != nil {
			return nil, err
		}
		side := &r.A
		if i == 1 {
			side = &r.B
		}
		side.Identifier = ids[i].String()
		if docs[i] != nil {
			side.ProfileID = folder.ID(docs[i]).String()
			for _, m := range docs[i].Members {
				if m.Key == s.ProfileKey {
					side.ProfileKey = m.String()
				}
			}
		}
	}
	if docs[0] == nil || docs[1] == nil {
		return r, nil
	}
	for _, p := range docs[0].Pairs {
		if slices.Contains(ids[:], p.A) && slices.Contains(ids[:], p.B) {
			r.Rulings = rulings(p)
		}
	}
	if r.Together = docs[0].Key == docs[1].Key; r.Together {
		for _, e := range docs[0].Tree(s.Rules).Path(ids[0], ids[1]) {
			r.Path = append(r.Path, link(e))
		}
		return r, nil
	}
	members, edges, pairs := profile.Gather(s.Rules, docs[:]...)
	for _, refused := range identity.Settle(s.Rules, members, edges, pairs).Refused {
		if docs[0].Has(refused.Leader) == docs[0].Has(refused.Other) {
			continue
		}
		refusal := Refusal{Link: link(refused.Edge), Reason: refused.Reason}
		if refused.Pair.A != (identity.Identifier{}) {
			refusal.Between = []string{refused.Pair.A.String(), refused.Pair.B.String()}
		}
		r.Refused = append(r.Refused, refusal)
	}
	return r, nil
}

func link(e identity.Edge) Link {
	return Link{Leader: e.Leader.String(), Other: e.Other.String(), Policy: e.Policy, At: moment(e.At), Event: e.At.ID}
}

func rulings(p identity.Pair) []Ruling {
	all := []Ruling{}
	for _, kind := range []identity.RulingKind{identity.Unlink, identity.Forbid, identity.Allow} {
		at := map[identity.RulingKind]struct {
			id   string
			time string
		}{
			identity.Unlink: {p.Unlinked.ID, moment(p.Unlinked)}, identity.Forbid: {p.Forbidden.ID, moment(p.Forbidden)},
			identity.Allow: {p.Allowed.ID, moment(p.Allowed)},
		}[kind]
		if at.id != "" {
			all = append(all, Ruling{Ruling: kind, A: p.A.String(), B: p.B.String(), At: at.time, Event: at.id})
		}
	}
	slices.SortStableFunc(all, func(a, b Ruling) int { return strings.Compare(a.At, b.At) })
	return all
}

// ParseRelation reads the JSON form of a relation.
func ParseRelation(raw []byte) (*Relation, error) {
	var r Relation
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("relation: %w", err)
	}
	return &r, nil
}

// WriteText prints a relation for people.
func (r *Relation) WriteText(w io.Writer) error {
	var b strings.Builder
	switch {
	case r.A.ProfileID == "" || r.B.ProfileID == "":
		for _, s := range []Side{r.A, r.B} {
			if s.ProfileID == "" {
				fmt.Fprintf(&b, "Nobody has %s.\n", Printable(s.Identifier))
			} else {
				fmt.Fprintf(&b, "%s belongs to profile %s.\n", Printable(s.Identifier), s.ProfileID)
			}
		}
	case r.Together:
		fmt.Fprintf(&b, "%s and %s are one profile, %s:\n", Printable(r.A.Identifier), Printable(r.B.Identifier), r.A.ProfileID)
		at := r.A.Identifier
		for _, l := range r.Path {
			next := l.Other
			if next == at {
				next = l.Leader
			}
			fmt.Fprintf(&b, "  %s\n    with %s by event %s of %s (%s)\n", Printable(at), Printable(next), Printable(l.Event), clock(l.At), policies[l.Policy])
			at = next
		}
		fmt.Fprintf(&b, "  %s\n", Printable(at))
	default:
		fmt.Fprintf(&b, "%s and %s are two profiles:\n", Printable(r.A.Identifier), Printable(r.B.Identifier))
		for _, s := range []Side{r.A, r.B} {
			fmt.Fprintf(&b, "  %s  %s", s.ProfileID, Printable(s.Identifier))
			if s.ProfileKey != "" && s.ProfileKey != s.Identifier {
				fmt.Fprintf(&b, ", who is %s", Printable(s.ProfileKey))
			}
			b.WriteByte('\n')
		}
		if len(r.Refused) == 0 {
			b.WriteString("No event carried an identifier of the one with one of the other.\n")
		}
		for _, l := range r.Refused {
			fmt.Fprintf(&b, "Refused: %s with %s, event %s of %s: %s\n", Printable(l.Leader), Printable(l.Other), Printable(l.Event), clock(l.At), l.why())
		}
	}
	for _, ruling := range r.Rulings {
		fmt.Fprintf(&b, "Ruled: %s at %s, event %s\n", ruling.Ruling, clock(ruling.At), Printable(ruling.Event))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var policies = map[identity.Policy]string{
	identity.KeepFirst:    "the first time the two were seen together",
	identity.MoveToLatest: "the latest time the two were seen together",
}

func (r Refusal) why() string {
	switch r.Reason {
	case identity.TwoPersons:
		return "it would join two values of the profile key"
	case identity.SharedByMany:
		return "one of the two is shared by many people"
	case identity.LimitReached:
		return "it would join more values of a key than a profile may have"
	case identity.PairForbidden:
		return fmt.Sprintf("%s and %s may not share a profile", Printable(r.Between[0]), Printable(r.Between[1]))
	case identity.PairUnlinked:
		return fmt.Sprintf("%s and %s were unlinked, and it was not seen since", Printable(r.Between[0]), Printable(r.Between[1]))
	}
	return string(r.Reason)
}
