package archive

import "strings"

// exactDigits is how many digits of a number every reader keeps: 64-bit integers and floats both do.
const exactDigits = 15

// object returns a JSON object in which numbers of more digits than a reader keeps are texts, as they were sent: ClickHouse would round
// them, and some it would not take at all. What is no object is an empty one; the raw text of the record has it.
func object(raw string) string {
	if !strings.HasPrefix(raw, "{") {
		return "{}"
	}
	var out strings.Builder
	kept := 0 // raw up to here is in out
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"':
			i = afterText(raw, i)
		case c == '-' || c >= '0' && c <= '9':
			from := i
			for i < len(raw) && strings.IndexByte("+-.eE0123456789", raw[i]) >= 0 {
				i++
			}
			if number := raw[from:i]; !exact(number) {
				out.WriteString(raw[kept:from] + `"` + number + `"`)
				kept = i
			}
		default:
			i++
		}
	}
	if kept == 0 {
		return raw
	}
	out.WriteString(raw[kept:])
	return out.String()
}

// afterText returns the place behind a text that begins at i.
func afterText(raw string, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// exact reports whether a number stays what it is: few digits, and an exponent that no float lacks.
func exact(number string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	digits := 0
	for i := range len(mantissa) {
		if c := mantissa[i]; c >= '0' && c <= '9' {
			digits++
		}
	}
	return digits <= exactDigits && len(strings.TrimLeft(exponent, "+-")) <= 2
}
