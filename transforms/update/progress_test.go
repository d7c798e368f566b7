package update_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/transforms/update"
)

// Records that are gone, at either end of a log, are noticed, and skipped only when somebody said so.
func TestLostRecords(t *testing.T) {
	p := update.Partition{Topic: topic, Partition: 2}
	for _, c := range []struct {
		name             string
		start, end, want int64
		message          string
	}{
		{"nothing", 0, 2, 2, ""},
		{"deleted before they were applied", 5, 9, 5, "3 records were deleted before they were applied"},
		{"lost by the broker", 0, 1, 1, "lost the last 1 records"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			s.settled(s.event(0, "cookie:a"), s.event(1, "cookie:a"))
			before, err := update.ReadProgress(t.Context(), s.store, "test")
			if err != nil {
				t.Fatal(err)
			}
			log := update.Log{TopicID: before[p].TopicID, Start: map[int32]int64{2: c.start}, End: map[int32]int64{2: c.end}}
			err = log.Check(topic, map[int32]update.Progress{2: before[p]})
			var lost *update.LostRecordsError
			switch {
			case c.message == "" && err != nil:
				t.Errorf("error %v", err)
			case c.message != "" && (!errors.As(err, &lost) || !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), "'braid topics accept "+topic+"'")):
				t.Errorf("error %v, want one with %q", err, c.message)
			}
			if _, err := update.AcceptTopic(t.Context(), s.store, "test", topic, log); err != nil {
				t.Fatal(err)
			}
			after, err := update.ReadProgress(t.Context(), s.store, "test")
			if err != nil {
				t.Fatal(err)
			}
			want := before[p]
			want.NextOffset = c.want
			if diff := cmp.Diff(want, after[p]); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}
