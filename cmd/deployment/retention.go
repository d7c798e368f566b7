package deployment

import (
	"math"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/braidhq/braid/transforms/strict"
)

// Age is how long something is kept: a duration, or -1 for ever. In YAML: 7d, forever.
type Age time.Duration

// UnmarshalStrict reads a duration or the word.
func (a *Age) UnmarshalStrict(v strict.Value) {
	if v.Kind() == strict.Text && v.Text() == "forever" {
		*a = -1
		return
	}
	var d strict.Duration
	v.Decode(&d)
	*a = Age(d)
}

// Size is a number of bytes, or -1 for all there is. In YAML: 512MiB, 4GiB, unlimited.
type Size int64

// UnmarshalStrict reads a size or the word.
func (s *Size) UnmarshalStrict(v strict.Value) {
	if v.Kind() == strict.Text && v.Text() == "unlimited" {
		*s = -1
		return
	}
	n, err := humanize.ParseBytes(v.Text())
	if v.Kind() != strict.Text || err != nil || n > math.MaxInt64 {
		v.Report("for example 512MiB, 4GiB or unlimited", "a size with its unit is needed")
		return
	}
	*s = Size(n)
}
