package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/braidhq/braid/batch/aggregate"
	"github.com/braidhq/braid/batch/graph"
	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/io/epochs"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// Verification is what came of comparing live profiles with all of history.
type Verification struct {
	Epoch       uint64 `json:"epoch"`       // events before it were compared
	Profiles    int    `json:"profiles"`    // there are
	Compared    int    `json:"compared"`    // of them were, each with all its sets of identifiers
	Cells       int    `json:"cells"`       // sets of identifiers compared
	Events      uint64 `json:"events"`      // that these have
	Differences int    `json:"differences"` // cells and profiles that differ
	// Changed is the number of profiles whose members were not compared, as events came for them meanwhile; what their events before the
	// cut add up to was.
	Changed int `json:"changed"`
	// Evicted is the number of profiles that have forgotten identifiers: which of their events were whose is not known any more.
	Evicted  int      `json:"evicted"`
	Examples []string `json:"examples,omitempty"` // of differences
}

// VerifyOptions say what is compared.
type VerifyOptions struct {
	Sample   int // so many profiles; 0: all
	Progress func(Progress)
}

// examples is how many differences are told.
const examples = 20

// Verify recomputes profiles from archived events with the code of the batch path and compares them with what the real-time path has. The
// stream goes on meanwhile: events from a cut on are left out on both sides.
func Verify(ctx context.Context, c Config, o VerifyOptions) (*Verification, error) {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	conn, err := c.ClickHouse.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	directory, err := snapshot.Open(c.Snapshots)
	if err != nil {
		return nil, err
	}
	dropped, err := archiveForgot(ctx, conn)
	if err != nil {
		return nil, err
	}
	if dropped {
		return nil, ErrForgetful
	}
	o.Progress(Progress{Step: "waiting"})
	epoch, err := c.cut(ctx, conn, func(behind string) { o.Progress(Progress{Step: "waiting", Note: behind}) })
	if err != nil {
		return nil, err
	}
	v := &verification{config: c.Segment.Config().WithHistories(directory), epoch: epoch.Epoch, cells: map[identity.ID]*liveCell{}}
	v.Epoch = epoch.Epoch
	o.Progress(Progress{Step: "reading profiles"})
	if err := v.read(ctx, c.Store, o); err != nil {
		return nil, err
	}
	if err := v.recompute(ctx, c, epoch, o); err != nil {
		return nil, err
	}
	o.Progress(Progress{Step: "identity"})
	cells, rulings, err := graph.Read(ctx, conn, v.config, epoch.Epoch)
	if err != nil {
		return nil, err
	}
	v.compareMembers(graph.Build(v.config, cells, rulings))
	return &v.Verification, nil
}

// verification is one under way.
type verification struct {
	Verification
	config *update.Config
	epoch  uint64
	cells  map[identity.ID]*liveCell
	people []livePerson
	store  update.Store
}

// liveCell is a cell as the real-time path has it: events before the cut, and a hash of them with their states.
type liveCell struct {
	events uint64
	sum    uint64
	key    profile.Key
	met    bool
}

// livePerson is who is in a document.
type livePerson struct {
	id      identity.ID
	members []identity.Identifier
	changed bool // events came for it after the cut
	evicted bool
}

func hash(events uint64, states []byte) uint64 {
	return xxhash.Sum64(fmt.Appendf(states[:len(states):len(states)], "/%d", events))
}

// read takes down what the real-time path has.
func (v *verification) read(ctx context.Context, store update.Store, o VerifyOptions) error {
	v.store = store
	reader := update.NewReader(v.config, store)
	folder := reader.Folder()
	for d, err := range reader.Documents(ctx) {
		if err != nil {
			return err
		}
		v.Profiles++
		if o.Sample > 0 && v.Compared >= o.Sample {
			continue
		}
		p := livePerson{id: folder.ID(d), members: d.Members, evicted: d.Evicted}
		if p.evicted {
			v.Evicted++
		} else {
			v.Compared++
		}
		for _, c := range d.Cells {
			past, changed, err := v.before(folder.History, c)
			if err != nil {
				return err
			}
			p.changed = p.changed || changed
			if !c.Whole && !d.Evicted {
				v.cells[c.ID] = &liveCell{events: past.Events, sum: hash(past.Events, past.States.Append(nil)), key: d.Key}
			}
		}
		if p.changed && !p.evicted {
			v.Changed++
		}
		v.people = append(v.people, p)
		if v.Profiles%10_000 == 0 {
			o.Progress(Progress{Step: "reading profiles", Done: uint64(v.Profiles), Note: "profiles"})
		}
	}
	return nil
}

// before returns what a cell has of the epochs before the cut, and whether it has anything of later ones.
func (v *verification) before(h profile.History, c *profile.Cell) (sum profile.Bucket, changed bool, err error) {
	contents, err := c.Contents(h)
	if err != nil {
		return sum, false, err
	}
	for _, b := range contents {
		if b.Epoch >= v.epoch {
			changed = true
			continue
		}
		if sum.States, err = attribute.Merge(sum.States, b.States); err != nil {
			return sum, false, fmt.Errorf("cell %s: %w", c.ID, err)
		}
		sum.Events += b.Events
	}
	return sum, changed, nil
}

// recompute adds up the archived events and compares.
func (v *verification) recompute(ctx context.Context, c Config, epoch epochs.Epoch, o VerifyOptions) error {
	dir, err := os.MkdirTemp(c.Snapshots, "verify-")
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(c.Snapshots, 0o700); err == nil {
			dir, err = os.MkdirTemp(c.Snapshots, "verify-")
		}
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	a := aggregate.Config{Segment: c.File, ClickHouse: c.ClickHouse, To: epoch.Epoch, Run: dir}
	if o.Sample > 0 {
		for id := range v.cells {
			a.Cells = append(a.Cells, id.String())
		}
	}
	defer aggregate.Forget(dir)
	stop := watch(func() {
		o.Progress(Progress{Step: "recomputing", Done: uint64(aggregate.Progress(dir)), Note: "events"})
	})
	err = c.Execute(ctx, func(s beam.Scope) { snapshot.Collect(s, filepath.Join(dir, "cells"), aggregate.Aggregate(s, a)) })
	stop()
	if err != nil {
		return fmt.Errorf("recomputing: %w", err)
	}
	cells, err := snapshot.Collected(filepath.Join(dir, "cells"))
	if err != nil {
		return err
	}
	evicted := v.Evicted > 0
	for cell, err := range cells {
		if err != nil {
			return err
		}
		live := v.cells[cell.ID]
		switch {
		case live == nil && (evicted || o.Sample > 0): // it may be part of another by now
			continue
		case live == nil:
			v.differ("cell %s: the archive has %d events of it, no profile has any", cell.ID, cell.Events)
			continue
		}
		live.met = true
		v.Cells++
		v.Events += live.events
		if hash(cell.Events, cell.States) != live.sum {
			if err := v.explain(ctx, cell, live); err != nil {
				return err
			}
		}
	}
	for id, live := range v.cells {
		if !live.met && live.events > 0 {
			v.differ("cell %s: the profile has %d events of it, the archive none", id, live.events)
		} else if !live.met { // only links, or nothing before the cut
			v.Cells++
		}
	}
	return nil
}

func (v *verification) differ(format string, args ...any) {
	if v.Differences++; len(v.Examples) < examples {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// explain says in which attributes a cell differs.
func (v *verification) explain(ctx context.Context, cell snapshot.Cell, live *liveCell) error {
	states, err := attribute.DecodeStates(bytes.Clone(cell.States))
	if err != nil {
		return err
	}
	text := fmt.Sprintf("cell %s: %d events in the archive, %d in the profile", cell.ID, cell.Events, live.events)
	d, err := update.NewReader(v.config, v.store).DocumentOf(ctx, live.key)
	if err != nil || d == nil || d.Cell(cell.ID) == nil {
		v.differ("%s", text)
		return err
	}
	c := d.Cell(cell.ID)
	past, _, err := v.before(v.config.Histories.Current(), c)
	if err != nil {
		return err
	}
	now := c.Last.Time
	want, err := v.config.Attributes.Results(now, states, nil)
	if err != nil {
		return err
	}
	got, err := v.config.Attributes.Results(now, past.States, nil)
	if err != nil {
		return err
	}
	for i := range want {
		a, b := want[i].Value.AppendJSON(nil), got[i].Value.AppendJSON(nil)
		if !bytes.Equal(a, b) {
			text += fmt.Sprintf("; %s: %s in the archive, %s in the profile", want[i].Name, clip(a), clip(b))
		}
	}
	var ids []string
	for _, id := range c.Identifiers {
		ids = append(ids, id.String())
	}
	v.differ("%s (%s)", text, strings.Join(ids, " "))
	return nil
}

func clip(text json.RawMessage) string {
	const most = 60
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}

// compareMembers compares who is in which profile. Profiles that changed since the cut, and those whose members' groups they concern, are
// left out.
func (v *verification) compareMembers(groups []graph.Group) {
	of := map[identity.Identifier]int{}
	for i, group := range groups {
		for _, m := range group.Members {
			of[m.Identifier] = i
		}
	}
	touched := map[int]bool{}
	for _, p := range v.people {
		if !p.changed && !p.evicted {
			continue
		}
		for _, m := range p.members {
			if i, ok := of[m]; ok {
				touched[i] = true
			}
		}
	}
	for _, p := range v.people {
		i, known := of[p.members[0]]
		if p.changed || p.evicted || known && touched[i] {
			continue
		}
		if !known {
			v.differ("profile %s: the archive knows nothing of %s", p.id, p.members[0])
			continue
		}
		var want []identity.Identifier
		for _, m := range groups[i].Members {
			want = append(want, m.Identifier)
		}
		slices.SortFunc(want, identity.Identifier.Compare)
		switch {
		case !slices.Equal(want, p.members):
			v.differ("profile %s: by all of history its members are %v, it has %v", p.id, want, p.members)
		case groups[i].ID != p.id:
			v.differ("profile %s: by all of history its ID is %s", p.id, groups[i].ID)
		}
	}
}
