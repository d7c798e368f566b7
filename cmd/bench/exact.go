package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
	"github.com/twmb/franz-go/pkg/kgo"
)

// check compares every profile with what was sent and returns how many there are.
func check(ctx context.Context, people *shop.People, reader *update.Reader) (int, error) {
	folder := reader.Folder()
	now := time.Now().UnixMilli()
	profiles, wrong := 0, []string(nil)
	for want := range people.Totals() {
		profiles++
		doc, err := reader.Find(ctx, want.Key, want.Value)
		if err != nil {
			return profiles, err
		}
		if doc == nil {
			wrong = append(wrong, fmt.Sprintf("nobody has %s %s", want.Key, want.Value))
			continue
		}
		view, err := folder.Fold(doc, now)
		if err != nil {
			return profiles, err
		}
		if was := differences(want, view); was != "" {
			wrong = append(wrong, fmt.Sprintf("%s %s: %s", want.Key, want.Value, was))
		}
	}
	stored := 0
	for _, err := range reader.Documents(ctx) {
		if err != nil {
			return profiles, err
		}
		stored++
	}
	if stored != profiles {
		wrong = append(wrong, fmt.Sprintf("%d profiles are stored, there must be %d", stored, profiles))
	}
	if len(wrong) > 0 {
		return profiles, fmt.Errorf("%w: %d of %d, the first: %s", ErrWrong, len(wrong), profiles, strings.Join(wrong[:min(3, len(wrong))], "; "))
	}
	return profiles, nil
}

// differences says in what a profile is not what it must be.
func differences(want shop.ProfileTotals, got *profile.View) string {
	wanted := map[string]string{
		"orders": fmt.Sprint(want.Orders), "refunds": fmt.Sprint(want.Refunds), "views": fmt.Sprint(want.Views),
		"revenue": plain(want.Revenue), "refunded": plain(want.Refunded),
	}
	var all []string
	if got.Events != uint64(want.Events) {
		all = append(all, fmt.Sprintf("%d events, sent were %d", got.Events, want.Events))
	}
	for _, a := range got.Attributes {
		text := a.Value.String()
		if a.Value.Type() == 0 {
			text = "0" // nothing was summed
		}
		if w, ok := wanted[a.Name]; ok && text != w {
			all = append(all, fmt.Sprintf("%s is %s, must be %s", a.Name, text, w))
		}
	}
	return strings.Join(all, ", ")
}

// plain is an amount as attributes write it, without zeros at the end.
func plain(p shop.Pence) string {
	text := strings.TrimRight(p.String(), "0")
	return strings.TrimSuffix(text, ".")
}

// toRecord gives a record to the producer.
func toRecord(topic string, r event.Record) *kgo.Record {
	out := &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Headers: make([]kgo.RecordHeader, len(r.Headers))}
	for i, h := range r.Headers {
		out.Headers[i] = kgo.RecordHeader(h)
	}
	return out
}
