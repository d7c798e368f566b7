package shop

import "cmp"

// queue is a heap of events by receive time; events of the same millisecond leave it in the order in which they were made.
type queue []queued

type queued struct {
	*Event
	place
}

// place is where an event was made: in which visit and as which of its events.
type place struct{ visit, event int }

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].Received, q[j].Received), cmp.Compare(q[i].visit, q[j].visit), cmp.Compare(q[i].event, q[j].event)) < 0
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(queued)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = queued{}
	*q = (*q)[:last]
	return e
}
