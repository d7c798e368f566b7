package update

import (
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// publish ends a bundle: each profile that changed is published, at most once in PublishEvery; one that was published a moment ago
// becomes due later. outboxOf gives the outbox of the partition an input came from.
func (c *Config) publish(docs *Documents, outboxOf func(*Input) *outbox) error {
	f := c.folder()
	for _, e := range docs.dissolved {
		if e.PublishedAs == "" {
			continue
		}
		by := f.ID(docs.of(identity.NewID(c.Namespace, e.formerly)).Document).String()
		if by == e.PublishedAs { // the greater document was merged into, yet the lesser one had the profile ID that goes on
			continue
		}
		outboxOf(e.cause).superseded(e.cause.Event.ID, e.cause.Received, e.PublishedAs, by)
	}
	for _, e := range docs.touched {
		if docs.documents[e.Key] != e {
			continue
		}
		now := e.received
		switch {
		case e.PublishDue != 0:
		case e.Published == 0 || now-e.Published >= c.publishEvery():
			if err := c.publishNow(&f, e, outboxOf(e.cause), e.cause.Event.ID, now); err != nil {
				return err
			}
		default:
			e.PublishDue = e.Published + c.publishEvery()
			e.header = true
		}
	}
	return nil
}

func (c *Config) publishNow(f *profile.Folder, e *entry, out *outbox, trace string, now int64) error {
	view, err := f.Fold(e.Document, now)
	if err != nil {
		return err
	}
	id := view.ID.String()
	if e.PublishedAs != "" && e.PublishedAs != id {
		out.superseded(trace, now, e.PublishedAs, id)
	}
	e.Published, e.PublishedAs, e.PublishDue = now, id, 0
	e.header = true
	out.profile(trace, now, view)
	return nil
}
