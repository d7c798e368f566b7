package demo

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/braidhq/braid/testing/shop"
	"github.com/dustin/go-humanize"
)

func (s *show) introduce() {
	fmt.Fprintf(s.options.Out, "HTTP API on http://%s, Kafka on %s. Sending starts at %s of the shop's time.\n\n",
		s.node.Address(), strings.Join(s.node.Kafka().Brokers, ","), s.clock.Now().Format("2 January 2006 15:04"))
}

func (s *show) summarize(r *Report) error {
	out := s.options.Out
	n := func(i int) string { return humanize.Comma(int64(i)) }
	fmt.Fprintf(out, "\nUp to %s of the shop's time, in %.1f seconds:\n", s.clock.Now().Format("2 January 15:04"), r.Seconds)
	fmt.Fprintf(out, "  %10s events in, %s applied (%s of them senders' retries, which change nothing), %s rejected with a reason\n",
		n(r.EventsIn), n(r.EventsApplied), n(r.Duplicates), n(r.Rejected))
	fmt.Fprintf(out, "  %10s events per second; from broker to profile p50 %s ms, p99 %s ms, at most %s ms\n",
		n(int(r.EventsPerSecond)), millis(r.Latency.P50), millis(r.Latency.P99), millis(r.Latency.Max))
	fmt.Fprintf(out, "  %10s profiles, %s merges, %s effects sent to other topics\n", n(r.Profiles), n(r.Merges), n(r.Effects))
	fmt.Fprintf(out, "  %10s customers' orders and revenue compared with the invoices, to the penny: %s wrong\n", n(r.CustomersChecked), n(r.CustomersWrong))
	fmt.Fprintf(out, "  %10s on disk, %s of memory\n", humanize.IBytes(r.DiskBytes), humanize.IBytes(r.MemoryBytes))
	if err := s.showMerge(out); err != nil {
		return err
	}
	if err := s.summarizeBatch(out, r); err != nil {
		return err
	}
	s.suggest(out)
	return r.check()
}

func (s *show) showMerge(out io.Writer) error {
	m := s.merge
	if m == nil || m.after.raw == nil {
		return nil
	}
	fmt.Fprintf(out, "\nOne person, before and after a merge: event %s of table %q carried %s.\n\n", m.event.ID, m.event.Table, carried(m))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, of func(view) string) {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", name, of(m.browser), of(m.known), of(m.after))
	}
	fmt.Fprintf(w, "  \tTHAT BROWSER, BEFORE\tTHE CUSTOMER, BEFORE\tONE PROFILE, AFTER\n")
	row("profile", func(v view) string { return v.ID })
	row("identifiers", func(v view) string { return strconv.Itoa(len(v.Identifiers)) })
	row("events", func(v view) string { return strconv.Itoa(v.Events) })
	for _, name := range slices.Sorted(maps.Keys(m.after.Attributes)) {
		if text := m.after.shown(name); text != "null" && text != "0" {
			row(name, func(v view) string { return columnText(v.shown(name)) })
		}
	}
	return w.Flush()
}

// columnText makes a value fit a column: of a long one, such as a cart, its beginning.
func columnText(text string) string {
	const most = 40
	if letters := []rune(text); len(letters) > most {
		return string(letters[:most-3]) + "..."
	}
	return text
}

func carried(m *merge) string {
	var all []string
	for i, value := range m.event.Identifiers {
		if value != "" {
			all = append(all, shop.Keys[i].Key+" "+value)
		}
	}
	return strings.Join(all, " and ")
}

func (s *show) suggest(out io.Writer) {
	braid := "go run ./cmd/braid"
	customer := "1"
	if s.merge != nil {
		customer = s.merge.event.Identifiers[shop.Customer]
	}
	fmt.Fprintf(out, "\nWhat to try next:\n")
	switch {
	case s.options.Stay:
		fmt.Fprintf(out, "  curl http://%s/v1/profiles/customer_id/%s\n", s.node.Address(), customer)
		fmt.Fprintf(out, "  %s profile get customer_id %s --explain --url http://%s\n", braid, customer, s.node.Address())
		fmt.Fprintf(out, "  curl http://%s/v1/events/page_view -d '{\"events\":[{\"identifiers\":{\"user_id\":\"%s\"},\"properties\":{\"type\":\"product\",\"category\":\"books\"}}]}'\n", s.node.Address(), customer)
		fmt.Fprintf(out, "  curl http://%s/metrics\n", s.node.Address())
	default:
		fmt.Fprintf(out, "  %s demo                   the whole month, and then it stays to be asked\n", braid)
		fmt.Fprintf(out, "  %s demo --data ./demo     keeps what it learned; run it again and it goes on\n", braid)
	}
	fmt.Fprintf(out, "  %s run --segment testing/shop/segment.yaml     the same without the demo's events\n", braid)
}
