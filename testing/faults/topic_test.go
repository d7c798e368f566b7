package faults_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/braidhq/braid/testing/faults"
)

const eventsTopic = "braid.retail.events"

// recreate deletes the topic of events and creates it again.
func recreate(t *testing.T, admin *kadm.Client) {
	t.Helper()
	if _, err := admin.DeleteTopic(t.Context(), eventsTopic); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(t.Context(), 4, 1, nil, eventsTopic); err != nil {
		t.Fatal(err)
	}
}

// view posts one page view of a customer.
func view(t *testing.T, process *faults.Process, customer, id string) {
	t.Helper()
	body := fmt.Sprintf(`{"events":[{"event_id":%q,"identifiers":{"user_id":%q},"properties":{"type":"product"}}]}`, id, customer)
	answer, err := faults.Post(t.Context(), process.Endpoints.HTTP, "page_view", []byte(body))
	if err != nil || answer.Status != 200 {
		t.Fatalf("%d %s %v", answer.Status, answer.Body, err)
	}
}

// viewed waits until a customer's profile shows so many views.
func viewed(t *testing.T, process *faults.Process, customer string, views int) {
	t.Helper()
	faults.Await(t, "the profile of customer "+customer, func(ctx context.Context) error {
		profile, err := process.Profile(ctx, "customer_id", customer)
		if err == nil && string(profile.Attributes["views"]) != fmt.Sprint(views) {
			err = fmt.Errorf("%s views, want %d", profile.Attributes["views"], views)
		}
		return err
	})
}

// accept goes on with a topic as the error message said.
func accept(t *testing.T, place *faults.Place, message string) {
	t.Helper()
	for _, want := range []string{eventsTopic, "was deleted and created again", "braid topics accept " + eventsTopic} {
		if !strings.Contains(message, want) {
			t.Fatalf("the message lacks %q:\n%s", want, message)
		}
	}
	code, stdout, stderr := place.Run("topics", "accept", eventsTopic)
	if code != 0 || !strings.Contains(stdout, "accepted") {
		t.Fatalf("topics accept: %d %s %s", code, stdout, stderr)
	}
}

// A topic that was deleted and created again while braid was down: braid does not start, says why and what to do, and that works,
// whether the new topic is shorter than the old one was or longer.
func TestTopicCreatedAgainWhileDown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before int // events in the old topic
		after  int // and in the new one
	}{{"longer before", 50, 1}, {"longer after", 1, 50}} {
		t.Run(c.name, func(t *testing.T) {
			place := faults.NewPlace(t, "")
			process := place.Start().Ready()
			for i := range c.before {
				view(t, process, "7", fmt.Sprintf("old%d", i))
			}
			viewed(t, process, "7", c.before)
			process.Applied()
			process.Stop()

			brokers, end := place.Broker()
			admin := faults.Administrate(t, brokers)
			recreate(t, admin)
			produceViews(t, brokers, "7", c.after)
			end()

			code, _, stderr := place.Run("run")
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			accept(t, place, stderr)

			process = place.Start().Ready()
			viewed(t, process, "7", c.before+c.after)
			view(t, process, "7", "newest")
			viewed(t, process, "7", c.before+c.after+1)
			process.Applied()
			process.Stop()
			brokers, end = place.Broker()
			place.Audit(brokers)
			end()
		})
	}
}

// The same while it runs: braid ends with the message.
func TestTopicCreatedAgainWhileRunning(t *testing.T) {
	t.Parallel()
	place := faults.NewPlace(t, "")
	process := place.Start().Ready()
	view(t, process, "7", "old")
	viewed(t, process, "7", 1)
	process.Applied()
	recreate(t, faults.Administrate(t, process.Endpoints.Kafka))
	if code := process.Wait(); code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, process.Log())
	}
	accept(t, place, process.Log())

	process = place.Start().Ready()
	view(t, process, "7", "new")
	viewed(t, process, "7", 2)
	process.Applied()
	process.Stop()
	brokers, end := place.Broker()
	place.Audit(brokers)
	end()
}

// Records that were deleted before they were applied are not skipped silently: braid says so and how to go on without them.
func TestRecordsDeletedUnapplied(t *testing.T) {
	t.Parallel()
	place := faults.NewPlace(t, "")
	process := place.Start().Ready()
	view(t, process, "7", "old")
	viewed(t, process, "7", 1)
	process.Applied()
	process.Stop()

	brokers, end := place.Broker()
	const extra = 10
	produceViews(t, brokers, "7", extra)
	admin := faults.Administrate(t, brokers)
	ends, err := admin.ListEndOffsets(t.Context(), eventsTopic)
	if err != nil {
		t.Fatal(err)
	}
	left := 0 // views that stay, in the partition that got them
	before := place.Progress()
	until := kadm.Offsets{}
	ends.Each(func(o kadm.ListedOffset) {
		for p, at := range before {
			if p.Topic == eventsTopic && p.Partition == o.Partition && o.Offset-at.NextOffset >= extra {
				until.AddOffset(o.Topic, o.Partition, o.Offset-4, -1)
				left = 4
			}
		}
	})
	if left == 0 {
		t.Fatalf("no partition got the views: %v %v", before, ends)
	}
	if _, err := admin.DeleteRecords(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	end()

	code, _, stderr := place.Run("run")
	if code != 1 || !strings.Contains(stderr, "records were deleted before they were applied") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if code, stdout, stderr := place.Run("topics", "accept", "events"); code != 0 || !strings.Contains(stdout, "accepted; 1 of its partitions") {
		t.Fatalf("topics accept: %d %s %s", code, stdout, stderr)
	}
	process = place.Start().Ready()
	viewed(t, process, "7", 1+left)
	process.Stop()
}
