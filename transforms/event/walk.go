package event

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Walking over JSON that was checked before. On anything else these functions find less, but end and do not panic.

// member returns the raw value of the first member with the given name.
func member(object, name string) (string, bool) {
	i := skipSpace(object, 0)
	if i >= len(object) || object[i] != '{' {
		return "", false
	}
	for i = skipSpace(object, i+1); i < len(object) && object[i] == '"'; {
		end := skipString(object, i)
		found := sameName(object[i:end], name)
		i = skipSpace(object, end)
		if i >= len(object) || object[i] != ':' {
			return "", false
		}
		i = skipSpace(object, i+1)
		end = skipValue(object, i)
		if found {
			return object[i:end], end > i
		}
		i = skipSpace(object, end)
		if i >= len(object) || object[i] != ',' {
			return "", false
		}
		i = skipSpace(object, i+1)
	}
	return "", false
}

// item returns the raw value at a decimal index of an array.
func item(array, index string) (string, bool) {
	n, err := strconv.Atoi(index)
	if err != nil || n < 0 {
		return "", false
	}
	for i := skipSpace(array, 1); i < len(array); n-- {
		end := skipValue(array, i)
		if end == i {
			return "", false
		}
		if n == 0 {
			return array[i:end], true
		}
		i = skipSpace(array, end)
		if i >= len(array) || array[i] != ',' {
			return "", false
		}
		i = skipSpace(array, i+1)
	}
	return "", false
}

// sameName compares a quoted JSON string with a name.
func sameName(quoted, name string) bool {
	if len(quoted) < 2 {
		return false
	}
	inner := quoted[1 : len(quoted)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner == name
	}
	return gjson.Parse(quoted).Str == name
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the place after the string that begins at i.
func skipString(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// skipValue returns the place after the value that begins at i.
func skipValue(s string, i int) int {
	if i >= len(s) {
		return len(s)
	}
	switch s[i] {
	case '"':
		return skipString(s, i)
	case '{', '[':
		depth := 0
		for i < len(s) {
			switch s[i] {
			case '"':
				i = skipString(s, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(s)
	}
	for i < len(s) && s[i] != ',' && s[i] != '}' && s[i] != ']' && s[i] > ' ' {
		i++
	}
	return i
}
