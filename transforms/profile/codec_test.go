package profile_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/profile/profilepb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

var emptyIsNil = cmpopts.EquateEmpty()

func TestCellRoundTrip(t *testing.T) {
	f := newFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		for _, c := range drawCells(t, rt, f) {
			row, err := c.Marshal()
			if err != nil {
				rt.Fatal(err)
			}
			back, err := profile.UnmarshalCell(c.ID, row)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(c, back, emptyIsNil); diff != "" {
				rt.Fatalf("cell (-before +after):\n%s", diff)
			}
		}
	})
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := &profile.Document{
			Key: profile.Key(identity.NewID("test", ids("cookie:a")[0])), Published: rapid.Int64().Draw(rt, "published"),
			PublishDue: rapid.Int64().Draw(rt, "due"), PublishedAs: rapid.StringN(0, 5, -1).Draw(rt, "as"),
		}
		for range rapid.IntRange(0, 5).Draw(rt, "members") {
			d.Add(identity.Identifier{Key: rapid.StringN(0, 2, -1).Draw(rt, "key"), Value: rapid.StringN(0, 3, -1).Draw(rt, "value")})
		}
		var want []identity.ID
		for i := range rapid.IntRange(0, 5).Draw(rt, "cells") {
			d.AddCell(profile.NewCell("test", ids(fmt.Sprint("cookie:", i))))
		}
		for _, c := range d.Cells {
			want = append(want, c.ID)
		}
		row, err := d.MarshalHeader()
		if err != nil {
			rt.Fatal(err)
		}
		back, cells, err := profile.UnmarshalHeader(d.Key, row)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, cells, emptyIsNil); diff != "" {
			rt.Fatalf("cells (-want +got):\n%s", diff)
		}
		d.Cells = nil
		if diff := cmp.Diff(d, back, emptyIsNil, cmpopts.IgnoreUnexported(profile.Document{})); diff != "" {
			rt.Fatalf("document (-before +after):\n%s", diff)
		}
	})
}

func mustMarshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRowsThatCannotBeRead(t *testing.T) {
	id := identity.NewSetID("test", ids("cookie:a"))
	good := []string{"cookie", "a"}
	cell := func(m *profilepb.Cell) []byte { return mustMarshal(t, m) }
	header := func(m *profilepb.Document) []byte { return mustMarshal(t, m) }
	states := attribute.States{{Hash: 1, Data: []byte{1, 1, 1}}}.Append(nil)
	cases := []struct {
		name string
		row  []byte
		head bool
		want error
	}{
		{"newer cell", cell(&profilepb.Cell{Format: profile.Format + 1, Identifiers: good}), false, profile.ErrFormat},
		{"newer cell that looks otherwise", cell(&profilepb.Cell{Format: profile.Format + 1}), false, profile.ErrFormat},
		{"empty cell", nil, false, profile.ErrDamaged},
		{"cell without format", cell(&profilepb.Cell{Identifiers: good}), false, profile.ErrDamaged},
		{"older cell", cell(&profilepb.Cell{Format: 1, Identifiers: good}), false, profile.ErrOldFormat},
		{"cell cut off", cell(&profilepb.Cell{Format: profile.Format, Identifiers: good})[:5], false, profile.ErrDamaged},
		{"cell of nobody", cell(&profilepb.Cell{Format: profile.Format}), false, profile.ErrDamaged},
		{"key without value", cell(&profilepb.Cell{Format: profile.Format, Identifiers: []string{"cookie"}}), false, profile.ErrDamaged},
		{"identifiers out of order", cell(&profilepb.Cell{Format: profile.Format, Identifiers: []string{"cookie", "b", "cookie", "a"}}), false, profile.ErrDamaged},
		{"identifier twice", cell(&profilepb.Cell{Format: profile.Format, Identifiers: []string{"cookie", "a", "cookie", "a"}}), false, profile.ErrDamaged},
		{"half an event ID", cell(&profilepb.Cell{Format: profile.Format, Identifiers: good, Seen: make([]byte, 20)}), false, profile.ErrDamaged},
		{"epochs out of order", cell(&profilepb.Cell{Format: profile.Format, Identifiers: good, Buckets: []*profilepb.Bucket{{Epoch: 2, States: states}, {Epoch: 1, States: states}}}), false, profile.ErrDamaged},
		{"states cut off", cell(&profilepb.Cell{Format: profile.Format, Identifiers: good, Buckets: []*profilepb.Bucket{{States: states[:len(states)-1]}}}), false, profile.ErrDamaged},
		{"newer header", header(&profilepb.Document{Format: profile.Format + 1}), true, profile.ErrFormat},
		{"empty header", nil, true, profile.ErrDamaged},
		{"header cut off", header(&profilepb.Document{Format: profile.Format, Members: good})[:4], true, profile.ErrDamaged},
		{"half a cell ID", header(&profilepb.Document{Format: profile.Format, Members: good, Cells: make([]byte, 8)}), true, profile.ErrDamaged},
		{"cell twice", header(&profilepb.Document{Format: profile.Format, Members: good, Cells: make([]byte, 32)}), true, profile.ErrDamaged},
		{"members out of order", header(&profilepb.Document{Format: profile.Format, Members: []string{"b", "a", "a", "a"}}), true, profile.ErrDamaged},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var err error
			what := "cell " + id.String()
			if c.head {
				_, _, err = profile.UnmarshalHeader(profile.Key(id), c.row)
				what = "document " + id.String()
			} else {
				_, err = profile.UnmarshalCell(id, c.row)
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), what) {
				t.Errorf("error %v, want %v about %s", err, c.want, what)
			}
		})
	}
}

// Whatever happens to a cell that was read, the row it was read from, which a store may hold, stays as it is; so does a second cell
// read from the same row.
func TestRowsAreNotChanged(t *testing.T) {
	f := newFolder(t)
	c := profile.NewCell("test", ids("cookie:a"))
	for i := range 3 {
		fold(t, f, c, newEvent(fmt.Sprint("e", i), start+int64(i), `{"n":1,"text":"x"}`), uint64(i), 0)
	}
	marshalled, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	row := append(bytes.Clone(marshalled), "more bytes behind the row"...)
	kept := bytes.Clone(row)
	row = row[:len(marshalled)] // with room to grow into
	read := func() *profile.Cell {
		c, err := profile.UnmarshalCell(c.ID, row)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, two := read(), read()
	for i := range 40 {
		fold(t, f, one, newEvent(fmt.Sprint("one", i), start+int64(i), `{"n":7,"text":"y"}`), uint64(i%9), uint64(i%5))
	}
	fold(t, f, one, newEvent("much later", start+5*hour, `{"n":7}`), 9, 8)
	if !bytes.Equal(row[:cap(row)][:len(kept)], kept) {
		t.Error("the row's bytes changed")
	}
	if diff := cmp.Diff(c, two, emptyIsNil); diff != "" {
		t.Errorf("the other cell changed (-want +got):\n%s", diff)
	}
	d := &profile.Document{Key: profile.Key(c.ID)}
	d.Add(c.Identifiers...)
	d.AddCell(c)
	header, err := d.MarshalHeader()
	if err != nil {
		t.Fatal(err)
	}
	kept = bytes.Clone(header)
	read1, _, err := profile.UnmarshalHeader(d.Key, header)
	if err != nil {
		t.Fatal(err)
	}
	read1.Add(ids("user_id:7", "cookie:0")...)
	read1.Remove(ids("cookie:a")...)
	if !bytes.Equal(header, kept) {
		t.Error("the header's bytes changed")
	}
}

func FuzzUnmarshalCell(f *testing.F) {
	folder := newFolder(f)
	c := profile.NewCell("test", ids("cookie:a", "user_id:7"))
	for i := range 3 {
		fold(f, folder, c, newEvent(fmt.Sprint("e", i), start+int64(i), `{"n":1,"text":"x"}`), uint64(i), 0)
		row, err := c.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(row)
	}
	f.Add([]byte{8, 2})
	f.Fuzz(func(t *testing.T, row []byte) {
		c, err := profile.UnmarshalCell(identity.ID{1}, row)
		if err != nil {
			if !errors.Is(err, profile.ErrDamaged) && !errors.Is(err, profile.ErrFormat) && !errors.Is(err, profile.ErrOldFormat) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		again, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := profile.UnmarshalCell(identity.ID{1}, again)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(c, back, emptyIsNil); diff != "" {
			t.Fatalf("cell (-first +second):\n%s", diff)
		}
		if sight(c, "new", start); len(c.Seen)%16 != 0 {
			t.Fatalf("%d bytes of event IDs", len(c.Seen))
		}
		if _, err := c.Bucket(3, 2); err != nil && !errors.As(err, new(*attribute.StateError)) {
			t.Fatal(err)
		}
		if _, err := folder.Fold(documentOf(c), start); err != nil && !errors.As(err, new(*attribute.StateError)) {
			t.Fatal(err)
		}
	})
}

func FuzzUnmarshalHeader(f *testing.F) {
	d := documentOf(profile.NewCell("test", ids("cookie:a", "user_id:7")), profile.NewCell("test", ids("cookie:a")))
	d.Published, d.PublishDue, d.PublishedAs = start, start+1000, "me"
	row, err := d.MarshalHeader()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row)
	f.Add([]byte{8, 1})
	f.Fuzz(func(t *testing.T, row []byte) {
		d, cells, err := profile.UnmarshalHeader(profile.Key{1}, row)
		if err != nil {
			if !errors.Is(err, profile.ErrDamaged) && !errors.Is(err, profile.ErrFormat) && !errors.Is(err, profile.ErrOldFormat) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		for _, id := range cells {
			d.AddCell(&profile.Cell{ID: id, Identifiers: ids("cookie:a"), First: event.Order{}})
		}
		again, err := d.MarshalHeader()
		if err != nil {
			t.Fatal(err)
		}
		back, cellsBack, err := profile.UnmarshalHeader(profile.Key{1}, again)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		d.Cells = nil
		if diff := cmp.Diff(d, back, emptyIsNil, cmpopts.IgnoreUnexported(profile.Document{})); diff != "" {
			t.Fatalf("document (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(cells, cellsBack, emptyIsNil); diff != "" {
			t.Fatalf("cells (-first +second):\n%s", diff)
		}
	})
}
