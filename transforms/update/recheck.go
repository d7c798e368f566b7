package update

import (
	"context"
	"slices"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// Rechecked is what a recheck found and did.
type Rechecked struct {
	Documents   int                `json:"documents"`
	Identifiers int                `json:"identifiers"`
	Links       int                `json:"links"`
	Rulings     int                `json:"rulings"`
	Changes     map[ChangeKind]int `json:"changes"`
	Corrected   int                `json:"corrected"` // documents that were written anew
	// Unsettled is the number of documents that changed while they were looked at: another recheck is needed.
	Unsettled int `json:"unsettled"`
}

// Recheck settles all identifiers of a segment at once, by all links and rulings that the store holds, and corrects what differs. It
// is needed where something was cut off and more hung together than Step looks at; such documents say so. Effects are given to send, if there is one, else left for the
// pipeline. All identifiers and links are held in memory.
func Recheck(ctx context.Context, config *Config, store Store, send func([]Effect) error) (Rechecked, error) {
	done := Rechecked{Changes: map[ChangeKind]int{}}
	c, err := takeCensus(ctx, config, store)
	if err != nil {
		return done, err
	}
	done.Documents, done.Identifiers, done.Links, done.Rulings = len(c.documents), len(c.members), len(c.edges), len(c.pairs)
	settled := identity.Settle(config.Rules, c.members, c.edges, c.pairs)
	c.refuse(settled.Groups)
	worker := NewWorker(config, store)
	for _, work := range c.wrong(settled.Groups) {
		result, err := worker.retry(func() (Result, error) { return worker.recheck(ctx, work, c.refused) })
		if err != nil {
			return done, err
		}
		if send != nil {
			if err := send(result.Effects); err != nil {
				return done, err
			}
			worker.Settle()
		}
		for kind, n := range result.Changes {
			done.Changes[kind] += n
		}
		done.Corrected += len(work.documents) - result.Skipped
		done.Unsettled += result.Skipped
	}
	return done, nil
}

// census is what all documents of a segment say.
type census struct {
	documents map[profile.Key]*counted
	homes     map[identity.Identifier]profile.Key
	members   []identity.Identifier
	edges     []identity.Edge
	pairs     []identity.Pair
	refused   map[identity.Identifier][]identity.Link // links between groups, by their other end
}

// counted is what a census keeps of a document.
type counted struct {
	members []identity.Identifier
	refused []identity.Link
	marked  bool
	strays  []identity.Identifier // leaders of cells, elsewhere: the rules are others than those it was made by
}

func takeCensus(ctx context.Context, config *Config, store Store) (*census, error) {
	c := &census{documents: map[profile.Key]*counted{}, homes: map[identity.Identifier]profile.Key{}, refused: map[identity.Identifier][]identity.Link{}}
	for d, err := range NewReader(config, store).all(ctx) {
		if err != nil {
			return nil, err
		}
		for _, m := range d.Members {
			if _, twice := c.homes[m]; !twice {
				c.members = append(c.members, m)
			}
			c.homes[m] = d.Key
		}
		n := &counted{members: d.Members, refused: d.Refused, marked: d.Recheck || d.Forgot}
		for _, cell := range d.Cells {
			if leader := cell.Leader(config.Rules); !d.Has(leader) {
				n.strays = append(n.strays, leader)
			}
		}
		c.documents[d.Key] = n
		c.edges, c.pairs = append(c.edges, d.Edges(config.Rules)...), append(c.pairs, d.Pairs...)
	}
	return c, nil
}

// refuse notes the links between groups.
func (c *census) refuse(groups [][]identity.Identifier) {
	of := map[identity.Identifier]int{}
	for i, g := range groups {
		for _, m := range g {
			of[m] = i + 1
		}
	}
	for _, e := range c.edges {
		if a, b := of[e.Leader], of[e.Other]; a != 0 && b != 0 && a != b {
			c.refused[e.Other] = append(c.refused[e.Other], e.Link)
		}
	}
	for other, links := range c.refused {
		slices.SortFunc(links, identity.Link.Compare)
		c.refused[other] = slices.Compact(links)
	}
}

// remembers reports whether a document remembers the refused links that it should.
func (c *census) remembers(d *counted) bool {
	n := 0
	for _, m := range d.members {
		for _, l := range c.refused[m][:min(len(c.refused[m]), profile.RefusedPerMember)] {
			if n++; !slices.Contains(d.refused, l) && len(c.refused[m]) <= profile.RefusedPerMember {
				return false
			}
		}
	}
	return n == len(d.refused)
}

// recheckWork is some documents and the groups that their members are to be.
type recheckWork struct {
	documents []profile.Key
	groups    [][]identity.Identifier
}

// wrong returns what has to be done about documents that are not groups, hold what belongs elsewhere, or are marked.
func (c *census) wrong(groups [][]identity.Identifier) []recheckWork {
	parent := map[profile.Key]profile.Key{}
	find := func(k profile.Key) profile.Key {
		root := k
		for parent[root] != (profile.Key{}) {
			root = parent[root]
		}
		for k != root {
			k, parent[k] = parent[k], root
		}
		return root
	}
	unite := func(a, b profile.Key) {
		if a, b = find(a), find(b); a != b {
			parent[a] = b
		}
	}
	concerned := map[profile.Key]bool{} // by root in the end
	for key, d := range c.documents {
		concerned[key] = d.marked || len(d.strays) > 0 || !c.remembers(d)
		for _, leader := range d.strays {
			if home, ok := c.homes[leader]; ok {
				unite(key, home)
			}
		}
	}
	for _, g := range groups {
		first := c.homes[g[0]]
		concerned[first] = concerned[first] || len(g) != len(c.documents[first].members)
		for _, m := range g[1:] {
			if home := c.homes[m]; home != first {
				concerned[first] = true
				unite(first, home)
			}
		}
	}
	roots := map[profile.Key]bool{}
	for key, is := range concerned {
		if is {
			roots[find(key)] = true
		}
	}
	works := map[profile.Key]*recheckWork{}
	var order []profile.Key
	for _, g := range groups {
		root := find(c.homes[g[0]])
		if !roots[root] {
			continue
		}
		if works[root] == nil {
			works[root] = &recheckWork{}
			order = append(order, root)
		}
		works[root].groups = append(works[root].groups, g)
	}
	for key := range c.documents {
		if work := works[find(key)]; work != nil {
			work.documents = append(work.documents, key)
		}
	}
	all := make([]recheckWork, len(order))
	for i, root := range order {
		all[i] = *works[root]
		slices.SortFunc(all[i].documents, func(a, b profile.Key) int { return slices.Compare(a[:], b[:]) })
	}
	return all
}

// recheck deals the members of some documents out to groups, in one transaction. Documents that changed since are left alone and counted
// as skipped.
func (w *Worker) recheck(ctx context.Context, work recheckWork, refused map[identity.Identifier][]identity.Link) (Result, error) {
	result := Result{Changes: map[ChangeKind]int{}}
	docs := NewDocuments()
	l := loader{store: w.store, keys: rowKeys{keyspace: w.keys}, docs: docs}
	missing, err := l.documents(ctx, work.documents)
	if err != nil {
		return result, err
	}
	var have, want []identity.Identifier
	var set []*entry
	var received int64
	for _, key := range work.documents {
		if e := docs.documents[key]; e != nil {
			set, have, received = append(set, e), append(have, e.Members...), max(received, e.Published)
			for _, c := range e.Cells {
				received = max(received, c.Last.Time)
			}
		}
	}
	for _, g := range work.groups {
		want = append(want, g...)
	}
	slices.SortFunc(have, identity.Identifier.Compare)
	slices.SortFunc(want, identity.Identifier.Compare)
	if len(missing) > 0 || !slices.Equal(have, want) {
		result.Skipped = len(work.documents)
		return result, nil
	}
	progress, boxes, err := w.buckets(ctx, work.documents[:1], &result)
	if err != nil {
		return result, err
	}
	bucket := bucketOf(work.documents[0])
	box := boxes.byPartition[bucket]
	in := &Input{
		Event: event.Event{ID: traceRecheck}, Received: received,
		Position: event.Position{Topic: bucket.Topic, Partition: bucket.Partition, Offset: int64(box.first)},
	}
	r := regroup{config: w.config, docs: docs, in: in, set: set, groups: work.groups}
	for _, change := range r.run() {
		result.Changes[change.Kind]++
		if err := box.identityChange(in, change); err != nil {
			return result, err
		}
	}
	for _, e := range r.set {
		e.Recheck, e.Forgot, e.Refused, e.header = false, false, nil, true
		for _, m := range e.Members {
			for _, l := range refused[m] {
				e.Refuse(l)
			}
		}
	}
	if err := w.config.publish(docs, func(*Input) *outbox { return box }); err != nil {
		return result, err
	}
	return result, w.commit(ctx, docs, progress, boxes, &result)
}

// traceRecheck stands for the event in effects that a recheck caused.
const traceRecheck = "recheck"
