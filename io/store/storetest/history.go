package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/braidhq/braid/transforms/update"
)

// testLinearizable records what concurrent clients asked and were told, and has porcupine look for an order of the calls, each at
// some moment between its beginning and end, that explains all answers, versions included.
func testLinearizable(t *testing.T, opener Opener) {
	s := open(t, opener)
	const rounds, clients, calls = 25, 4, 14
	for round := range rounds {
		h := history{start: time.Now()}
		together(t, clients, func(client int) error {
			c := historyClient{
				id: client, store: s, history: &h, prefix: fmt.Sprintf("%03d/", round),
				rng: rand.New(rand.NewPCG(uint64(round), uint64(client))), known: map[string]update.Version{},
			}
			for range calls {
				if err := c.call(t); err != nil {
					return err
				}
			}
			return nil
		})
		if t.Failed() {
			return
		}
		if porcupine.CheckOperations(historyModel, h.operations) {
			continue
		}
		var text strings.Builder
		for _, op := range h.operations {
			fmt.Fprintf(&text, "client %d, %d to %d: %s\n", op.ClientId, op.Call, op.Return, historyModel.DescribeOperation(op.Input, op.Output))
		}
		t.Fatalf("round %d: no order explains this history:\n%s", round, &text)
	}
}

type history struct {
	start      time.Time
	mu         sync.Mutex
	operations []porcupine.Operation
}

// cell is what the model knows of one row; the zero value is an absent row.
type cell struct {
	value   string
	version update.Version
}

type historyInput struct {
	read       []string // keys asked for, nil for a commit
	scan       bool     // by Scan over all of them
	conditions map[string]update.Version
	writes     map[string]string // "" deletes
}

type historyOutput struct {
	rows     []cell
	version  update.Version
	conflict bool
}

type historyClient struct {
	id      int
	store   update.Store
	history *history
	prefix  string
	rng     *rand.Rand
	known   map[string]update.Version // versions last seen; often out of date, which is the point
	count   int
}

var historyKeys = []string{"a", "b", "c"}

func (c *historyClient) call(t *testing.T) error {
	c.count++
	in := c.input()
	begin := time.Since(c.history.start).Nanoseconds()
	out, err := c.perform(t, in)
	end := time.Since(c.history.start).Nanoseconds()
	if err != nil {
		return err
	}
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.history.operations = append(c.history.operations, porcupine.Operation{ClientId: c.id, Input: in, Call: begin, Output: out, Return: end})
	return nil
}

func (c *historyClient) input() historyInput {
	switch c.rng.IntN(5) {
	case 0:
		return historyInput{read: historyKeys, scan: true}
	case 1, 2:
		n := 1 + c.rng.IntN(len(historyKeys))
		var read []string
		for _, i := range c.rng.Perm(len(historyKeys))[:n] {
			read = append(read, historyKeys[i])
		}
		return historyInput{read: read}
	}
	in := historyInput{conditions: map[string]update.Version{}, writes: map[string]string{}}
	for _, key := range historyKeys {
		if c.rng.IntN(2) == 0 {
			in.conditions[key] = c.known[key]
		}
		switch c.rng.IntN(4) {
		case 0, 1:
			in.writes[key] = fmt.Sprintf("%d-%d", c.id, c.count)
		case 2:
			in.writes[key] = ""
		}
	}
	return in
}

func (c *historyClient) perform(t *testing.T, in historyInput) (out historyOutput, err error) {
	var rows []update.Row
	switch {
	case in.scan:
		found := map[string]update.Row{}
		rows, err = c.store.Scan(t.Context(), []byte(c.prefix), []byte(c.prefix+"\xff"), 100)
		for _, r := range rows {
			found[strings.TrimPrefix(string(r.Key), c.prefix)] = r
		}
		rows = rows[:0]
		for _, key := range in.read {
			rows = append(rows, found[key])
		}
	case in.read != nil:
		var names []string
		for _, key := range in.read {
			names = append(names, c.prefix+key)
		}
		rows, err = c.store.Get(t.Context(), keys(names...))
	default:
		return c.commit(t, in)
	}
	for i, r := range rows {
		c.known[in.read[i]] = r.Version
		out.rows = append(out.rows, cell{string(r.Value), r.Version})
	}
	return out, err
}

func (c *historyClient) commit(t *testing.T, in historyInput) (out historyOutput, err error) {
	var conditions []update.Condition
	for key, v := range in.conditions {
		conditions = append(conditions, at(c.prefix+key, v))
	}
	var writes []update.Write
	for key, value := range in.writes {
		if value == "" {
			writes = append(writes, remove(c.prefix+key))
		} else {
			writes = append(writes, put(c.prefix+key, value))
		}
	}
	out.version, err = c.store.Commit(t.Context(), conditions, writes)
	if errors.Is(err, update.ErrConflict) {
		return historyOutput{conflict: true}, nil
	}
	for key, value := range in.writes {
		c.known[key] = out.version
		if value == "" {
			c.known[key] = 0
		}
	}
	return out, err
}

// historyModel is the store as it should be, one call at a time.
var historyModel = porcupine.Model{
	Init: func() any { return map[string]cell{} },
	Step: func(state, input, output any) (bool, any) {
		rows, in, out := state.(map[string]cell), input.(historyInput), output.(historyOutput)
		if in.read != nil {
			for i, key := range in.read {
				if rows[key] != out.rows[i] {
					return false, state
				}
			}
			return true, state
		}
		for key, v := range in.conditions {
			if rows[key].version != v {
				return out.conflict, state
			}
		}
		if out.conflict {
			return false, state
		}
		next := maps.Clone(rows)
		for key, value := range in.writes {
			if value == "" {
				delete(next, key)
			} else {
				next[key] = cell{value, out.version}
			}
		}
		return true, next
	},
	Equal: func(a, b any) bool { return maps.Equal(a.(map[string]cell), b.(map[string]cell)) },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%+v -> %+v", input, output)
	},
}
