package script

import (
	"slices"
	"strings"
)

// A fence is a line of dashes. Four of them open a text that goes on until an empty line; more of them one that goes on until the
// same line again, so that it may have empty lines itself.
const plainFence = "----"

func fence(line string) bool {
	return len(line) >= len(plainFence) && strings.Trim(line, "-") == ""
}

func (p *parser) expected(at text) {
	if p.current == nil || p.current.end != p.next-1 {
		p.report(at, "it stands on the line right below the directive", "%s belongs to a directive, and there is none above it", at.text)
	}
	from := p.next
	end := func(line string) bool { return line == at.text }
	if at.text == plainFence {
		end = blank
	}
	for p.next < len(p.text) && !end(p.text[p.next].text) {
		p.next++
	}
	e := &Expected{Number: at.number, from: from - 1, to: p.next}
	for _, line := range p.text[from:p.next] {
		e.Text += line.text + "\n"
	}
	e.Text = Clean(e.Text)
	if at.text != plainFence {
		if p.next == len(p.text) {
			p.report(at, "end it with the same line of dashes", "the expected text has no end")
		}
		p.next++
		e.to = min(p.next, len(p.text))
	}
	if p.current != nil {
		p.current.Expected = e
	}
}

// Clean brings a text into the form in which expected texts are compared: without white space at the ends of lines and without empty
// lines before and after.
func Clean(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// Rewrite returns the text of the script with other expected texts; lines that got for none stay as they are.
func (s *Script) Rewrite(got map[*Line]string) []byte {
	var b strings.Builder
	next := 0
	copyTo := func(end int) {
		for ; next < end; next++ {
			b.WriteString(s.text[next].text + "\n")
		}
	}
	for _, l := range s.Lines {
		text, ok := got[l]
		if !ok {
			continue
		}
		copyTo(l.end)
		if l.Expected != nil {
			next = l.Expected.to
		}
		b.WriteString(format(Clean(text)))
		if next < len(s.text) && !blank(s.text[next].text) {
			b.WriteByte('\n')
		}
	}
	copyTo(len(s.text))
	return []byte(b.String())
}

// format writes an expected text between the fences it needs.
func format(text string) string {
	lines := strings.Split(text, "\n")
	if text == "" {
		return plainFence + "\n"
	}
	if !slices.Contains(lines, "") {
		return plainFence + "\n" + text + "\n"
	}
	long := plainFence + "-"
	for slices.Contains(lines, long) {
		long += "-"
	}
	return long + "\n" + text + "\n" + long + "\n"
}
