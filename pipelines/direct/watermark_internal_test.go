package direct

import (
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"pgregory.net/rapid"
)

// TestHolds compares the bag with a slice. It is inside the package, for no pipeline shows a hold that is a little too low.
func TestHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h holds
		var all []mtime.Time
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			if len(all) > 0 && rapid.Bool().Draw(t, "remove") {
				at := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				h.remove(all[at])
				all = append(all[:at], all[at+1:]...)
			} else {
				v := mtime.Time(rapid.IntRange(-5, 5).Draw(t, "time"))
				h.add(v)
				all = append(all, v)
			}
			want := mtime.MaxTimestamp
			for _, v := range all {
				want = min(want, v)
			}
			if got := h.least(); got != want {
				t.Fatalf("least of %v is %d", all, got)
			}
		}
	})
}
