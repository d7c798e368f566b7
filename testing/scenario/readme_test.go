package scenario_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/transforms/segment"
)

var block = regexp.MustCompile("(?ms)^```(yaml|scenario)\n(.*?)^```$")

// Every script on these pages runs on the segment there.
func TestReadme(t *testing.T) {
	for file, least := range map[string]int{"README.md": 5, "../../transforms/attribute/README.md": 1} {
		t.Run(file, func(t *testing.T) { runPage(t, file, least) })
	}
}

func runPage(t *testing.T, file string, least int) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var own *segment.Segment
	scripts := 0
	for _, m := range block.FindAllSubmatchIndex(data, -1) {
		kind, text := string(data[m[2]:m[3]]), data[m[4]:m[5]]
		before := bytes.Count(data[:m[4]], []byte("\n"))
		if kind == "yaml" {
			if own, err = segment.Parse(file, append(bytes.Repeat([]byte("\n"), before), text...)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		scripts++
		padded := append([]byte(strings.Repeat("\n", before)), text...) // so that errors name the line of the page
		run(t, file, padded, scenario.Source{Segment: func() (*segment.Segment, error) { return own, nil }})
	}
	if scripts < least {
		t.Errorf("found %d scripts", scripts)
	}
}
