package script_test

import (
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) *script.Script {
	t.Helper()
	s, err := script.Parse("s", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// outline returns what was read of a script, one line per directive.
func outline(s *script.Script) string {
	var b strings.Builder
	for _, l := range s.Lines {
		b.WriteString(l.Text)
		if len(l.Body) > 0 {
			b.WriteString(" {" + strings.ReplaceAll(l.Content(), "\n", "|") + "}")
		}
		if l.Expected != nil {
			b.WriteString(" -> " + strings.ReplaceAll(l.Expected.Text, "\n", "|"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"comments and empty lines", "# one\n\n  \t\n#two", ""},
		{"directives", "a b\nc\t \n", "a b\nc\n"},
		{"carriage returns and a mark", "\ufeffa\r\n----\r\nx\r\n\r\nb\r\n", "a -> x\nb\n"},
		{"body", "a\n  b\n\n    c\n\n\nd\n\te\n", "a {b||  c}\nd {e}\n"},
		{"body of blanks of both kinds", "a\n \t b\n \tc\n", "a { b|c}\n"},
		{"a comment within a body", "a\n  b\n# not of it\n  c\n", "a {b||c}\n"},
		{"a dashed line in a body", "a\n  ----\n  b\n", "a {----|b}\n"},
		{"expected", "a\n----\nx\n y \n\nb\n", "a -> x| y\nb\n"},
		{"expected of a body", "a\n  b\n----\nx\n", "a {b} -> x\n"},
		{"nothing expected", "a\n----\n\nb\n----\n", "a -> \nb -> \n"},
		{"nothing expected between long fences", "a\n-----\n-----\nb\n", "a -> \nb\n"},
		{"expected with empty lines", "a\n------\nx\n\n----\ny\n-----\n------\nb\n", "a -> x||----|y|-----\nb\n"},
		{"expected looks like directives", "a\n----\nb\n# c\n----\n\nd\n", "a -> b|# c|----\nd\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, outline(parse(t, c.text))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := script.Parse("s", make([]byte, script.MaxBytes+1)); err == nil || !strings.Contains(err.Error(), "s:1:1: the script has 4194305 bytes") {
		t.Errorf("a large one: %v", err)
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string // NAME=VALUE of fields, marked : where JSON was demanded; the value of other words
	}{
		{`d`, nil},
		{`d  a	b # c`, []string{"a", "b"}},
		{`d "a b" "\u00e9\n"`, []string{"a b", "é\n"}},
		{`d a=b a.b=c=d a="b c" a=`, []string{"a=b", "a.b=c=d", "a=b c", "a="}},
		{`d a={"b": [1, "}"]} c=[ 1 ] d=x{y z=5"`, []string{`a={"b": [1, "}"]}`, "c=[ 1 ]", "d=x{y", `z=5"`}},
		{`d a:=1 b:="c d" e:={"f": null}`, []string{"a:=1", `b:="c d"`, `e:={"f": null}`}},
		{`d url=http://x/?a:=b#c color=#fff`, []string{"url=http://x/?a:=b#c", "color=#fff"}},
		{`d =a :=b "a=b"`, []string{"=a", ":=b", "a=b"}},
		{`d 10:00 a:b=c`, []string{"10:00", "a:b=c"}},
	} {
		words, err := parse(t, c.line).Lines[0].Words()
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		var got []string
		for _, w := range words {
			f, ok := w.Field()
			switch {
			case ok && f.JSON:
				got = append(got, f.Name+":="+f.Value())
			case ok:
				got = append(got, f.Name+"="+f.Value())
			default:
				got = append(got, w.Value())
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.line, diff)
		}
	}
}

// Words know their places, also within what is nested.
func TestPlaces(t *testing.T) {
	s := parse(t, "# é\nrépéter é b=\"é\" c\n   x é y\n     z\n")
	var got [][3]any
	note := func(words []script.Word, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			got = append(got, [3]any{w.Text, w.Line, w.Column})
		}
	}
	note(s.Lines[0].Head())
	nested, err := s.Lines[0].Nested(strings.ToUpper)
	if err != nil {
		t.Fatal(err)
	}
	note(nested.Lines[0].Words())
	want := [][3]any{{"é", 2, 9}, {`b="é"`, 2, 11}, {"c", 2, 17}, {"É", 3, 6}, {"Y", 3, 8}, {"Z", 4, 6}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if rest := parse(t, "raw  10:00   {\"a\":  1} # b").Lines[0].Rest(1); rest != `{"a":  1} # b` {
		t.Errorf("the rest is %q", rest)
	}
}

func TestMoments(t *testing.T) {
	hand, err := script.ParseMoment("2026-03-01T23:30", script.Start)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"10:00", "2026-03-01 10:00"},
		{"00:00:00.001", "2026-03-01 00:00:00.001"},
		{"23:59:59", "2026-03-01 23:59:59"},
		{"+45m", "2026-03-02 00:15"},
		{"-1d", "2026-02-28 23:30"},
		{"2026-01-02", "2026-01-02 00:00"},
		{"2026-01-02T10:00:05.25Z", "2026-01-02 10:00:05.250"},
		{"1970-01-01T00:00", "1970-01-01 00:00"},
		{"0001-01-01", "0001-01-01 00:00"},
		{"", ""}, {"+", ""}, {"10", ""}, {"24:00", ""}, {"0000-12-31", ""}, {"-100000d", "1752-05-16 23:30"}, {"2026-01-02 10:00", ""},
	} {
		ms, err := script.ParseMoment(c.text, hand)
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%q is %s", c.text, script.FormatMoment(ms))
		case c.want != "" && err != nil:
			t.Errorf("%q: %v", c.text, err)
		case c.want != "" && script.FormatMoment(ms) != c.want:
			t.Errorf("%q is %s, want %s", c.text, script.FormatMoment(ms), c.want)
		}
	}
	if got := script.FormatMoment(script.Start); got != "2026-01-01 00:00" {
		t.Errorf("scripts start at %s", got)
	}
	for _, c := range []struct {
		to   int64
		want string
	}{{0, "2026-03-01 23:30"}, {90_000, "2026-03-01 23:30 to 23:31:30"}, {3600_000, "2026-03-01 23:30 to 2026-03-02 00:30"}} {
		if got := script.FormatSpan(hand, hand+c.to); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestRewrite(t *testing.T) {
	for _, c := range []struct {
		name, text string
		got        map[int]string // by index of the directive
		want       string
	}{
		{"nothing", "a\n----\nx\n\n# end", nil, "a\n----\nx\n\n# end\n"},
		{"another text", "a\n----\nx\ny\n\nb\n", map[int]string{0: "z"}, "a\n----\nz\n\nb\n"},
		{"the last one", "a\n----\nx", map[int]string{0: "z \n"}, "a\n----\nz\n"},
		{"none before", "a\n  b\nc\n", map[int]string{0: "z"}, "a\n  b\n----\nz\n\nc\n"},
		{"an empty one", "a\n----\nx\n\nb\n", map[int]string{0: ""}, "a\n----\n\nb\n"},
		{"one with empty lines", "a\n----\nx\n\nb\n", map[int]string{0: "y\n\n-----\nz"}, "a\n------\ny\n\n-----\nz\n------\n\nb\n"},
		{"no more empty lines", "a\n-----\nx\n\ny\n-----\nb\n", map[int]string{0: "z"}, "a\n----\nz\n\nb\n"},
		{"one that looks like a fence", "a\n", map[int]string{0: "----"}, "a\n----\n----\n"},
		{"several", "a\nb\nc\n----\nx\n", map[int]string{0: "1", 2: "3"}, "a\n----\n1\n\nb\nc\n----\n3\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, c.text)
			got := map[*script.Line]string{}
			for i, text := range c.got {
				got[s.Lines[i]] = text
			}
			rewritten := s.Rewrite(got)
			if diff := cmp.Diff(c.want, string(rewritten)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for i, text := range c.got {
				if l := parse(t, string(rewritten)).Lines[i]; l.Expected == nil || l.Expected.Text != script.Clean(text) {
					t.Errorf("read again: %+v", l.Expected)
				}
			}
		})
	}
}

// FuzzParse: no text breaks the parser, and expected texts that were written are read back.
func FuzzParse(f *testing.F) {
	f.Add("a b=\"c\" d:={\"e\": [1]} # f\n  g\n----\nh\n\ni\n-----\nj\n\nk\n-----\n", "x\n\n-----\n----")
	f.Add("  a\n----\n", "")
	f.Fuzz(func(t *testing.T, text, expected string) {
		s, err := script.Parse("s", []byte(text))
		if err != nil || strings.Contains(expected, "\r") || !strings.HasPrefix(strings.ToValidUTF8(expected, ""), expected) {
			return
		}
		got := map[*script.Line]string{}
		for _, l := range s.Lines {
			if _, err := l.Words(); err != nil && !strings.HasPrefix(err.Error(), "s:") {
				t.Errorf("the error names no place: %v", err)
			}
			if _, err := l.Nested(func(s string) string { return s }); err != nil && !strings.HasPrefix(err.Error(), "s:") {
				t.Errorf("the error names no place: %v", err)
			}
			got[l] = expected
		}
		again, err := script.Parse("s", s.Rewrite(got))
		if err != nil {
			t.Fatalf("%v\n%s", err, s.Rewrite(got))
		}
		if len(again.Lines) != len(s.Lines) {
			t.Fatalf("%d directives became %d:\n%s", len(s.Lines), len(again.Lines), s.Rewrite(got))
		}
		for i, l := range again.Lines {
			if l.Text != s.Lines[i].Text || l.Content() != s.Lines[i].Content() || l.Expected == nil || l.Expected.Text != script.Clean(expected) {
				t.Errorf("directive %d became %+v", i, l)
			}
		}
	})
}
