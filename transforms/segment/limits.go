package segment

// Limits guard the system. The defaults are what the documentation promises; a segment raises them on purpose only.
type Limits struct {
	// StitchingKeys is how many keys there may be; default 100.
	StitchingKeys int `yaml:"stitching_keys" json:"stitching_keys" jsonschema:"minimum=1,maximum=1000,default=100,description=How many stitching keys there may be."`
	// EventTables is how many tables there may be, batch and real-time together; default 100.
	EventTables int `yaml:"event_tables" json:"event_tables" jsonschema:"minimum=1,maximum=10000,default=100,description=How many event tables there may be\\, batch and real-time together."`
	// FilterCharacters is how long all filters together may be; default 1000.
	FilterCharacters int `yaml:"filter_characters" json:"filter_characters" jsonschema:"minimum=1,maximum=1000000,default=1000,description=How many characters the filters of all event definitions may have together."`
	// IdentifiersPerProfile is how many identifiers of a profile are listed and looked up, those seen last; default 200.
	IdentifiersPerProfile int `yaml:"identifiers_per_profile" json:"identifiers_per_profile" jsonschema:"minimum=1,maximum=10000,default=200,description=How many identifiers of a profile are listed and looked up: those seen last."`
	// CellsPerProfile is how many sets of identifiers a profile tells apart; default 2000.
	CellsPerProfile int `yaml:"cells_per_profile" json:"cells_per_profile" jsonschema:"minimum=1,maximum=100000,default=2000,description=How many sets of identifiers a profile tells apart; beyond that it forgets the identifiers seen longest ago\\, not their events."`
	// Attributes is how many attributes there may be; default 200.
	Attributes int `yaml:"attributes" json:"attributes" jsonschema:"minimum=1,maximum=10000,default=200,description=How many attributes there may be."`
	// Audiences is how many audiences there may be; default 200.
	Audiences int `yaml:"audiences" json:"audiences" jsonschema:"minimum=1,maximum=10000,default=200,description=How many audiences there may be."`
	// AttributeBytes is how long a text that an attribute takes from an event may be; default 500.
	AttributeBytes int `yaml:"attribute_bytes" json:"attribute_bytes" jsonschema:"minimum=1,maximum=65536,default=500,description=How many bytes a text that an attribute takes from an event may have."`
	// EventBytes is how large an event may be; default 1,048,576.
	EventBytes int `yaml:"event_bytes" json:"event_bytes" jsonschema:"minimum=1,maximum=16777216,default=1048576,description=How many bytes an event may have."`
}

// DefaultLimits returns the defaults of all limits.
func DefaultLimits() Limits {
	return Limits{
		StitchingKeys: 100, EventTables: 100, FilterCharacters: 1000, IdentifiersPerProfile: 200, CellsPerProfile: 2000, Attributes: 200, Audiences: 200, AttributeBytes: 500,
		EventBytes: 1 << 20,
	}
}

// bounds are what the limits themselves may be, by their names in YAML.
func (l Limits) bounds() []bound {
	return []bound{
		{"stitching_keys", l.StitchingKeys, 1000},
		{"event_tables", l.EventTables, 10_000},
		{"filter_characters", l.FilterCharacters, 1_000_000},
		{"identifiers_per_profile", l.IdentifiersPerProfile, 10_000},
		{"cells_per_profile", l.CellsPerProfile, 100_000},
		{"attributes", l.Attributes, 10_000},
		{"audiences", l.Audiences, 10_000},
		{"attribute_bytes", l.AttributeBytes, 65_536},
		{"event_bytes", l.EventBytes, 16 << 20},
	}
}

type bound struct {
	name       string
	value, max int
}
