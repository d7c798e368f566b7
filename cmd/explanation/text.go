package explanation

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/tidwall/gjson"
)

// WriteProfile prints a profile, given in its canonical form, for people. Kinds of attributes are shown where they are known.
func WriteProfile(w io.Writer, view []byte, kinds map[string]string) error {
	p := gjson.ParseBytes(view)
	fmt.Fprintf(w, "Profile %s\n%s, %s to %s\n\n", p.Get("profile_id"), count(p.Get("events").Uint(), "event"), clock(p.Get("first_seen").Str), clock(p.Get("last_seen").Str))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "IDENTIFIER\tEVENTS\tFIRST SEEN\tLAST SEEN")
	for _, id := range p.Get("identifiers").Array() {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", Printable(id.Get("key").Str+":"+id.Get("value").Str), id.Get("events").Uint(), clock(id.Get("first_seen").Str), clock(id.Get("last_seen").Str))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if n := p.Get("identifiers_unlisted").Uint(); n > 0 {
		fmt.Fprintf(w, "and %s seen longer ago\n", count(n, "identifier"))
	}
	header := "ATTRIBUTE\tVALUE"
	if len(kinds) > 0 {
		header = "ATTRIBUTE\tKIND\tVALUE"
	}
	fmt.Fprintf(t, "\n%s\n", header)
	p.Get("attributes").ForEach(func(name, value gjson.Result) bool {
		fmt.Fprintf(t, "%s\t", Printable(name.Str))
		if len(kinds) > 0 {
			fmt.Fprintf(t, "%s\t", kinds[name.Str])
		}
		fmt.Fprintf(t, "%s\n", shown(value.Raw))
		return true
	})
	if err := t.Flush(); err != nil {
		return err
	}
	var audiences []string
	for _, name := range p.Get("audiences").Array() {
		audiences = append(audiences, Printable(name.Str))
	}
	if len(audiences) > 0 {
		fmt.Fprintf(w, "\nIn the audiences %s\n", strings.Join(audiences, ", "))
	}
	return nil
}

// Write prints an explanation for people: the profile, then why its identifiers belong together, then its cells.
func (e *Explanation) Write(w io.Writer) error {
	if err := WriteProfile(w, e.Profile, e.Kinds); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWHY TOGETHER (document %s)\n", e.Document)
	if len(e.Links) == 0 {
		fmt.Fprintln(w, "  a single identifier")
	}
	for _, l := range e.Links {
		fmt.Fprintf(w, "  %s and %s: %s, event %s, %s\n", Printable(l.Leader), Printable(l.Other), clock(l.At), Printable(l.Event), l.Policy)
	}
	for _, l := range e.Refused {
		fmt.Fprintf(w, "  refused: %s of another profile with %s\n", Printable(l.Leader), Printable(l.Other))
	}
	for _, r := range e.Rulings {
		fmt.Fprintf(w, "  ruled: %s %s and %s, %s, event %s\n", r.Ruling, Printable(r.A), Printable(r.B), clock(r.At), Printable(r.Event))
	}
	for i, c := range e.Cells {
		var names []string
		for _, id := range c.Identifiers {
			if id == c.Leader {
				id += " (leads)"
			}
			names = append(names, Printable(id))
		}
		fmt.Fprintf(w, "\nCELL %d of %d: %s\n", i+1, len(e.Cells), strings.Join(names, ", "))
		fmt.Fprintf(w, "  %s, %s to %s\n", count(c.Events, "event"), clock(c.First.Time), clock(c.Last.Time))
		for _, epoch := range c.Epochs {
			var parts []string
			for _, a := range epoch.Attributes {
				part := a.Name + " " + shown(string(a.Value))
				var panes []string
				for _, p := range a.Panes {
					panes = append(panes, clock(p.From)+": "+shown(string(p.Value)))
				}
				if len(panes) > 0 {
					part += " (" + strings.Join(panes, "; ") + ")"
				}
				parts = append(parts, part)
			}
			if len(parts) == 0 {
				parts = []string{"nothing to the attributes"}
			}
			if _, err := fmt.Fprintf(w, "  epoch %d, %s: %s\n", epoch.Epoch, count(epoch.Events, "event"), strings.Join(parts, ", ")); err != nil {
				return err
			}
		}
	}
	return nil
}

// Parse reads the JSON form of an explanation.
func Parse(raw []byte) (*Explanation, error) {
	var e Explanation
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("explanation: %w", err)
	}
	return &e, nil
}

func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clock shortens 2010-12-01T08:26:00.000Z to what people read.
func clock(text string) string {
	date, rest, ok := strings.Cut(text, "T")
	if !ok {
		return text
	}
	return date + " " + strings.TrimSuffix(strings.TrimSuffix(rest, "Z"), ".000")
}

// shown is a JSON value for a terminal: texts without quotes.
func shown(raw string) string {
	v := gjson.Parse(raw)
	switch {
	case v.Type == gjson.Null:
		return "-"
	case v.Type == gjson.String:
		return Printable(v.Str)
	}
	return raw
}

// Printable keeps what came from events from steering the terminal.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\ufffd'
		}
		return r
	}, text)
}
