package explanation

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// branch is an identifier below another one.
type branch struct {
	identifier string
	link       Link
}

// tree returns the identifier that a profile's tree is drawn from, the most identifying one, and what hangs below each.
func (e *Explanation) tree() (root string, below map[string][]branch) {
	below = map[string][]branch{}
	beside := map[string][]branch{}
	for _, l := range e.Links {
		beside[l.Leader] = append(beside[l.Leader], branch{l.Other, l})
		beside[l.Other] = append(beside[l.Other], branch{l.Leader, l})
	}
	first := gjson.GetBytes(e.Profile, "identifiers.0")
	root = first.Get("key").Str + ":" + first.Get("value").Str
	seen := map[string]bool{root: true}
	for queue := []string{root}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		slices.SortFunc(beside[at], func(a, b branch) int {
			return cmp.Or(strings.Compare(a.link.At, b.link.At), strings.Compare(a.identifier, b.identifier))
		})
		for _, b := range beside[at] {
			if !seen[b.identifier] {
				seen[b.identifier] = true
				below[at], queue = append(below[at], b), append(queue, b.identifier)
			}
		}
	}
	return root, below
}

// WriteTree draws the links that hold a profile together, for people.
func (e *Explanation) WriteTree(w io.Writer) error {
	var b strings.Builder
	root, below := e.tree()
	fmt.Fprintf(&b, "%s\n", Printable(root))
	var draw func(at, indent string)
	draw = func(at, indent string) {
		for i, c := range below[at] {
			corner, further := "├─ ", "│  "
			if i == len(below[at])-1 {
				corner, further = "└─ ", "   "
			}
			fmt.Fprintf(&b, "%s%s%s  %s, event %s, %s\n", indent, corner, Printable(c.identifier), clock(c.link.At), Printable(c.link.Event), c.link.Policy)
			draw(c.identifier, indent+further)
		}
	}
	draw(root, "")
	for _, l := range e.Refused {
		fmt.Fprintf(&b, "refused: %s of another profile with %s\n", Printable(l.Leader), Printable(l.Other))
	}
	for _, r := range e.Rulings {
		fmt.Fprintf(&b, "ruled: %s %s and %s, %s, event %s\n", r.Ruling, Printable(r.A), Printable(r.B), clock(r.At), Printable(r.Event))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteDot writes the links that hold a profile together, and dashed those that were refused, for Graphviz.
func (e *Explanation) WriteDot(w io.Writer) error {
	var b strings.Builder
	b.WriteString("graph profile {\n  node [shape=box, fontname=sans];\n  edge [fontname=sans, fontsize=10];\n")
	quoted := func(text string) string { return strconv.Quote(Printable(text)) }
	root, _ := e.tree()
	fmt.Fprintf(&b, "  %s [style=bold];\n", quoted(root))
	for _, l := range e.Links {
		fmt.Fprintf(&b, "  %s -- %s [label=%s];\n", quoted(l.Leader), quoted(l.Other), quoted(clock(l.At)+" "+l.Event))
	}
	for _, l := range e.Refused {
		fmt.Fprintf(&b, "  %s -- %s [style=dashed, label=refused];\n", quoted(l.Leader), quoted(l.Other))
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}
