// Package imports is the core that says what the batch path brings to a profile beside its events: tables of the user's own, and scores
// that are computed from all history. In goes the section batch of a segment, out come the columns that imported attributes may name.
package imports

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/robfig/cron/v3"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/strict"
)

// Batch is the section of that name.
type Batch struct {
	// Schedule is when batch runs begin: five fields of cron, in UTC; default never by itself.
	Schedule string `yaml:"schedule" json:"schedule,omitempty" jsonschema:"description=When batch runs begin: five fields of cron\\, in UTC. Default: only by 'braid batch run'."`
	// Keep is how many snapshots are kept; default 3.
	Keep int `yaml:"keep" json:"keep,omitempty" jsonschema:"minimum=1,maximum=100,default=3,description=How many snapshots are kept."`
	// Imports are tables of the user's own, by name.
	Imports map[string]Import `yaml:"imports" json:"imports,omitempty" jsonschema:"description=Tables of your own by name. Their columns are read by imported attributes\\, as NAME.COLUMN."`
	// Scores are computed in ClickHouse from all history, by name.
	Scores map[string]Score `yaml:"scores" json:"scores,omitempty" jsonschema:"description=What is computed in ClickHouse from all history\\, by name. Imported attributes read it\\, as NAME.COLUMN."`
}

// Import is a table with a row per person. Either Query or File is given.
type Import struct {
	// Key is the column that holds the profile key; default the name of the profile key.
	Key string `yaml:"key" json:"key,omitempty" jsonschema:"description=Column that holds values of the profile key. Default: the name of the profile key."`
	// Query is a SELECT in ClickHouse, in the segment's database.
	Query string `yaml:"query" json:"query,omitempty" jsonschema:"description=SELECT in the segment's database of ClickHouse\\, run as a user who can only read."`
	// File is a CSV, Parquet or Arrow file, relative to the working directory.
	File string `yaml:"file" json:"file,omitempty" jsonschema:"description=CSV\\, Parquet or Arrow file\\, relative to the working directory\\, read at every batch run."`
}

// Model is a way to score people.
type Model string

// The models.
const (
	RFM           Model = "rfm"
	Churn         Model = "churn"
	NextBestOffer Model = "next_best_offer"
)

// modelColumns are what each model answers.
var modelColumns = map[Model][]string{
	RFM:           {"days_since_last", "frequency", "monetary", "score", "segment"},
	Churn:         {"probability", "risk"},
	NextBestOffer: {"item", "score", "second", "third"},
}

// Columns returns what a model answers.
func (m Model) Columns() []string { return modelColumns[m] }

// Score is computed for each value of the profile key that has events of the definition.
type Score struct {
	// Model is rfm, churn or next_best_offer.
	Model Model `yaml:"model" json:"model" jsonschema:"required,enum=rfm,enum=churn,enum=next_best_offer,description=rfm: how recently\\, often and for how much somebody bought. churn: how likely it is that somebody does not come back within horizon. next_best_offer: what others had who had the same."`
	// Event is the event definition whose events count.
	Event string `yaml:"event" json:"event" jsonschema:"required,description=Name of the event definition whose events count\\, such as purchases."`
	// Value is the field with the money of an event; required by rfm, and used by churn.
	Value attribute.Operand `yaml:"value" json:"value,omitempty" jsonschema:"type=string,description=Field with the amount of an event\\, such as properties.total."`
	// Item is the field that tells items apart; required by next_best_offer. # stands for each element of a list.
	Item attribute.Operand `yaml:"item" json:"item,omitempty" jsonschema:"type=string,description=Field that tells items apart\\, such as properties.sku or\\, for a list\\, properties.lines.#.sku."`
	// Horizon is how long somebody may stay away before it is churn; default 30d.
	Horizon strict.Duration `yaml:"horizon" json:"horizon,omitzero" jsonschema:"default=30d,description=How long somebody may stay away before it is churn."`
}

// Mistake is something wrong in the section.
type Mistake struct {
	Path    []string // fields within the section; of one that is missing, of what lacks it
	Missing bool
	Message string
	Hint    string
}

var name = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,63}$`)

// Validate returns what is wrong with the section, given the names of the event definitions.
func (b Batch) Validate(events []string) (all []Mistake) {
	wrong := func(hint, message string, path ...string) {
		all = append(all, Mistake{Path: path, Message: message, Hint: hint})
	}
	missing := func(hint, message string, path ...string) {
		all = append(all, Mistake{Path: path, Missing: true, Message: message, Hint: hint})
	}
	if _, err := cron.ParseStandard(b.Schedule); b.Schedule != "" && err != nil {
		wrong("for example '*/15 * * * *', which is every quarter of an hour", fmt.Sprintf("%q is no schedule: %v", b.Schedule, err), "schedule")
	}
	if b.Keep < 0 || b.Keep > 100 {
		wrong("", fmt.Sprintf("%d is not within 1 and 100", b.Keep), "keep")
	}
	const nameHint = "a letter, then letters, digits and _, at most 64"
	for _, n := range slices.Sorted(maps.Keys(b.Imports)) {
		i := b.Imports[n]
		switch _, twice := b.Scores[n]; {
		case !name.MatchString(n):
			missing(nameHint, fmt.Sprintf("%q cannot name an import", n), "imports", n)
		case twice:
			missing("", fmt.Sprintf("a score is called %q, too", n), "imports", n)
		}
		switch {
		case i.Query == "" && i.File == "":
			missing("for example {file: loyalty.csv} or {query: 'SELECT ...'}", "neither a file nor a query is given", "imports", n)
		case i.Query != "" && i.File != "":
			wrong("leave one of them out", "there is a file as well", "imports", n, "query")
		}
	}
	for _, n := range slices.Sorted(maps.Keys(b.Scores)) {
		s := b.Scores[n]
		if !name.MatchString(n) {
			missing(nameHint, fmt.Sprintf("%q cannot name a score", n), "scores", n)
		}
		_, known := modelColumns[s.Model]
		switch {
		case s.Model == "":
			missing("rfm, churn or next_best_offer", "the model is missing", "scores", n)
		case !known:
			wrong(strict.Suggest(string(s.Model), []string{string(RFM), string(Churn), string(NextBestOffer)}), fmt.Sprintf("unknown model %q", s.Model), "scores", n, "model")
		}
		switch {
		case s.Event == "":
			missing("name one of events:", "the event definition is missing", "scores", n)
		case !slices.Contains(events, s.Event):
			wrong(strict.Suggest(s.Event, events), fmt.Sprintf("there is no event definition %q", s.Event), "scores", n, "event")
		}
		for _, f := range []struct {
			field      string
			path       attribute.Operand
			takes, has bool
		}{
			{"value", s.Value, s.Model == RFM || s.Model == Churn, s.Model == RFM},
			{"item", s.Item, s.Model == NextBestOffer, s.Model == NextBestOffer},
		} {
			switch {
			case f.path == "" && f.has:
				missing("for example "+f.field+": properties.total", fmt.Sprintf("model %s needs %s", s.Model, f.field), "scores", n)
			case f.path != "" && known && !f.takes:
				wrong("leave it out", fmt.Sprintf("model %s takes no %s", s.Model, f.field), "scores", n, f.field)
			case f.path != "":
				if message, hint := f.path.CheckPath(); message != "" {
					wrong(hint, message, "scores", n, f.field)
				}
			}
		}
		if s.Horizon != 0 && s.Model != Churn && known {
			wrong("leave it out", fmt.Sprintf("model %s takes no horizon", s.Model), "scores", n, "horizon")
		}
		if s.Horizon < 0 {
			wrong("for example 30d", "a horizon is longer than nothing", "scores", n, "horizon")
		}
	}
	return all
}

// CheckFrom returns what is wrong with where an imported attribute comes from, and how to put it right; nothing when all is well. What
// columns an import has is not known before it is read.
func (b Batch) CheckFrom(from string) (message, hint string) {
	source, column, _ := strings.Cut(from, ".")
	if _, ok := b.Imports[source]; ok {
		return "", ""
	}
	score, ok := b.Scores[source]
	if !ok {
		known := append(slices.Sorted(maps.Keys(b.Imports)), slices.Sorted(maps.Keys(b.Scores))...)
		return fmt.Sprintf("batch has neither an import nor a score %q", source), strict.Suggest(source, known)
	}
	columns := score.Model.Columns()
	if len(columns) > 0 && !slices.Contains(columns, column) {
		return fmt.Sprintf("model %s has no column %q", score.Model, column), "it has " + strings.Join(columns, ", ")
	}
	return "", ""
}

// KeepOrDefault returns how many snapshots are kept.
func (b Batch) KeepOrDefault() int {
	if b.Keep == 0 {
		return 3
	}
	return b.Keep
}

// HorizonOrDefault returns how long somebody may stay away.
func (s Score) HorizonOrDefault() strict.Duration {
	const usual = 30 * 24 * 3600e9
	if s.Horizon == 0 {
		return usual
	}
	return s.Horizon
}
