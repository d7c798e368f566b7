package shop

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/testing/data"
	"github.com/braidhq/braid/transforms/event"
)

// invoice is one real invoice with all its lines.
type invoice struct {
	number   string
	time     int64 // epoch milliseconds, of its first line
	customer string
	country  string
	lines    []line
}

type line struct {
	sku, description string
	quantity         int64
	price            Pence
}

// refund reports whether the invoice cancels an earlier one.
func (i *invoice) refund() bool { return strings.HasPrefix(i.number, "C") }

// total is the sum of the lines, below zero for a cancellation.
func (i *invoice) total() (total Pence, pieces int64) {
	for _, l := range i.lines {
		total += Pence(l.quantity) * l.price
		pieces += l.quantity
	}
	return total, pieces
}

// bookkeeping reports whether the invoice is no sale but an entry of the shop's own books: a stock correction at price zero or a fee,
// without a customer.
func (i *invoice) bookkeeping() bool {
	return i.customer == "" && !slices.ContainsFunc(i.lines, func(l line) bool {
		return l.price != 0 && l.sku != "AMAZONFEE" && l.sku != "BANK CHARGES"
	})
}

// readInvoices returns the invoices of the month in the order of the file, which is that of time.
func readInvoices() ([]invoice, error) {
	f, err := data.Open(data.Invoices)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows := csv.NewReader(f)
	rows.ReuseRecord = true
	if _, err := rows.Read(); err != nil {
		return nil, fmt.Errorf("invoices: %w", err)
	}
	var all []invoice
	index := map[string]int{}
	texts := map[string]string{} // the file repeats its texts: keep each once
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("invoices: %w", err)
		}
		at, ok := index[row[0]]
		if !ok {
			t, err := time.Parse(time.DateTime, row[4])
			if err != nil {
				return nil, fmt.Errorf("invoice %s: %w", row[0], err)
			}
			at = len(all)
			all = append(all, invoice{
				number: strings.Clone(row[0]), time: t.UnixMilli(),
				customer: strings.Clone(strings.TrimSuffix(row[6], ".0")), country: keep(texts, row[7]),
			})
			index[all[at].number] = at
		}
		l := line{sku: keep(texts, row[1]), description: keep(texts, strings.TrimSpace(row[2]))}
		if l.quantity, err = strconv.ParseInt(row[3], 10, 64); err != nil {
			return nil, fmt.Errorf("invoice %s: quantity: %w", row[0], err)
		}
		if l.price, err = parsePence(row[5]); err != nil {
			return nil, fmt.Errorf("invoice %s: price: %w", row[0], err)
		}
		all[at].lines = append(all[at].lines, l)
	}
}

func keep(texts map[string]string, text string) string {
	kept, ok := texts[text]
	if !ok {
		kept = strings.Clone(text)
		texts[kept] = kept
	}
	return kept
}

// parsePence reads an amount with at most two decimals, exactly.
func parsePence(text string) (Pence, error) {
	whole, decimals, _ := strings.Cut(text, ".")
	if len(decimals) > 2 {
		return 0, fmt.Errorf("%q has more than two decimals", text)
	}
	p, err := strconv.ParseInt(whole+(decimals + "00")[:2], 10, 64)
	return Pence(p), err
}

// rankCustomers numbers the customers from 0 by their number of invoices, most first, ties by their real number.
func rankCustomers(invoices []invoice) map[string]int {
	count := map[string]int{}
	for i := range invoices {
		if c := invoices[i].customer; c != "" {
			count[c]++
		}
	}
	ranked := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	rank := make(map[string]int, len(ranked))
	for i, c := range ranked {
		rank[c] = i
	}
	return rank
}

// invoice sends the invoice; it comes from the shop's back end, so device clocks and delays do not touch it.
func (s *session) invoice(inv *invoice) {
	var ids Identifiers
	if s.v.user >= 0 {
		u := &s.m.users[s.v.user]
		switch {
		case inv.customer != "":
			ids[Customer], ids[Email] = u.ID, u.Email
			ids[Cookie] = s.ids[Cookie]
		default:
			if s.v.email {
				ids[Email] = u.Email
			}
			if s.v.cookie {
				ids[Cookie] = s.ids[Cookie]
			}
		}
	}
	total, pieces := inv.total()
	table, number, sign := Orders, "order_id", int64(1)
	if inv.refund() {
		table, number, sign = Refunds, "refund_id", -1
	}
	p := object{b: make([]byte, 0, 160+96*len(inv.lines))}
	p.open("", '{')
	p.text(number, inv.number)
	p.money("total", Pence(sign)*total)
	p.text("currency", "GBP")
	p.integer("quantity", sign*pieces)
	p.text("country", inv.country)
	p.open("lines", '[')
	for _, l := range inv.lines {
		p.open("", '{')
		p.text("sku", l.sku)
		p.text("description", l.description)
		p.integer("quantity", sign*l.quantity)
		p.money("price", l.price)
		p.close('}')
	}
	p.close(']')
	p.close('}')
	d := draft{id: "invoice-" + inv.number, table: table, time: inv.time, ids: ids, properties: p.b}
	e := d.event()
	e.Received, e.Source, e.Amount = inv.time, sources[backend], Pence(sign)*total
	if ids == (Identifiers{}) {
		e.reject(event.NoIdentifier)
	}
	s.emit(e)
}
