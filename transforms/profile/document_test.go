package profile_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawCells draws events and folds them into the cells of a person.
func drawCells(t testing.TB, rt *rapid.T, f *profile.Folder) []*profile.Cell {
	sets := [][]identity.Identifier{
		ids("user_id:7"), ids("user_id:7", "email:x"), ids("email:x", "cookie:a"), ids("cookie:a"), ids("cookie:b", "user_id:7"),
	}
	cells := make([]*profile.Cell, len(sets))
	for i := range rapid.IntRange(1, 20).Draw(rt, "events") {
		s := rapid.IntRange(0, len(sets)-1).Draw(rt, "set")
		if cells[s] == nil {
			cells[s] = profile.NewCell("test", sets[s])
		}
		at := start + rapid.Int64Range(0, 50).Draw(rt, "at")
		e := newEvent(fmt.Sprint("e", i), at, fmt.Sprintf(`{"n":%d,"text":"t%d"}`, rapid.IntRange(-9, 9).Draw(rt, "n"), i))
		fold(t, f, cells[s], e, rapid.Uint64Range(0, 3).Draw(rt, "epoch"), 0)
	}
	return slices.DeleteFunc(cells, func(c *profile.Cell) bool { return c == nil })
}

// Un-merging is folding fewer cells: what a document gives once cells came and went is what those that are left give alone, and
// those taken out give what they would give alone.
func TestUnmerge(t *testing.T) {
	f := newFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		cells := drawCells(t, rt, f)
		leaders := rapid.SliceOfDistinct(rapid.SampledFrom(ids("user_id:7", "email:x", "cookie:a", "cookie:b")), rapid.ID[identity.Identifier]).Draw(rt, "leaders")
		var stay, leave []*profile.Cell
		for _, c := range cells {
			if slices.Contains(leaders, c.Leader(f.Rules)) {
				leave = append(leave, c)
			} else {
				stay = append(stay, c)
			}
		}
		d := documentOf(rapid.Permutation(cells).Draw(rt, "order")...)
		all := string(view(t, f, d).AppendJSON(nil))
		taken := d.TakeCells(f.Rules, leaders)
		left, alone := &profile.Document{Members: d.Members, Cells: d.Cells}, &profile.Document{Members: d.Members}
		for _, c := range stay {
			alone.AddCell(c)
		}
		other, otherAlone := &profile.Document{Members: d.Members}, &profile.Document{Members: d.Members}
		for _, c := range taken {
			other.AddCell(c)
		}
		for _, c := range leave {
			otherAlone.AddCell(c)
		}
		for _, pair := range [][2]*profile.Document{{alone, left}, {otherAlone, other}} {
			if diff := cmp.Diff(string(view(t, f, pair[0]).AppendJSON(nil)), string(view(t, f, pair[1]).AppendJSON(nil))); diff != "" {
				rt.Fatalf("after taking cells out (-alone +left):\n%s", diff)
			}
		}
		for _, c := range taken {
			d.AddCell(c)
		}
		if diff := cmp.Diff(all, string(view(t, f, d).AppendJSON(nil))); diff != "" {
			rt.Fatalf("after they came back (-before +after):\n%s", diff)
		}
	})
}

// A fold does not change the cells it reads.
func TestFoldChangesNothing(t *testing.T) {
	f := newFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		d := documentOf(drawCells(t, rt, f)...)
		before := rows(rt, d)
		once := string(view(t, f, d).AppendJSON(nil))
		if diff := cmp.Diff(once, string(view(t, f, d).AppendJSON(nil))); diff != "" {
			rt.Fatalf("the second fold differs:\n%s", diff)
		}
		if diff := cmp.Diff(before, rows(rt, d)); diff != "" {
			rt.Fatalf("the fold changed its cells:\n%s", diff)
		}
	})
}

func rows(t *rapid.T, d *profile.Document) [][]byte {
	var all [][]byte
	for _, c := range d.Cells {
		row, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

func TestMembers(t *testing.T) {
	d := &profile.Document{}
	d.Add(ids("user_id:7", "cookie:a", "email:x", "cookie:a")...)
	if diff := cmp.Diff(ids("cookie:a", "email:x", "user_id:7"), d.Members); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	d.Remove(ids("email:x", "cookie:none")...)
	if d.Has(ids("email:x")[0]) || !d.Has(ids("cookie:a")[0]) || len(d.Members) != 2 {
		t.Errorf("members after removing one: %v", d.Members)
	}
}

func TestCellsByID(t *testing.T) {
	var d profile.Document
	var all []*profile.Cell
	for i := range 20 {
		c := profile.NewCell("test", ids(fmt.Sprint("cookie:", i)))
		all = append(all, c)
		d.AddCell(c)
	}
	for _, c := range all {
		if d.Cell(c.ID) != c {
			t.Errorf("cell %v is not found", c.Identifiers)
		}
	}
	if d.Cell(identity.ID{1}) != nil {
		t.Error("found a cell that is not there")
	}
}
