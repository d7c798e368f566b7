package arrivals_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/testing/arrivals/history"
	"github.com/braidhq/braid/transforms/audience"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// Whatever the arrival, people are in the audiences whose conditions hold for what their profiles are in the end, the documents know,
// and what was told of a profile last agrees.
func TestAudiencesInAnyArrival(t *testing.T) {
	for _, policy := range []identity.Policy{identity.KeepFirst, identity.MoveToLatest} {
		t.Run(string(policy), func(t *testing.T) {
			config, err := history.Config(policy)
			if err != nil {
				t.Fatal(err)
			}
			set, wrong := audience.NewSet([]audience.Definition{
				{Name: "buyers", When: "revenue > 0.0"}, {Name: "known", When: "has(identifiers.user_id)"},
				{Name: "lookers", When: "views >= 2 && !audiences.buyers"},
			}, []string{"views", "revenue"})
			if len(wrong) > 0 {
				t.Fatal(wrong[0])
			}
			with := *config
			with.Audiences = set
			entered := 0
			rapid.Check(t, func(t *rapid.T) {
				store := memory.New()
				schedule := draw(t, history.Draw(t))
				schedule.End(history.Start)
				var mu sync.Mutex
				heard := map[string]bool{}
				told := map[string]map[string]string{} // profile, audience, change told last
				consumer := arrivals.Consumer{Config: &with, Store: store, Random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), Effects: func(effects []update.Effect) {
					mu.Lock()
					defer mu.Unlock()
					for _, e := range effects {
						f := gjson.GetManyBytes(e.Value, "profile_id", "audience", "change")
						if e.Topic == update.TopicAudienceChanges && !heard[e.ID] { // they may come again
							heard[e.ID] = true
							if told[f[0].Str] == nil {
								told[f[0].Str] = map[string]string{}
							}
							told[f[0].Str][f[1].Str] = f[2].Str
							entered++
						}
					}
				}}
				own := make([]int, len(schedule.Partitions))
				for i := range own {
					own[i] = i
				}
				if err := consumer.Consume(context.Background(), schedule, own); err != nil {
					t.Fatal(err)
				}
				members := map[string]bool{}
				reader := update.NewReader(&with, store)
				for d, err := range reader.Documents(context.Background()) {
					if err != nil {
						t.Fatal(err)
					}
					view, err := reader.Folder().Fold(d, asOf)
					if err != nil {
						t.Fatal(err)
					}
					var want []profile.Membership
					if len(view.Audiences) > 0 {
						want = []profile.Membership{{ProfileID: view.ID.String(), Audiences: view.Audiences}}
					}
					if diff := cmp.Diff(want, d.Told); diff != "" {
						t.Fatalf("document of %v (-profile +document):\n%s", d.Members, diff)
					}
					for _, name := range view.Audiences {
						members[view.ID.String()+" "+name] = true
					}
				}
				got := map[string]bool{}
				for id, audiences := range told {
					for name, change := range audiences {
						if change == "entered" {
							got[id+" "+name] = true
						}
					}
				}
				if diff := cmp.Diff(members, got); diff != "" {
					t.Fatalf("who is in which audience (-profiles +told):\n%s", diff)
				}
			})
			if entered == 0 {
				t.Fatal("nobody entered an audience in any case")
			}
		})
	}
}
