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
	// Unsettled is the number of documents that changed while they were looked at: another recheck is needed.
	Unsettled int `json:"unsettled"`
}

// Recheck settles all identifiers of a segment at once, by all links and rulings that the store holds, and corrects what differs. It
// is needed where something was cut off and more hung together than Step looks at; such documents say so. Effects are given to send, if there is one, else left for the
// pipeline. All identifiers and links are held in memory.
func Recheck(ctx context.Context, config *Config, store Store, send func([]Effect) error) (Rechecked, error) {
	done := Rechecked{Changes: map[ChangeKind]int{}}
	worker := NewWorker(config, store)
	homes, marked := map[identity.Identifier]profile.Key{}, map[profile.Key]bool{}
	sizes := map[profile.Key]int{}
	var members []identity.Identifier
	var edges []identity.Edge
	var pairs []identity.Pair
	for d, err := range NewReader(config, store).all(ctx) {
		if err != nil {
			return done, err
		}
		done.Documents++
		for _, m := range d.Members {
			if _, twice := homes[m]; !twice {
				members = append(members, m)
			}
			homes[m] = d.Key
		}
		sizes[d.Key], marked[d.Key] = len(d.Members), d.Recheck
		edges, pairs = append(edges, d.Edges(config.Rules)...), append(pairs, d.Pairs...)
	}
	done.Identifiers, done.Links, done.Rulings = len(members), len(edges), len(pairs)
	settled := identity.Settle(config.Rules, members, edges, pairs)
	for _, work := range apart(settled.Groups, homes, sizes, marked) {
		result, err := worker.retry(func() (Result, error) { return worker.recheck(ctx, work) })
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
		done.Unsettled += result.Skipped
	}
	return done, nil
}

// recheckWork is some documents and the groups that their members are to be.
type recheckWork struct {
	documents []profile.Key
	groups    [][]identity.Identifier
}

// apart returns what has to be done about documents that are not groups, or are marked.
func apart(groups [][]identity.Identifier, homes map[identity.Identifier]profile.Key, sizes map[profile.Key]int, marked map[profile.Key]bool) []recheckWork {
	parent := map[profile.Key]profile.Key{}
	find := func(k profile.Key) profile.Key {
		for parent[k] != (profile.Key{}) && parent[k] != k {
			k = parent[k]
		}
		return k
	}
	concerned := map[profile.Key]bool{}
	for _, g := range groups {
		first := homes[g[0]]
		wrong := len(g) != sizes[first]
		for _, m := range g[1:] {
			wrong = wrong || homes[m] != first
			if a, b := find(first), find(homes[m]); a != b {
				parent[a] = b
			}
		}
		for _, m := range g {
			concerned[homes[m]] = concerned[homes[m]] || wrong || marked[homes[m]]
		}
	}
	byRoot := map[profile.Key]*recheckWork{}
	var order []profile.Key
	for _, g := range groups {
		if !concerned[homes[g[0]]] {
			continue
		}
		root := find(homes[g[0]])
		if byRoot[root] == nil {
			byRoot[root] = &recheckWork{}
			order = append(order, root)
		}
		work := byRoot[root]
		work.groups = append(work.groups, g)
		for _, m := range g {
			if !slices.Contains(work.documents, homes[m]) {
				work.documents = append(work.documents, homes[m])
			}
		}
	}
	all := make([]recheckWork, len(order))
	for i, root := range order {
		all[i] = *byRoot[root]
	}
	return all
}

// recheck deals the members of some documents out to groups, in one transaction. Documents that changed since are left alone and counted
// as skipped.
func (w *Worker) recheck(ctx context.Context, work recheckWork) (Result, error) {
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
	in := &Input{Event: event.Event{ID: traceRecheck}, Received: received}
	r := regroup{config: w.config, docs: docs, in: in, set: set, groups: work.groups}
	box := boxes.byPartition[bucketOf(work.documents[0])]
	for _, change := range r.run() {
		result.Changes[change.Kind]++
		if err := box.identityChange(in, change); err != nil {
			return result, err
		}
	}
	for _, e := range r.set {
		e.header = e.header || e.Recheck
		e.Recheck = false
	}
	if err := w.config.publish(docs, func(*Input) *outbox { return box }); err != nil {
		return result, err
	}
	return result, w.commit(ctx, docs, progress, boxes, &result)
}

// traceRecheck stands for the event in effects that a recheck caused.
const traceRecheck = "recheck"
