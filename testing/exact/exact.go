// Package exact checks that profiles say exactly what was sent, no more and no less.
//
// In go the people of testing/shop, who keep account of what they did, and a reader of the store; out comes what there is of each
// profile, or an error that says in what the first wrong ones differ.
package exact

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// ErrWrong is wrapped by the error about profiles that are not what they have to be.
var ErrWrong = errors.New("wrong profiles")

// Check compares every profile with what was sent and returns the number of events in each by its ID. Now is the moment that the
// profiles are folded for, in epoch milliseconds.
func Check(ctx context.Context, people *shop.People, reader *update.Reader, now int64) (map[string]int, error) {
	folder := reader.Folder()
	profiles, events, wrong := 0, map[string]int{}, []string(nil)
	for want := range people.Totals() {
		profiles++
		doc, err := reader.Find(ctx, want.Key, want.Value)
		if err != nil {
			return events, err
		}
		if doc == nil {
			wrong = append(wrong, fmt.Sprintf("nobody has %s %s", want.Key, want.Value))
			continue
		}
		view, err := folder.Fold(doc, now)
		if err != nil {
			return events, err
		}
		events[view.ID.String()] = int(view.Events)
		if was := differences(want, view); was != "" {
			wrong = append(wrong, fmt.Sprintf("%s %s: %s", want.Key, want.Value, was))
		}
	}
	stored := 0
	for _, err := range reader.Documents(ctx) {
		if err != nil {
			return events, err
		}
		stored++
	}
	if stored != profiles {
		wrong = append(wrong, fmt.Sprintf("%d profiles are stored, there must be %d", stored, profiles))
	}
	if len(wrong) > 0 {
		return events, fmt.Errorf("%w: %d of %d, the first: %s", ErrWrong, len(wrong), profiles, strings.Join(wrong[:min(3, len(wrong))], "; "))
	}
	return events, nil
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
