// Package segment turns segment.yaml, what a parent segment computes, into validated and compiled configuration: in goes YAML, out
// comes a Segment made of the sections that the other cores own, or all the mistakes of the file, each with its place.
//
// The profile key is always an attribute of the parent segment, under its own name, so no attribute may be called like it.
package segment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/audience"
	"github.com/braidhq/braid/transforms/catalogue"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/strict"
	"github.com/braidhq/braid/transforms/update"
)

// Segment is a compiled parent segment. It is immutable and safe for concurrent use.
type Segment struct {
	Name       string
	ProfileKey string
	Limits     Limits
	Rules      *identity.Rules              // stitching keys
	Tables     map[string][]identity.Source // event tables and where each finds its keys, most identifying first
	Events     *filter.Set                  // event definitions, in the order of EventNames
	EventNames []string                     // ascending
	Attributes *attribute.Set               // attributes, by name ascending
	Audiences  *audience.Set
	File       File // what the file says, defaults filled in
	Hash       Hash // of the content
}

// Hash identifies the content of a segment: the SHA-256, in hexadecimal, of its canonical form. Comments, the order of fields and
// defaults written out do not change it.
type Hash string

// Parse compiles the content of a file; file is the name that errors carry. The error is of type strict.Errors.
func Parse(file string, data []byte) (*Segment, error) {
	f := File{Limits: DefaultLimits()}
	v := &validator{doc: strict.Decode(file, data, &f, nil), file: &f}
	v.validate()
	if err := v.doc.Err(); err != nil {
		return nil, err
	}
	s := v.compile()
	if err := v.doc.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// compile builds the segment of a file without mistakes.
func (v *validator) compile() *Segment {
	f := v.file.withDefaults()
	s := &Segment{Name: f.Segment, ProfileKey: f.ProfileKey, Limits: f.Limits, File: f, Tables: map[string][]identity.Source{}}
	failed := func(path strict.Path, err error) { v.doc.Report(path, "", "%v", err) }
	var err error
	if s.Rules, err = identity.NewRules(f.Keys, f.ProfileKey); err != nil {
		failed("keys", err)
		return nil
	}
	for name, table := range f.Tables {
		for _, key := range s.Rules.Keys() {
			if field, ok := table.Keys.Fields[key]; ok {
				s.Tables[name] = append(s.Tables[name], identity.Source{Key: key, Field: field})
			}
		}
	}
	s.EventNames = slices.Sorted(maps.Keys(f.Events))
	s.Events = v.events
	refs := map[string]attribute.EventRef{}
	for i, name := range s.EventNames {
		d := f.Events[name]
		refs[name] = attribute.EventRef{Index: i, Meaning: d.Table + "\n" + strings.TrimSpace(string(d.Where))}
	}
	var attributes []attribute.Definition
	for _, name := range slices.Sorted(maps.Keys(f.Attributes)) {
		attributes = append(attributes, f.Attributes[name])
	}
	limits := attribute.Limits{ValueBytes: f.Limits.AttributeBytes, Definitions: f.Limits.Attributes}
	if s.Attributes, err = attribute.NewSet(attributes, refs, limits); err != nil {
		failed("attributes", err)
		return nil
	}
	s.Audiences = v.audiences
	canonical, err := s.Canonical()
	if err != nil {
		failed("", err)
		return nil
	}
	sum := sha256.Sum256(canonical)
	s.Hash = Hash(hex.EncodeToString(sum[:]))
	return s
}

// Canonical returns the content as JSON in its one form; Parse accepts it and gives the same segment.
func (s *Segment) Canonical() ([]byte, error) {
	b, err := json.Marshal(s.File)
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", s.Name, err)
	}
	return b, nil
}

// OpenConfig returns what the update core works by, with the segment's catalogues opened.
func (s *Segment) OpenConfig() (*update.Config, error) {
	catalogues, err := catalogue.Open(s.File.Catalogues)
	if err != nil {
		return nil, err
	}
	config := s.Config()
	config.Attributes = config.Attributes.WithCatalogues(catalogues)
	return config, nil
}

// Config returns the part of the segment that the update core works by.
func (s *Segment) Config() *update.Config {
	return &update.Config{
		Namespace: s.Name, Rules: s.Rules, Tables: s.Tables, Events: s.Events, Attributes: s.Attributes, Audiences: s.Audiences,
		Limits: event.Limits{Bytes: s.Limits.EventBytes}, MaxListed: s.Limits.IdentifiersPerProfile, CellsPerProfile: s.Limits.CellsPerProfile,
	}
}
