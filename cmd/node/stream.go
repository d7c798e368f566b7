package node

import (
	"context"
	"errors"

	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/update"
	"github.com/twmb/franz-go/pkg/kadm"
)

// checkStream refuses a stream that cannot go on where the store's progress stands: one that was created again or lost records. What
// then becomes of it is for the user to say.
func (n *Node) checkStream(ctx context.Context) error {
	progress, err := n.Progress(ctx)
	if err != nil {
		return err
	}
	log, err := topics.Log(ctx, kadm.NewClient(n.admin), n.events)
	if err != nil {
		return err
	}
	return log.Check(n.events, progress)
}

// advise puts what a reader of the stream found into words that name the command to go on with.
func (n *Node) advise(err error) error {
	var topic *kafkaio.TopicError
	var offset *kafkaio.OffsetError
	switch {
	case errors.As(err, &topic) && topic.Topic == n.events:
		return &update.TopicChangedError{
			Partition: update.Partition{Topic: topic.Topic, Partition: topic.Partition}, Applied: topic.Want, Found: topic.Got,
		}
	case errors.As(err, &offset) && offset.Topic == n.events && (offset.Start > offset.Position || offset.End >= 0 && offset.End < offset.Position):
		return &update.LostRecordsError{
			Partition: update.Partition{Topic: offset.Topic, Partition: offset.Partition},
			Next:      offset.Position, Start: offset.Start, End: offset.End,
		}
	}
	return err
}

// permanent reports whether an error says that trying again does not help.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}
