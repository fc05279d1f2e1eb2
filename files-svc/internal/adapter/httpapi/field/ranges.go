package field

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Range is a run of bytes, both ends inside the content.
type Range struct{ Start, Length int64 }

// ContentRange is the value of the Content-Range field for this run of a content of size bytes.
func (r Range) ContentRange(size int64) string {
	return "bytes " + strconv.FormatInt(r.Start, 10) + "-" + strconv.FormatInt(r.Start+r.Length-1, 10) +
		"/" + strconv.FormatInt(size, 10)
}

const (
	// MaxRanges is how many runs one answer may have. Each costs a part header and a seek, and a reader that skips
	// about asks for two or three.
	MaxRanges = 16

	// maxRangeBytes bounds the field: it holds 60 ranges of the largest numbers there are.
	maxRangeBytes = 2560

	// mergeGap is the size of a part header: sending a gap smaller than that is cheaper than skipping it.
	mergeGap = 80
)

// ErrRange says that no byte of what was asked exists, or that the field is nonsense.
var ErrRange = errors.New("no such range")

// ParseRange reads a Range field for a content of size bytes. No ranges and no error mean: send the whole, because
// the field is absent, of another unit, or asks for more pieces than MaxRanges even after neighbours are merged.
// Several ranges come back ascending and apart.
func ParseRange(lines []string, size int64) ([]Range, error) {
	if len(lines) != 1 || size == 0 {
		return nil, nil
	}
	unit, set, ok := strings.Cut(lines[0], "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || len(set) > maxRangeBytes {
		return nil, nil
	}
	var out []Range
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		r, err := parseSpec(spec, size)
		if err != nil {
			return nil, err
		}
		if r.Length > 0 {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, ErrRange
	}
	if out = merge(out); len(out) > MaxRanges {
		return nil, nil
	}
	return out, nil
}

// parseSpec reads `first-last`, `first-` or `-suffix`. A range that begins behind the end has no length.
func parseSpec(spec string, size int64) (Range, error) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return Range{}, ErrRange
	}
	if first == "" {
		n, err := digits(last)
		if err != nil {
			return Range{}, err
		}
		n = min(n, size)
		return Range{Start: size - n, Length: n}, nil
	}
	start, err := digits(first)
	if err != nil {
		return Range{}, err
	}
	end := size - 1
	if last != "" {
		if end, err = digits(last); err != nil || end < start {
			return Range{}, ErrRange
		}
	}
	if start >= size {
		return Range{}, nil
	}
	return Range{Start: start, Length: min(end, size-1) - start + 1}, nil
}

// digits reads an unsigned number; one too large for int64 is as good as the largest.
func digits(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, ErrRange
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, nil
	}
	return n, nil
}

// merge joins ranges that overlap, touch or nearly touch. One range alone is never widened.
func merge(in []Range) []Range {
	slices.SortFunc(in, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	out := in[:1]
	for _, r := range in[1:] {
		prev := &out[len(out)-1]
		if r.Start <= prev.Start+prev.Length+mergeGap {
			prev.Length = max(prev.Length, r.Start+r.Length-prev.Start)
			continue
		}
		out = append(out, r)
	}
	return out
}
