package update

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update/updatepb"
	"github.com/klauspost/compress/s2"
)

// Topics that effects go to, by their names within the segment.
const (
	TopicProfiles        = "profiles"
	TopicIdentityChanges = "identity-changes"
	TopicAudienceChanges = "audience-changes"
	TopicRejected        = "rejected"
)

// Effect is a record that others are to hear of. It is sent at least once, always with the same ID; within a partition of the
// stream effects are numbered without gaps.
type Effect struct {
	ID    string // topic/partition/number of the records that caused it
	Topic string // name within the segment
	Key   []byte
	Value []byte // JSON
}

// outbox collects the effects of a bundle for one partition.
type outbox struct {
	partition Partition
	first     uint64
	effects   []Effect
	buf       []byte
}

func (o *outbox) next() string {
	var buf [96]byte
	b := append(append(buf[:0], o.partition.Topic...), '/')
	b = append(strconv.AppendInt(b, int64(o.partition.Partition), 10), '/')
	return string(strconv.AppendUint(b, o.first+uint64(len(o.effects)), 10))
}

func (o *outbox) add(topic, key string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("effect for %s: %w", topic, err)
	}
	o.effects = append(o.effects, Effect{ID: o.next(), Topic: topic, Key: []byte(key), Value: b})
	return nil
}

func (o *outbox) addProfile(e ProfileEffect) {
	o.buf = e.AppendJSON(o.buf[:0])
	o.effects = append(o.effects, Effect{ID: e.ID, Topic: TopicProfiles, Key: []byte(e.ProfileID), Value: bytes.Clone(o.buf)})
}

func (o *outbox) marshal() ([]byte, error) {
	m := updatepb.Effects{Format: Format}
	for _, e := range o.effects {
		m.Effects = append(m.Effects, &updatepb.Effect{Id: e.ID, Topic: e.Topic, Key: e.Key, Value: e.Value})
	}
	room := packing.Get().(*packingRoom)
	defer packing.Put(room)
	room.row = slices.Grow(room.row[:0], m.SizeVT())[:m.SizeVT()]
	if _, err := m.MarshalToSizedBufferVT(room.row); err != nil {
		return nil, err
	}
	room.packed = s2.Encode(room.packed[:cap(room.packed)], room.row) // JSON of one shape: a fifth is left, and that is written several times
	return bytes.Clone(room.packed), nil
}

// packingRoom is memory that the packing of outbox rows needs for a moment.
type packingRoom struct{ row, packed []byte }

var packing = sync.Pool{New: func() any { return new(packingRoom) }}

func unmarshalEffects(packed []byte) ([]Effect, error) {
	row, err := s2.Decode(nil, packed)
	if err != nil || len(row) == 0 {
		return nil, fmt.Errorf("outbox row: %w", ErrDamaged)
	}
	var m updatepb.Effects
	if err := m.UnmarshalVT(row); err != nil {
		return nil, fmt.Errorf("outbox row: %w: %w", ErrDamaged, err)
	}
	if err := checkFormat(m.Format); err != nil {
		return nil, fmt.Errorf("outbox row: %w", err)
	}
	effects := make([]Effect, 0, len(m.Effects))
	for _, e := range m.Effects {
		effects = append(effects, Effect{ID: e.Id, Topic: e.Topic, Key: e.Key, Value: e.Value})
	}
	return effects, nil
}

// EffectVersion is the version of the JSON form of effects.
const EffectVersion = 1

// ProfileEffect is the JSON form of a record in the topic profiles: a profile as it is now, or the word that it goes on under
// another ID. A record may come again after a crash, also behind a newer one of the same profile from another partition: whoever
// keeps the latest compares Time.
type ProfileEffect struct {
	Version      int           `json:"v"`
	ID           string        `json:"id"`
	Trace        string        `json:"trace"` // ID of the event that caused it
	Time         string        `json:"time"`  // receive time or due time, RFC 3339
	ProfileID    string        `json:"profile_id"`
	Profile      *profile.View `json:"profile,omitempty"`
	SupersededBy string        `json:"superseded_by,omitempty"`
}

// AppendJSON appends the JSON form, the same bytes that encoding/json makes of it.
func (e *ProfileEffect) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"v":`...)
	dst = strconv.AppendInt(dst, int64(e.Version), 10)
	for _, field := range [...]struct{ name, text string }{
		{`,"id":`, e.ID}, {`,"trace":`, e.Trace}, {`,"time":`, e.Time}, {`,"profile_id":`, e.ProfileID},
	} {
		dst = profile.AppendText(append(dst, field.name...), field.text)
	}
	if e.Profile != nil {
		dst = e.Profile.AppendJSON(append(dst, `,"profile":`...))
	}
	if e.SupersededBy != "" {
		dst = profile.AppendText(append(dst, `,"superseded_by":`...), e.SupersededBy)
	}
	return append(dst, '}')
}

// IdentityEffect is the JSON form of a record in the topic identity-changes.
type IdentityEffect struct {
	Version int        `json:"v"`
	ID      string     `json:"id"`
	Trace   string     `json:"trace"`
	Time    string     `json:"time"`
	Kind    ChangeKind `json:"kind"`
	Before  []string   `json:"before,omitempty"`
	After   string     `json:"after"`
	Leader  string     `json:"leader,omitempty"`
	Other   string     `json:"other,omitempty"`
	Moved   []string   `json:"moved,omitempty"`
	// Reason says why a link was refused or identifiers were evicted.
	Reason identity.Reason `json:"reason,omitempty"`
	// Refused lists the values that identify nobody.
	Refused []identity.RefusedValue `json:"refused,omitempty"`
	// Unlisted is the number of identifiers that moved, too, and are left out of Moved so that the record fits its topic.
	Unlisted int `json:"moved_unlisted,omitempty"`
}

// AudienceChange says how a person stands to an audience by now.
type AudienceChange string

// The changes.
const (
	AudienceEntered AudienceChange = "entered"
	AudienceLeft    AudienceChange = "left"
)

// AudienceEffect is the JSON form of a record in the topic audience-changes.
type AudienceEffect struct {
	Version   int            `json:"v"`
	ID        string         `json:"id"`
	Trace     string         `json:"trace"` // ID of the event that caused it, or due when it was time alone
	Time      string         `json:"time"`  // receive time or due time, RFC 3339
	ProfileID string         `json:"profile_id"`
	Audience  string         `json:"audience"`
	Change    AudienceChange `json:"change"`
	// Because holds the values of the attributes that the condition looks at.
	Because map[string]json.RawMessage `json:"because,omitempty"`
}

// assess looks which audiences a person is in, tells of those entered and left, and notes when time alone may change that. It returns
// the view by which it did, and whether anything changed.
func (c *Config) assess(f *profile.Folder, e *entry, out *outbox, trace string, now int64) (*profile.View, bool, error) {
	view, err := f.Fold(e.Document, now)
	if err != nil {
		return nil, false, err
	}
	next, err := f.Next(view, now)
	if err != nil {
		return nil, false, err
	}
	if next != e.AudienceDue {
		e.AudienceDue, e.header = next, true
	}
	changed := false
	tell := func(id, name string, change AudienceChange) error {
		changed = true
		effect := AudienceEffect{
			Version: EffectVersion, ID: out.next(), Trace: trace, Time: formatTime(now), ProfileID: id, Audience: name, Change: change,
			Because: map[string]json.RawMessage{},
		}
		for _, used := range c.Audiences.Because(name) {
			for _, r := range view.Attributes {
				if r.Name == used {
					effect.Because[used] = r.Value.AppendJSON(nil)
				}
			}
		}
		return out.add(TopicAudienceChanges, id, effect)
	}
	own := profile.Membership{ProfileID: view.ID.String(), Audiences: view.Audiences}
	var known []string
	for _, told := range e.Told {
		stays := own.Audiences
		if told.ProfileID != own.ProfileID { // it became part of this profile
			stays = nil
		} else {
			known = told.Audiences
		}
		for _, name := range told.Audiences {
			if !slices.Contains(stays, name) {
				if err := tell(told.ProfileID, name, AudienceLeft); err != nil {
					return nil, false, err
				}
			}
		}
	}
	for _, name := range own.Audiences {
		if !slices.Contains(known, name) {
			if err := tell(own.ProfileID, name, AudienceEntered); err != nil {
				return nil, false, err
			}
		}
	}
	if changed {
		e.Told, e.header = nil, true
		if len(own.Audiences) > 0 {
			e.Told = []profile.Membership{own}
		}
	}
	return view, changed, nil
}

// movedBytes is about how much of the identifiers that moved an IdentityEffect lists; escaped as JSON they may be six times as long.
const movedBytes = 256 << 10

func (o *outbox) identityChange(in *Input, change IdentityChange) error {
	e := IdentityEffect{
		Version: EffectVersion, ID: o.next(), Trace: in.Event.ID, Time: formatTime(in.Received), Kind: change.Kind,
		After: change.After.String(), Reason: change.Reason, Refused: change.Refused,
	}
	for _, id := range change.Before {
		e.Before = append(e.Before, id.String())
	}
	if change.Link != (identity.Link{}) {
		e.Leader, e.Other = change.Link.Leader.String(), change.Link.Other.String()
	}
	size := 0
	for i, m := range change.Moved {
		if size >= movedBytes {
			e.Unlisted = len(change.Moved) - i
			break
		}
		e.Moved = append(e.Moved, m.String())
		size += len(m.Key) + len(m.Value) + 4
	}
	return o.add(TopicIdentityChanges, e.After, e)
}

func (o *outbox) superseded(trace string, now int64, old, by string) {
	o.addProfile(ProfileEffect{
		Version: EffectVersion, ID: o.next(), Trace: trace, Time: formatTime(now), ProfileID: old, SupersededBy: by,
	})
}

func (o *outbox) profile(trace string, now int64, v *profile.View) {
	o.addProfile(ProfileEffect{
		Version: EffectVersion, ID: o.next(), Trace: trace, Time: formatTime(now), ProfileID: v.ID.String(), Profile: v,
	})
}

func formatTime(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// publish ends a bundle: each profile that changed is published, at most once in PublishEvery; one that was published a moment ago
// becomes due later. outboxOf gives the outbox of the partition an input came from.
func (c *Config) publish(docs *Documents, outboxOf func(*Input) *outbox) error {
	f := c.folder()
	for _, e := range docs.dissolved {
		if e.PublishedAs == "" {
			continue
		}
		heir := docs.of(identity.NewID(c.Namespace, e.formerly))
		if heir == nil {
			return fmt.Errorf("document of %s: not loaded: %w", e.formerly, ErrConflict)
		}
		by := f.ID(heir.Document).String()
		if by == e.PublishedAs { // the greater document was merged into, yet the lesser one had the profile ID that goes on
			continue
		}
		outboxOf(e.cause).superseded(e.cause.Event.ID, max(e.cause.Received, e.Published), e.PublishedAs, by)
	}
	for _, e := range docs.touched {
		if docs.documents[e.Key] != e || e.Unseen() { // it is no more, or only a name in a ruling
			continue
		}
		now := e.received
		var view *profile.View
		if !c.Audiences.Empty() || len(e.Told) > 0 {
			var err error
			if view, _, err = c.assess(&f, e, outboxOf(e.cause), e.cause.Event.ID, now); err != nil {
				return err
			}
		}
		switch {
		case e.PublishDue != 0:
		case e.Published == 0 || now-e.Published >= c.publishEvery():
			if err := c.publishNow(&f, e, view, outboxOf(e.cause), e.cause.Event.ID, now); err != nil {
				return err
			}
		default:
			e.PublishDue = e.Published + c.publishEvery()
			e.header = true
		}
	}
	return nil
}

// publishNow publishes the view of a moment, which may be at hand. What is told of a profile never has an earlier time than what was told
// before: receivers keep what has the latest, and partitions may be applied with different lags.
func (c *Config) publishNow(f *profile.Folder, e *entry, view *profile.View, out *outbox, trace string, now int64) error {
	if view == nil {
		var err error
		if view, err = f.Fold(e.Document, now); err != nil {
			return err
		}
	}
	id := view.ID.String()
	if now = max(now, e.Published); e.PublishedAs != "" && e.PublishedAs != id {
		out.superseded(trace, now, e.PublishedAs, id)
	}
	e.Published, e.PublishedAs, e.PublishDue = now, id, 0
	e.header = true
	out.profile(trace, now, view)
	return nil
}
