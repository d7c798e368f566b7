package directive

import (
	"slices"
	"strconv"
	"strings"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/tidwall/gjson"
)

func init() {
	scenario.Register(scenario.Directive{
		Name: "event", Usage: "event TIME TABLE [id=ID] [received=TIME] [seq=N] [source=NAME] [FIELD=VALUE]...", Kind: scenario.Sending,
		About:   "Sends an event. With ---- below it, what becomes of it is compared.",
		Compile: compileEvent,
	})
	scenario.Register(scenario.Directive{
		Name: "raw", Usage: "raw TIME TEXT", Kind: scenario.Sending,
		About:   "Sends a record that holds TEXT just as it stands, received at TIME.",
		Compile: compileRaw,
	})
}

// draft is an event as a line describes it.
type draft struct {
	id, table string
	time      int64
	received  int64
	seq       string
	source    string
	fields    object
}

func compileEvent(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	words, ok := c.Words(l, 2, -1)
	if !ok {
		return nil
	}
	d := draft{table: words[1].Value()}
	if d.time, ok = c.Moment(words[0]); !ok {
		return nil
	}
	d.received = d.time
	sources, known := c.Segment().Tables[d.table]
	for _, w := range words[2:] {
		f, isField := w.Field()
		switch {
		case !isField:
			c.ReportWord(w, `write FIELD=VALUE; quote a value with blanks: name="Yoga mat"`, "%s is not a field with a value", w.Text)
			ok = false
		case d.meta(c, f, &ok):
		default:
			ok = d.field(c, f, sources, known) && ok
		}
	}
	if !ok {
		return nil
	}
	if d.received < 0 {
		c.Report(l, "say when it was received: received=10:00", "an event cannot be received before 1970")
		return nil
	}
	if d.id == "" {
		d.id = c.NextID()
	}
	c.Receive(d.received)
	r := scenario.Record{Name: d.id, Line: l.Number}
	r.Value = c.Segment().Config().WithSecret(scenario.Secret).Conceal(d.table, d.json())
	r.Headers, r.Timestamp = d.headers(), d.received
	if key := c.Segment().Config().RecordKey(d.table, r.Value); key != "" {
		r.Key = []byte(key)
	}
	return []*scenario.Step{{Records: []scenario.Record{r}}}
}

// meta reads what an event has beside its fields.
func (d *draft) meta(c *scenario.Compiler, f script.Field, ok *bool) bool {
	if f.JSON {
		return false
	}
	switch f.Name {
	case "id":
		if d.id = f.Value(); d.id == "" {
			c.ReportWord(f.Word, "directive raw sends what an event may not be", "an event needs an ID")
			*ok = false
		}
	case "source":
		d.source = f.Value()
	case "seq":
		if d.seq = f.Value(); !number(d.seq) {
			c.ReportWord(f.Word, "", "%s is not an unsigned number", f.Raw)
			*ok = false
		}
	case "received":
		var fine bool
		d.received, fine = c.MomentOf(f)
		*ok = *ok && fine
	default:
		return false
	}
	return true
}

func number(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// tops are the objects that an event has.
var tops = []string{"identifiers", "properties", "context"}

// field puts a field where the table expects it: what a stitching key is found in among the identifiers, the rest among the properties.
func (d *draft) field(c *scenario.Compiler, f script.Field, sources []identity.Source, known bool) bool {
	path := f.Name
	top, _, dotted := strings.Cut(path, ".")
	explicit := slices.Contains(tops, top)
	identifies := slices.ContainsFunc(sources, func(s identity.Source) bool { return s.Field == f.Name })
	switch {
	case identifies:
		path = "identifiers." + path
	case explicit && !dotted && !f.JSON:
		c.ReportWord(f.Word, "write "+top+".NAME=VALUE, or "+top+":={...}", "%s needs a name within it", top)
		return false
	case explicit:
		identifies = top == "identifiers"
	default:
		if i := slices.IndexFunc(sources, func(s identity.Source) bool { return s.Key == f.Name }); i >= 0 {
			c.ReportWord(f.Word, "write "+sources[i].Field+"="+f.Raw+", or properties."+f.Name+"=... for a property of that name",
				"table %s finds the key %s in the field %s", d.table, f.Name, sources[i].Field)
			return false
		}
		if known && slices.Contains(c.Segment().Rules.Keys(), f.Name) {
			c.ReportWord(f.Word, "write properties."+f.Name+"=... for a property of that name", "table %s does not carry the key %s", d.table, f.Name)
			return false
		}
		path = "properties." + path
	}
	value := f.Raw
	if !f.JSON && (identifies || !isJSON(f.Raw)) {
		value = string(profile.AppendText(nil, f.Value()))
	}
	if problem := d.fields.set(path, value); problem != "" {
		c.ReportWord(f.Word, "", "%s %s", f.Name, problem)
		return false
	}
	return true
}

// json returns the event as it is sent.
func (d *draft) json() []byte {
	b := profile.AppendText([]byte(`{"event_id":`), d.id)
	b = profile.AppendText(append(b, `,"table":`...), d.table)
	b = strconv.AppendInt(append(b, `,"time":`...), d.time, 10)
	for _, m := range d.fields.members {
		b = profile.AppendText(append(b, ','), m.name)
		b = m.append(append(b, ':'))
	}
	return append(b, '}')
}

func (d *draft) headers() []event.Header {
	all := []event.Header{{Key: event.HeaderReceived, Value: strconv.AppendInt(nil, d.received, 10)}}
	if d.source != "" {
		all = append(all, event.Header{Key: event.HeaderSource, Value: []byte(d.source)})
	}
	if d.seq != "" {
		all = append(all, event.Header{Key: event.HeaderSeq, Value: []byte(d.seq)})
	}
	return all
}

func compileRaw(c *scenario.Compiler, l *script.Line) []*scenario.Step {
	text := l.Rest(1)
	word := script.Word{Text: strings.TrimSpace(strings.TrimSuffix(l.Rest(0), text)), Line: l.Number, Column: l.Column}
	if text == "" || len(l.Body) > 0 {
		c.Report(l, "write: raw TIME TEXT, on one line", "the text that is sent is missing")
		return nil
	}
	received, ok := c.Moment(word)
	if !ok {
		return nil
	}
	if received < 0 {
		c.ReportWord(word, "", "a record cannot be received before 1970")
		return nil
	}
	c.Receive(received)
	r := scenario.Record{Name: gjson.Get(text, "event_id").String(), Line: l.Number}
	if r.Name == "" {
		r.Name = c.NextID()
	}
	r.Value, r.Timestamp = []byte(text), received
	r.Headers = []event.Header{{Key: event.HeaderReceived, Value: strconv.AppendInt(nil, received, 10)}}
	return []*scenario.Step{{Records: []scenario.Record{r}}}
}
