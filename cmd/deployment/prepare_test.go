package deployment_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrepare(t *testing.T) {
	c := parse(t, "prepare.yml")
	if diff := cmp.Diff([]string{"raw.clicks", "other.orders"}, c.RawTopics()); diff != "" {
		t.Error(diff)
	}
	none := parse(t, "empty.yml")
	own := parse(t, "prepare.yml")
	own.Prepare.Topics[1] = "braid.retail.identity-changes"
	for _, test := range []struct {
		name       string
		err        error
		want, also string
	}{
		{"topics and transforms", c.CheckPrepare("retail", []string{"explode"}), "", ""},
		{"topics alone", c.CheckPrepare("retail", nil), "", ""},
		{"nothing", none.CheckPrepare("retail", nil), "", ""},
		{"transforms alone", none.CheckPrepare("retail", []string{"explode", "clean"}), "explode, clean", "prepare: {topics: [raw.clicks]}"},
		{"the segment's own", own.CheckPrepare("retail", nil), "braid.retail.identity-changes is a topic of segment retail itself", "prepare.topics"},
		{"another segment's", own.CheckPrepare("wholesale", nil), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if (test.err == nil) != (test.want == "") {
				t.Fatal(test.err)
			}
			if err := test.err; err != nil && (!strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.also)) {
				t.Error(err)
			}
		})
	}
}
