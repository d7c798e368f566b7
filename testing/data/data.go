// Package data embeds the data sets that the demo, the tests and the benchmarks run on. Each is a gzip file; Open decompresses
// it. Origins, licences and the attribution they ask for stand in README.md and in a LICENCE.md beside each file.
package data

import (
	"compress/gzip"
	"embed"
	"fmt"
	"io"
)

// Files holds the data sets as they are stored, with the licence notes that must travel with them.
//
//go:embed README.md clickstream online-retail retail
var Files embed.FS

// Paths of the data sets in Files.
const (
	// Invoices holds the lines of all invoices of one shop in December 2010: CSV with a header line, in time order.
	Invoices = "online-retail/2010-12.csv.gz"
	// Users holds 5,250 generated people with several ids each: one JSON object a line, in order of their id.
	Users = "retail/users.jsonl.gz"
	// Clicks holds 833 events that trackers recorded on a demo shop: CSV with a header line, by receive time.
	Clicks = "clickstream/snowplow-ecommerce-events.csv.gz"
	// Products holds a catalogue of 2,465 products: one JSON object a line.
	Products = "retail/products.jsonl.gz"
)

// Open returns the decompressed text of one of the data sets. The caller closes it.
func Open(path string) (io.ReadCloser, error) {
	f, err := Files.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open embedded data set: %w", err)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open embedded data set %s: %w", path, err)
	}
	return &file{Reader: z, stored: f}, nil
}

// file closes what it decompresses from.
type file struct {
	*gzip.Reader
	stored io.Closer
}

func (f *file) Close() error {
	err := f.Reader.Close()
	if stored := f.stored.Close(); err == nil {
		err = stored
	}
	return err
}
