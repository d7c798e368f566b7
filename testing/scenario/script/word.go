package script

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/braidhq/braid/transforms/strict"
)

// Word is one word of a directive: a bare one, a "quoted" one, or a field such as name=value, name="a value" or name:={"a": 1}.
type Word struct {
	Text   string // as written
	Line   int
	Column int // in characters, from 1
}

// Field is a word that gives a value to a name.
type Field struct {
	Word
	Name string
	JSON bool // written with :=, so that Raw is JSON
	Raw  string
}

// Words returns the words of the directive, without its name, and those of the body. A word that begins with # begins a comment. The
// error is of type strict.Errors.
func (l *Line) Words() ([]Word, error) {
	words, err := l.Head()
	if err != nil {
		return nil, err
	}
	for _, b := range l.Body {
		more, err := l.lex(b.Text, b.Number, b.Column)
		if err != nil {
			return nil, err
		}
		words = append(words, more...)
	}
	return words, nil
}

// Head returns the words of the directive's own line, without its name. The error is of type strict.Errors.
func (l *Line) Head() ([]Word, error) {
	name := l.Name()
	return l.lex(l.Text[len(name):], l.Number, l.Column+utf8.RuneCountInString(name))
}

// Name returns the first word, which names the directive.
func (l *Line) Name() string {
	name, _ := cutBlank(l.Text)
	return name
}

// Rest returns what follows the first n words after the name, as written.
func (l *Line) Rest(n int) string {
	_, rest := cutBlank(l.Text)
	for range n {
		_, rest = cutBlank(rest)
	}
	return rest
}

func cutBlank(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

func (l *Line) lex(s string, number, column int) (words []Word, err error) {
	counted := 0 // bytes of s that column counts
	for i := 0; i < len(s); {
		switch s[i] {
		case ' ', '\t':
			i++
			continue
		case '#':
			return words, nil
		}
		end, problem := wordEnd(s, i)
		column += utf8.RuneCountInString(s[counted:i])
		counted = i
		w := Word{Text: s[i:end], Line: number, Column: column}
		if f, ok := w.Field(); problem == "" && ok && f.JSON && !json.Valid([]byte(f.Raw)) {
			problem = "what follows := must be JSON"
		}
		if problem != "" {
			return nil, strict.Errors{{File: l.File, Line: w.Line, Column: w.Column, Message: w.Text + ": " + problem}}
		}
		words = append(words, w)
		i = end
	}
	return words, nil
}

// wordEnd returns where the word that begins at i ends: at a blank outside of JSON.
func wordEnd(s string, i int) (end int, problem string) {
	begin := i
	value, field := true, false // whether JSON may begin here, and whether there was a =
	for ; i < len(s) && s[i] != ' ' && s[i] != '\t'; i++ {
		if value && (s[i] == '"' || i > begin && (s[i] == '{' || s[i] == '[')) {
			end, problem := jsonEnd(s, i)
			switch {
			case problem != "":
				return len(s), problem
			case end < len(s) && s[end] != ' ' && s[end] != '\t':
				return end, "a blank is missing after it"
			}
			return end, ""
		}
		value = s[i] == '=' && !field
		field = field || value
	}
	return i, ""
}

// jsonEnd returns where the quoted text, object or array that begins at i ends.
func jsonEnd(s string, i int) (end int, problem string) {
	depth, begin := 0, i
	for i < len(s) {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			if i >= len(s) {
				return 0, "the closing quote is missing"
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth <= 0 {
			if !json.Valid([]byte(s[begin:i])) {
				return 0, "this is not JSON"
			}
			return i, ""
		}
	}
	return 0, "a closing bracket is missing"
}

// Value returns the text that the word stands for: what is within the quotes of a quoted one.
func (w Word) Value() string { return unquote(w.Text) }

// Field returns the field that the word is, if it is one.
func (w Word) Field() (Field, bool) {
	i := strings.IndexByte(w.Text, '=')
	if i <= 0 || w.Text[0] == '"' {
		return Field{}, false
	}
	f := Field{Word: w, Name: w.Text[:i], Raw: w.Text[i+1:]}
	f.Name, f.JSON = strings.CutSuffix(f.Name, ":")
	return f, f.Name != ""
}

// Value returns the text that is given to the name.
func (f Field) Value() string {
	if f.JSON {
		return f.Raw
	}
	return unquote(f.Raw)
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' {
		return s
	}
	var text string
	if json.Unmarshal([]byte(s), &text) != nil {
		return s
	}
	return text
}
