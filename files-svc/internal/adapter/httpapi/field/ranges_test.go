package field

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseRange(t *testing.T) {
	const size = 1000
	for header, want := range map[string][]Range{
		"bytes=0-0":                       {{0, 1}},
		"bytes=0-":                        {{0, 1000}},
		"bytes=999-":                      {{999, 1}},
		"bytes=-1":                        {{999, 1}},
		"bytes=-5000":                     {{0, 1000}},
		"bytes=10-5000":                   {{10, 990}},
		"BYTES=0-9":                       {{0, 10}},
		"bytes= 0-9 , 500-509":            {{0, 10}, {500, 10}},
		"bytes=500-509,0-9":               {{0, 10}, {500, 10}},
		"bytes=0-9,5-19":                  {{0, 20}},
		"bytes=0-9,10-19":                 {{0, 20}},
		"bytes=0-9,2000-":                 {{0, 10}},
		"bytes=0-9,50-59":                 {{0, 60}},
		"items=0-9":                       nil,
		"bytes":                           nil,
		"bytes=0-9, 200-209,,":            {{0, 10}, {200, 10}},
		"bytes=0-99999999999999999999999": {{0, 1000}},
	} {
		got, err := ParseRange([]string{header}, size)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: got %v, %v; want %v", header, got, err, want)
		}
	}
	for _, bad := range []string{
		"bytes=", "bytes=,", "bytes=1000-", "bytes=1000-2000,3000-", "bytes=-0", "bytes=5-2", "bytes=a-b", "bytes=+1-2",
		"bytes=--1", "bytes=1", "bytes=0-1,x", "bytes=99999999999999999999-",
	} {
		if got, err := ParseRange([]string{bad}, size); err == nil {
			t.Errorf("%s: got %v, want a refusal", bad, got)
		}
	}
}

func TestParseRange_ManyPiecesSendTheWhole(t *testing.T) {
	spread := func(n int) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf("%d-%d", i*1000, i*1000))
		}
		return "bytes=" + strings.Join(parts, ",")
	}
	for header, want := range map[string]int{
		spread(MaxRanges):                              MaxRanges,
		spread(MaxRanges + 1):                          0,
		"bytes=" + strings.Repeat("0-0,", 600) + "0-0": 1,
		"bytes=" + strings.Repeat("0-0,", 240_000):     0,
	} {
		got, err := ParseRange([]string{header}, 1<<20)
		if err != nil || len(got) != want {
			t.Errorf("%.40s… (%d bytes): got %d ranges, %v; want %d", header, len(header), len(got), err, want)
		}
	}
}

func TestParseRange_EmptyContentHasNone(t *testing.T) {
	if got, err := ParseRange([]string{"bytes=0-10"}, 0); got != nil || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

// Every byte that is asked for and exists is sent, and no answer is larger than the content.
func TestParseRange_CoversWhatIsAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 5000).Draw(t, "size")
		asked := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]int64 {
			a := rapid.Int64Range(0, 6000).Draw(t, "first")
			return [2]int64{a, a + rapid.Int64Range(0, 3000).Draw(t, "length")}
		}), 1, 12).Draw(t, "asked")
		var specs []string
		for _, a := range asked {
			specs = append(specs, fmt.Sprintf("%d-%d", a[0], a[1]))
		}
		got, err := ParseRange([]string{"bytes=" + strings.Join(specs, ",")}, size)
		sent := make([]bool, size)
		for i, r := range got {
			if r.Length < 1 || r.Start < 0 || r.Start+r.Length > size {
				t.Fatalf("%v leaves the content of %d", r, size)
			}
			if i > 0 && r.Start <= got[i-1].Start+got[i-1].Length {
				t.Fatalf("%v: not apart and ascending", got)
			}
			for b := r.Start; b < r.Start+r.Length; b++ {
				sent[b] = true
			}
		}
		exists := false
		for _, a := range asked {
			for b := a[0]; b <= a[1] && b < size; b++ {
				exists = true
				if !sent[b] {
					t.Fatalf("%v of %d: byte %d asked for and not in %v", specs, size, b, got)
				}
			}
		}
		if exists == (err != nil) {
			t.Fatalf("%v of %d: got %v, %v", specs, size, got, err)
		}
	})
}
