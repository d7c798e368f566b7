package element_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/pipelines/direct/element"
)

var panes = []typex.PaneInfo{
	typex.NoFiringPane(),
	{Timing: typex.PaneOnTime, IsFirst: true, IsLast: true},
	{Timing: typex.PaneLate, Index: 300, NonSpeculativeIndex: 300},
	{Timing: typex.PaneLate, Index: 3, NonSpeculativeIndex: 2},
}

// TestHeaderIsTheSDKs: a header is written and read as the SDK does it.
func TestHeaderIsTheSDKs(t *testing.T) {
	for _, wc := range []*coder.WindowCoder{coder.NewGlobalWindow(), coder.NewIntervalWindow()} {
		r, err := element.NewReader(coder.NewVarInt(), wc)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range panes {
			w, in := element.Window{Start: -5000, End: 7000}, []typex.Window{window.IntervalWindow{Start: -5000, End: 7000}}
			if r.Global() {
				w, in = element.Global, window.SingleGlobalWindow
			}
			var want bytes.Buffer
			if err := exec.EncodeWindowedValueHeader(exec.MakeWindowEncoder(wc), in, -42, p, &want); err != nil {
				t.Fatal(err)
			}
			got := r.AppendHeader(nil, -42, w, p)
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("%v, pane %+v: header %x, want %x", wc, p, got, want.Bytes())
			}
			n := 0
			err := r.Each(append(got, 5), func(h element.Header, all, value []byte) error {
				n++
				if h.Time != -42 || len(h.Windows) != 1 || h.Windows[0] != w || !bytes.Equal(value, []byte{5}) || len(all) != len(got)+1 {
					t.Errorf("read %+v, %x of %x", h, value, all)
				}
				return nil
			})
			if err != nil || n != 1 {
				t.Errorf("%d elements, error %v", n, err)
			}
		}
	}
}

// TestPairs: key and value are found whatever their coders.
func TestPairs(t *testing.T) {
	tests := []struct {
		name       string
		key, value *coder.Coder
		k, v       []byte
	}{
		{"bytes and number", coder.NewBytes(), coder.NewVarInt(), []byte{2, 'a', 'b'}, []byte{0x81, 1}},
		{"text and double", coder.NewString(), coder.NewDouble(), []byte{0}, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{"truth and pair", coder.NewBool(), coder.NewKV([]*coder.Coder{coder.NewVarInt(), coder.NewBytes()}), []byte{1}, []byte{7, 1, 'x'}},
		{"nullable", coder.NewN(coder.NewVarInt()), coder.NewVarInt(), []byte{1, 5}, []byte{6}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := element.NewReader(coder.NewKV([]*coder.Coder{tt.key, tt.value}), coder.NewGlobalWindow())
			if err != nil {
				t.Fatal(err)
			}
			one := append(append(r.AppendHeader(nil, mtime.ZeroTimestamp, element.Global, typex.NoFiringPane()), tt.k...), tt.v...)
			n := 0
			err = r.EachPair(append(one, one...), func(_ element.Header, key, value []byte) error {
				n++
				if diff := cmp.Diff([][]byte{tt.k, tt.v}, [][]byte{key, value}); diff != "" {
					t.Error(diff)
				}
				return nil
			})
			if err != nil || n != 2 {
				t.Errorf("%d elements, error %v", n, err)
			}
		})
	}
}

func TestNoPairs(t *testing.T) {
	r, err := element.NewReader(coder.NewVarInt(), coder.NewGlobalWindow())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.EachPair([]byte{1}, nil); !errors.Is(err, element.ErrMalformed) {
		t.Errorf("error %v, want %v", err, element.ErrMalformed)
	}
}

// FuzzReader: any bytes are read or refused, without a panic, and every element that is read is a part of them.
func FuzzReader(f *testing.F) {
	interval := []byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 9, 5, 0x0f, 1, 'k', 1, 'v'}
	f.Add(interval, false)
	f.Add([]byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x0f, 1, 'k', 1, 'v'}, true)
	f.Add(bytes.Repeat([]byte{0xff}, 50), false)
	pair := coder.NewKV([]*coder.Coder{coder.NewBytes(), coder.NewN(coder.NewBytes())})
	f.Fuzz(func(t *testing.T, data []byte, global bool) {
		wc := coder.NewIntervalWindow()
		if global {
			wc = coder.NewGlobalWindow()
		}
		r, err := element.NewReader(pair, wc)
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		err = r.Each(data, func(_ element.Header, all, _ []byte) error { read += len(all); return nil })
		if read > len(data) || err == nil && read != len(data) {
			t.Errorf("read %d bytes of %d, error %v", read, len(data), err)
		}
	})
}
