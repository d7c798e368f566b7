package segment

import (
	"maps"
	"slices"

	"github.com/braidhq/braid/transforms/strict"
)

func (v *validator) checkCatalogues() {
	names := slices.Sorted(maps.Keys(v.file.Catalogues))
	for _, name := range names {
		path := strict.Path("catalogues").Key(name)
		for _, e := range v.file.Catalogues[name].Validate(name) {
			if at := path.Key(e.Field); e.Field == "name" || !v.doc.Has(at) {
				v.doc.ReportKey(path, e.Hint, "%s", e.Message)
			} else if !v.doc.Failed(at) {
				v.doc.Report(at, e.Hint, "%s", e.Message)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.file.Attributes)) {
		path := strict.Path("attributes").Key(name).Key("catalogue")
		asked := v.file.Attributes[name].Catalogue
		if asked != "" && !v.doc.Failed(path) && !slices.Contains(names, asked) {
			v.doc.Report(path, strict.Suggest(asked, names), "there is no catalogue %q", asked)
		}
	}
}

func (v *validator) checkBatch() {
	for _, m := range v.file.Batch.Validate(slices.Sorted(maps.Keys(v.file.Events))) {
		path := strict.Path("batch")
		for _, field := range m.Path {
			path = path.Key(field)
		}
		switch {
		case v.doc.Failed(path):
		case m.Missing:
			v.doc.ReportKey(path, m.Hint, "%s", m.Message)
		default:
			v.doc.Report(path, m.Hint, "%s", m.Message)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.file.Attributes)) {
		path := strict.Path("attributes").Key(name).Key("from")
		from := v.file.Attributes[name].From
		if from == "" || v.doc.Failed(path) || v.file.Attributes[name].Kind != "imported" {
			continue
		}
		if message, hint := v.file.Batch.CheckFrom(from); message != "" {
			v.doc.Report(path, hint, "%s", message)
		}
	}
}
