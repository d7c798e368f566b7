package event

import "strconv"

// scanner checks JSON in one pass: the grammar of RFC 8259 and the nesting limit. The first problem ends it.
type scanner struct {
	s       string
	nesting int
	at      int // where the problem is
	problem string
	deep    bool // the problem is the nesting limit
}

const bad = -1

func (c *scanner) fail(at int, problem string) int {
	if c.problem == "" {
		c.at, c.problem = at, problem
	}
	return bad
}

// value checks the value that begins at i and returns the place after it, or bad.
func (c *scanner) value(i, depth int) int {
	if i >= len(c.s) {
		return c.fail(i, "the text ends where a value should be")
	}
	switch ch := c.s[i]; {
	case ch == '"':
		return c.str(i)
	case ch == '{':
		return c.object(i, depth+1, nil)
	case ch == '[':
		return c.array(i, depth+1)
	case ch == '-' || ch >= '0' && ch <= '9':
		return c.number(i)
	case ch == 't':
		return c.word(i, "true")
	case ch == 'f':
		return c.word(i, "false")
	case ch == 'n':
		return c.word(i, "null")
	}
	return c.fail(i, "a value should be here, found "+strconv.QuoteToASCII(c.s[i:i+1]))
}

// object checks an object and reports its members (quoted name, place of the value) to seen.
func (c *scanner) object(i, depth int, seen func(name string, from, to int)) int {
	if depth > c.nesting {
		c.deep = true
		return c.fail(i, "nested deeper than "+strconv.Itoa(c.nesting)+" levels")
	}
	i = skipSpace(c.s, i+1)
	if i < len(c.s) && c.s[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(c.s) || c.s[i] != '"' {
			return c.fail(i, "a quoted field name should be here")
		}
		name := i
		if i = c.str(i); i == bad {
			return bad
		}
		nameEnd := i
		i = skipSpace(c.s, i)
		if i >= len(c.s) || c.s[i] != ':' {
			return c.fail(i, "a colon should be here")
		}
		from := skipSpace(c.s, i+1)
		if i = c.value(from, depth); i == bad {
			return bad
		}
		if seen != nil {
			seen(c.s[name:nameEnd], from, i)
		}
		i = skipSpace(c.s, i)
		switch {
		case i < len(c.s) && c.s[i] == ',':
			i = skipSpace(c.s, i+1)
		case i < len(c.s) && c.s[i] == '}':
			return i + 1
		default:
			return c.fail(i, "a comma or the end of the object should be here")
		}
	}
}

func (c *scanner) array(i, depth int) int {
	if depth > c.nesting {
		c.deep = true
		return c.fail(i, "nested deeper than "+strconv.Itoa(c.nesting)+" levels")
	}
	i = skipSpace(c.s, i+1)
	if i < len(c.s) && c.s[i] == ']' {
		return i + 1
	}
	for {
		if i = c.value(i, depth); i == bad {
			return bad
		}
		i = skipSpace(c.s, i)
		switch {
		case i < len(c.s) && c.s[i] == ',':
			i = skipSpace(c.s, i+1)
		case i < len(c.s) && c.s[i] == ']':
			return i + 1
		default:
			return c.fail(i, "a comma or the end of the array should be here")
		}
	}
}

func (c *scanner) str(i int) int {
	s := c.s
	for i++; i < len(s); i++ {
		switch ch := s[i]; {
		case ch == '"':
			return i + 1
		case ch < ' ':
			return c.fail(i, "a control character must be escaped inside a string")
		case ch == '\\':
			i++
			if i >= len(s) {
				return c.fail(i, "the text ends inside a string")
			}
			switch s[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for end := i + 4; i < end; {
					i++
					if i >= len(s) || !isHex(s[i]) {
						return c.fail(i, `four hexadecimal digits should follow \u`)
					}
				}
			default:
				return c.fail(i, "unknown escape "+strconv.QuoteToASCII(s[i:i+1]))
			}
		}
	}
	return c.fail(i, "the text ends inside a string")
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

func (c *scanner) number(i int) int {
	s := c.s
	if s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	case i < len(s) && s[i] >= '1' && s[i] <= '9':
		i = digits(s, i)
	default:
		return c.fail(i, "a digit should be here")
	}
	if i < len(s) && s[i] == '.' {
		end := digits(s, i+1)
		if end == i+1 {
			return c.fail(end, "a digit should follow the decimal point")
		}
		i = end
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		end := digits(s, i)
		if end == i {
			return c.fail(end, "a digit should be in the exponent")
		}
		i = end
	}
	return i
}

func digits(s string, i int) int {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

func (c *scanner) word(i int, word string) int {
	if len(c.s)-i < len(word) || c.s[i:i+len(word)] != word {
		return c.fail(i, "unknown word, a value is a string, number, object, array, true, false or null")
	}
	return i + len(word)
}
