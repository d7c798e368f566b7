package decimal

// Parse reads a JSON number. Digits past the ninth after the decimal point are rounded half even, on the exact text. NaN, infinities
// and whatever else JSON does not know are ErrSyntax; 30 digits or more before the point are ErrRange.
func Parse(text string) (Decimal, error) {
	n, ok := split(text)
	if !ok {
		return Decimal{}, ErrSyntax
	}
	if n.digits == 0 {
		return Decimal{}, nil
	}
	// The number in billionths has keep digits before its point: those are kept.
	keep := n.digits + n.exponent + Digits
	switch {
	case keep > 38:
		return Decimal{}, ErrRange
	case keep < 0:
		return Decimal{}, nil
	}
	var u uint128
	fits, seen := true, 0
	half, rest := byte('0'), false // first digit cut off, and whether any other follows that is not zero
	for i := n.first; seen < n.digits; i++ {
		c := text[i]
		if c == '.' {
			continue
		}
		switch {
		case seen < keep:
			u, fits = u.timesTenPlus(uint64(c - '0'))
		case seen == keep:
			half = c
		case c != '0':
			rest = true
		}
		if !fits {
			return Decimal{}, ErrRange
		}
		seen++
	}
	for ; seen < keep; seen++ {
		if u, fits = u.timesTenPlus(0); !fits {
			return Decimal{}, ErrRange
		}
	}
	if half > '5' || half == '5' && (rest || u.lo&1 == 1) {
		if u.lo++; u.lo == 0 {
			u.hi++
		}
		if !u.less(limit) {
			return Decimal{}, ErrRange
		}
	}
	return fromMagnitude(n.negative, u), nil
}

// number is a JSON number taken apart: its significant digits, from the first that is not zero on, times 10^exponent.
type number struct {
	negative bool
	first    int // place of the first significant digit
	digits   int // how many digits follow from there, the decimal point not counted
	exponent int
}

// farExponent stands for every exponent so large that nothing else matters; texts are far shorter than it.
const farExponent = 1 << 30

func split(text string) (n number, ok bool) {
	i := 0
	if i < len(text) && text[i] == '-' {
		n.negative = true
		i++
	}
	n.first = -1
	digits := func() (count int) {
		for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
			if n.first < 0 && text[i] != '0' {
				n.first = i
			}
			if n.first >= 0 {
				n.digits++
			}
			count++
		}
		return count
	}
	start := i
	whole := digits()
	if whole == 0 || whole > 1 && text[start] == '0' {
		return n, false
	}
	if i < len(text) && text[i] == '.' {
		i++
		fraction := digits()
		if fraction == 0 {
			return n, false
		}
		n.exponent = -fraction
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		negative := i < len(text) && text[i] == '-'
		if negative || i < len(text) && text[i] == '+' {
			i++
		}
		e, from := 0, i
		for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
			e = min(e*10+int(text[i]-'0'), farExponent)
		}
		if i == from {
			return n, false
		}
		if negative {
			e = -e
		}
		n.exponent += e
	}
	return n, i == len(text)
}
