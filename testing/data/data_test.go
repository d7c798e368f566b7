package data_test

import (
	"bufio"
	"io/fs"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/data"
)

func TestDataSetsHaveTheRowsTheReadmeSays(t *testing.T) {
	for _, c := range []struct {
		path  string
		lines int
		first string
	}{
		{data.Invoices, 42_481 + 1, "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"},
		{data.Users, 5_250, `{"id":"1",`},
		{data.Clicks, 833 + 1, "event_id,event_vendor,event_name,"},
		{data.Products, 2_465, `{"id":"6579c22f-be2b-444c-a52b-0116dd82df6c",`},
	} {
		t.Run(c.path, func(t *testing.T) {
			f, err := data.Open(c.path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
			lines := 0
			for s := bufio.NewScanner(f); s.Scan(); lines++ {
				if lines == 0 && !strings.HasPrefix(s.Text(), c.first) {
					t.Errorf("first line is %q, want it to begin with %q", s.Text(), c.first)
				}
			}
			if lines != c.lines {
				t.Errorf("%d lines, want %d", lines, c.lines)
			}
		})
	}
}

func TestLicencesTravelWithTheData(t *testing.T) {
	for path, text := range map[string]string{
		"online-retail/LICENCE.md": "CC BY 4.0",
		"retail/LICENCE.md":        "MIT-0",
		"README.md":                "doi:10.24432/C5BW33",
	} {
		b, err := fs.ReadFile(data.Files, path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), text) {
			t.Errorf("%s does not mention %q", path, text)
		}
	}
}

func TestOpenOfAnUnknownDataSetFails(t *testing.T) {
	for _, path := range []string{"nothing.csv.gz", "README.md"} {
		if _, err := data.Open(path); err == nil {
			t.Errorf("Open(%q) gave no error", path)
		}
	}
}
