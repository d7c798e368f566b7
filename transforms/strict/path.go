package strict

import (
	"fmt"
	"strconv"
	"strings"
)

// Path names a value in a file: "keys[1].normalize", "tables.page_view.keys". A name that is not plain is quoted: tables["a b"].
// The empty path is the file's whole value.
type Path string

// Key returns the path of a field or map entry under p.
func (p Path) Key(name string) Path {
	if !plain(name) {
		return p + Path("["+strconv.Quote(name)+"]")
	}
	if p == "" {
		return Path(name)
	}
	return p + Path("."+name)
}

// Index returns the path of a list item under p; items count from zero.
func (p Path) Index(i int) Path { return p + Path(fmt.Sprintf("[%d]", i)) }

func plain(name string) bool {
	for _, r := range name {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return name != ""
}

// parent cuts the last step off.
func (p Path) parent() Path {
	s := string(p)
	if !strings.HasSuffix(s, "]") {
		return Path(s[:max(strings.LastIndexByte(s, '.'), 0)])
	}
	if strings.HasSuffix(s, `"]`) {
		for i := len(s) - 3; i > 0; i-- { // the quoted name holds only escaped quotes
			if s[i] == '"' && s[i-1] == '[' {
				if _, err := strconv.Unquote(s[i : len(s)-1]); err == nil {
					return Path(s[:i-1])
				}
			}
		}
		return ""
	}
	return Path(s[:max(strings.LastIndexByte(s, '['), 0)])
}

// Suggest returns `did you mean "x"?` for the candidate closest to a word, or "" when none is close.
func Suggest(word string, candidates []string) string {
	best, distance := "", 1+min(3, (len(word)+1)/2)
	for _, c := range candidates {
		if strings.EqualFold(word, c) {
			best = c
			break
		}
		if d := editDistance(word, c); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + strconv.Quote(best) + "?"
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours between two words.
func editDistance(a, b string) int {
	const far = 100
	if len(a) > far || len(b) > far {
		return far
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row := rows[(i+1)%3], rows[(i-1)%3], rows[i%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
