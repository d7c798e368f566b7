package filter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/filter"
)

const received = 1291190400000 // 2010-12-01T08:00:00Z, a Wednesday

const order = `{"event_id":"e1","table":"orders","time":1291190340000,"identifiers":{"user_id":"7"},"properties":{` +
	`"type":"product","total":15.30,"quantity":6,"whole":15.0,"big":9223372036854775807,"huge":123456789012345678901234567890,"infinite":1e999,` +
	`"flag":true,"nothing":null,"tags":["red","blue"],"mixed":[1,2.5,"x",null,{"a":1}],"empty":[],"name":"José Ünïcode",` +
	`"items":[{"sku":"85123A","price":2.55,"n":6},{"sku":"71053","price":3,"n":2}],"ids":{"a":1,"b":{"c":[1,2]}},"with space":1,` +
	`"twice":1,"twice":2,"again":{"x":1,"x":2,"y":3}},"context":{"page":{"url":"https://shop.example/p/1"}}}`

func decode(t testing.TB, value string) *event.Event {
	t.Helper()
	e, err := event.Decode(event.Record{Value: []byte(value), Timestamp: received}, event.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

func TestMatch(t *testing.T) {
	const yes, no, missing, wrong = "yes", "no", "missing", "wrong"
	e := decode(t, order)
	for expr, want := range map[string]string{
		// texts
		`properties.type == "product"`:                   yes,
		`properties.type != "product"`:                   no,
		`properties.type.contains("duc")`:                yes,
		`properties.type.startsWith("pro")`:              yes,
		`properties.type.endsWith("x")`:                  no,
		`properties.type.matches("^p.*t$")`:              yes,
		`properties.type in ["product", "page"]`:         yes,
		`!(properties.type in ["page"])`:                 yes,
		`properties.name.size() == 12`:                   yes,
		`properties["with space"] == 1`:                  yes,
		`identifiers.user_id == "7"`:                     yes,
		`context.page.url.contains("shop")`:              yes,
		`table == "orders" && event_id == "e1"`:          yes,
		`properties.type > "o" && properties.type < "q"`: yes,
		// numbers
		`properties.total > 15`:                                yes,
		`properties.total > 15.3`:                              no,
		`properties.total >= 15.3`:                             yes,
		`double(properties.total) > 0.0`:                       yes,
		`double(properties.quantity) * 2.5 == 15.0`:            yes,
		`properties.quantity > 5.5 && properties.quantity < 7`: yes,
		`properties.whole == 15`:                               yes,
		`properties.quantity == 6.0`:                           yes,
		`properties.big == 9223372036854775807`:                yes,
		`properties.huge > 1e29`:                               yes,
		`properties.infinite > 0`:                              wrong,
		`properties.quantity % 2 == 0`:                         yes,
		`properties.total * properties.quantity > 1.0`:         wrong,
		`properties.quantity / 0 == 1`:                         wrong,
		`properties.type > 5`:                                  wrong,
		// what is missing
		`properties.absent == "x"`:                              missing,
		`properties.absent != "x"`:                              missing,
		`properties.absent.deeper == "x"`:                       missing,
		`properties.type.deeper == "x"`:                         missing,
		`properties.absent == 1 || properties.quantity == 6`:    yes,
		`properties.quantity == 6 || properties.absent == 1`:    yes,
		`properties.absent == 1 || properties.quantity == 7`:    missing,
		`properties.absent == 1 && properties.quantity == 7`:    no,
		`has(properties.total)`:                                 yes,
		`has(properties.absent)`:                                no,
		`!has(properties.absent)`:                               yes,
		`has(properties.nothing) && properties.nothing == null`: yes,
		`has(properties.ids.b.c)`:                               yes,
		`has(properties.absent.deeper)`:                         missing,
		`has(context.nothing)`:                                  no,
		`"total" in properties`:                                 yes,
		`properties.items[5].sku == "x"`:                        missing,
		`properties.items[-1].sku == "x"`:                       missing,
		// lists and maps
		`properties.tags.exists(t, t == "blue")`:                                   yes,
		`properties.tags.all(t, t != "green")`:                                     yes,
		`properties.tags.exists_one(t, t.startsWith("r"))`:                         yes,
		`properties.empty.all(t, false)`:                                           yes,
		`"red" in properties.tags`:                                                 yes,
		`2.5 in properties.mixed && null in properties.mixed`:                      yes,
		`1.0 in properties.mixed`:                                                  yes,
		`size(properties.items) == 2`:                                              yes,
		`properties.items[1].sku == "71053"`:                                       yes,
		`properties.items.exists(i, i.price > 2.9 && i.n == 2)`:                    yes,
		`properties.items.map(i, i.sku) == ["85123A", "71053"]`:                    yes,
		`properties.items.filter(i, i.n > 5).size() == 1`:                          yes,
		`(properties.tags + ["x"]).size() == 3`:                                    yes,
		`["x"] + properties.tags == ["x", "red", "blue"]`:                          yes,
		`properties.ids == {"a": 1, "b": {"c": [1, 2]}}`:                           yes,
		`{"a": 1, "b": {"c": [1, 2]}} == properties.ids`:                           yes,
		`properties.ids != {"a": 1}`:                                               yes,
		`properties.tags == ["red"]`:                                               no,
		`properties.ids.exists(k, k == "b")`:                                       yes,
		`properties.twice == 1`:                                                    yes,
		`properties.again == {"x": 1, "y": 3} && size(properties.again) == 2`:      yes,
		`properties.items.exists(i, properties.tags.exists(t, i.sku == t))`:        no,
		`type(properties.ids) == map && type(properties.tags) == list`:             yes,
		`properties.mixed.exists(m, type(m) == string && m == "x")`:                yes,
		`properties.ids == properties.ids && properties.mixed == properties.mixed`: yes,
		`properties.flag == true`:                                                  yes,
		`properties.flag == 1`:                                                     no,
		// time
		`time > timestamp("2010-12-01T00:00:00Z")`:                   yes,
		`received - time == duration("60s")`:                         yes,
		`received - time < duration("30s")`:                          no,
		`time + duration("1h") > received`:                           yes,
		`time.getHours() == 7 && time.getDayOfWeek() == 3`:           yes,
		`time.getHours("+02:00") == 9`:                               yes,
		`timestamp("2010-12-02T00:00:00Z") - time > duration("10h")`: yes,
	} {
		t.Run(expr, func(t *testing.T) {
			p, err := filter.Compile(expr)
			if err != nil {
				t.Fatal(err)
			}
			matched, err := p.Match(e)
			got := no
			switch {
			case errors.Is(err, filter.ErrMissing):
				got = missing
			case err != nil:
				got = wrong
			case matched:
				got = yes
			}
			if got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
			if err != nil && matched {
				t.Error("an error must not match")
			}
		})
	}
}

func TestMatchWithoutObjects(t *testing.T) {
	e := decode(t, `{"event_id":"e","table":"t","properties":null}`)
	for expr, want := range map[string]bool{`has(properties.x)`: false, `size(context) == 0`: true, `time == received`: true} {
		p, err := filter.Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		if matched, err := p.Match(e); matched != want || err != nil {
			t.Errorf("%s: %v, %v", expr, matched, err)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for expr, want := range map[string]string{
		`properties.total >`:                      "1:19: syntax: the expression ends too early",
		`total > 5`:                               `1:1: unknown name "total" (fields of an event are properties.x, context.x and identifiers.x; texts need quotes)`,
		`properties.x == "é" && totall > 5`:       `1:24: unknown name "totall"`,
		"properties.x == 1 &&\n  y == 2":          `2:3: unknown name "y"`,
		`properties.total`:                        "1:1: the expression gives a value of any type, not true or false (compare it, for example: properties.total == true)",
		`table`:                                   "1:1: the expression gives string, not true or false",
		`table > 5`:                               "1:7: found no matching overload for '_>_' applied to '(string, int)'",
		`table.matches("(")`:                      "1:15: invalid matches argument",
		`table.matches(properties.p)`:             "1:14: the pattern of matches must be a literal text",
		`time > timestamp("yesterday")`:           "1:18: invalid timestamp argument",
		`time - received > duration("5 minutes")`: "1:28: invalid duration argument",
		``: "1:1: syntax: the expression ends too early",
		strings.Repeat("(", 150) + "true" + strings.Repeat(")", 150): "1:1: expression recursion limit exceeded: 100",
		`properties.a.all(a, a.all(b, b.all(c, c.all(d, d == 1))))`:  "comprehension exceeds nesting limit",
	} {
		t.Run(expr[:min(len(expr), 40)], func(t *testing.T) {
			_, err := filter.Compile(expr)
			var errs filter.Errors
			if !errors.As(err, &errs) || len(errs) == 0 {
				t.Fatalf("error %v is not of the package's type", err)
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got  %s\nwant %s", err, want)
			}
			if strings.Contains(errs[0].Message, "\n") {
				t.Errorf("%q has several lines", errs[0].Message)
			}
		})
	}
}

func TestHostileEventEnds(t *testing.T) {
	items := strings.Repeat(`1,`, 5000) + `1`
	e := decode(t, `{"event_id":"e","table":"t","properties":{"a":[`+items+`],"s":"`+strings.Repeat("a", 100000)+`","m":{"k":0}}}`)
	const rounds, read = "operation interrupted: more than 100000 rounds", "it would read more than 16777216 bytes"
	for expr, want := range map[string]string{
		`properties.a.all(x, x == 1)`:                                                           "",
		`properties.a.all(x, properties.a.exists(y, y == 2))`:                                   "",
		`[1, 2].all(z, properties.a.all(x, properties.m.all(k, k == "k")))`:                     read,
		`[1, 2, 3, 4, 5].all(z, [1, 2, 3, 4, 5].all(y, properties.a.all(x, x > 0)))`:            rounds,
		`properties.a.map(x, x).all(x, [x, x, x, x, x, x].all(y, [y, y, y, y].all(z, z == 1)))`: rounds,
		`properties.a.all(x, properties.s.matches("(a*)*b") == false)`:                          read,
		`properties.a.map(x, properties.a.map(y, properties.a)).size() > 0`:                     read,
		`properties.a.all(x, 2 in properties.a == false)`:                                       read,
		`properties.a.all(x, properties.m.k == 0)`:                                              read,
		`properties.a.all(x, size(properties) == 3)`:                                            read,
	} {
		p, err := filter.Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		matched, err := p.Match(e)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", expr, err)
		case want != "" && (matched || err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, %v; want %s", expr, matched, err, want)
		}
	}
}

func TestSet(t *testing.T) {
	set, err := filter.NewSet([]filter.Definition{
		{Name: "every_order", Table: "orders"},
		{Name: "viewed", Table: "page_view"},
		{Name: "large", Table: "orders", Where: "properties.total > 100"},
		{Name: "small", Table: "orders", Where: "properties.total <= 100"},
		{Name: "absent", Table: "orders", Where: "properties.absent == 1"},
		{Name: "odd", Table: "orders", Where: "properties.type > 1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var reported []int
	set.OnError(func(i int, err error) { reported = append(reported, i) })
	if diff := cmp.Diff([]int{9, 0, 3}, set.Match(decode(t, order), []int{9})); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{5}, reported); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
	if got := set.Match(decode(t, `{"event_id":"e","table":"other"}`), nil); got != nil {
		t.Errorf("another table matches %v", got)
	}

	_, err = filter.NewSet([]filter.Definition{{Name: "a", Table: "t", Where: "x"}, {Name: "b", Table: "t"}, {Name: "c", Table: "t", Where: "1"}})
	want := `event a: where: 1:1: unknown name "x" (fields of an event are properties.x, context.x and identifiers.x; texts need quotes)` + "\n" +
		"event c: where: 1:1: the expression gives int, not true or false"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	var first *filter.DefinitionError
	if !errors.As(err, &first) || first.Index != 0 {
		t.Errorf("first error is %v", first)
	}
}

func TestSetIsSafeForConcurrentUse(t *testing.T) {
	set, err := filter.NewSet([]filter.Definition{
		{Name: "a", Table: "orders", Where: `properties.items.exists(i, i.sku == "71053")`},
		{Name: "b", Table: "orders", Where: `properties.type == "product"`},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for range 8 {
		go func() {
			e, problem := decode(t, order), ""
			for range 200 {
				if got := fmt.Sprint(set.Match(e, nil)); got != "[0 1]" {
					problem = got
				}
			}
			done <- problem
		}()
	}
	for range 8 {
		if problem := <-done; problem != "" {
			t.Error(problem)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, expr := range []string{`properties.type == "product"`, `has(properties.x) || time > received - duration("1h")`, `properties.a.exists(x, x in [1, 2.0, null])`, `"\u00e9".matches("[")`, `{"a": 1}.a == 1`} {
		f.Add(expr)
	}
	e := decode(f, order)
	f.Fuzz(func(t *testing.T, expr string) {
		if len(expr) > 1000 {
			return
		}
		p, err := filter.Compile(expr)
		if err != nil {
			var errs filter.Errors
			if !errors.As(err, &errs) || len(errs) == 0 || errs[0].Line < 1 || errs[0].Column < 1 || errs[0].Message == "" {
				t.Fatalf("error without place or text: %#v", err)
			}
			return
		}
		first, err1 := p.Match(e)
		second, err2 := p.Match(e)
		if first != second || (err1 == nil) != (err2 == nil) || err1 != nil && first {
			t.Fatalf("%v %v, then %v %v", first, err1, second, err2)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add([]byte(order))
	f.Add([]byte(`{"event_id":"e","table":"orders","properties":{"a":{"a":[[],{}]},"a":1,"":-0,"b":1e-400}}`))
	var programs []*filter.Program
	for _, expr := range []string{`properties == properties`, `properties.a == 1`, `properties.exists(k, properties[k] == null)`, `properties.a.all(x, x in properties.a)`,
		`size(properties.a) > size(context)`, `properties.items[0].n < properties.b`, `has(properties.a.b)`, `time >= received`} {
		p, err := filter.Compile(expr)
		if err != nil {
			f.Fatal(err)
		}
		programs = append(programs, p)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := event.Decode(event.Record{Value: value, Timestamp: received}, event.Limits{})
		if err != nil {
			return
		}
		for _, p := range programs {
			if matched, err := p.Match(&e); matched && err != nil {
				t.Fatalf("%s: %v and %v", p, matched, err)
			} else if err != nil && strings.Contains(err.Error(), "internal error") {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	e := decode(b, `{"event_id":"0190163d-8694-739b-aea5-966c26f8ad91","table":"page_view","time":1291190400000,"identifiers":{"user_id":"17850","anonymous_id":"c0ffee00-1234"},`+
		`"properties":{"type":"product","category":"yoga","sku":"85123A","total":15.30,"quantity":6,"tags":["a","b"]},"context":{"page":{"url":"https://shop.example/p/85123A"}}}`)
	for _, expr := range []string{`properties.type == "product"`, `double(properties.total) > 0.0`, `properties.absent == 1`, `properties.tags.exists(t, t == "b")`, `properties.sku.matches("^8.*A$")`} {
		p, err := filter.Compile(expr)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.Match(e)
			}
		})
	}
}
