package field

import (
	"net/http"
	"testing"
	"time"
)

var (
	modified = time.Date(2026, 11, 21, 10, 30, 15, 123456000, time.UTC)
	current  = Version{ETag: `"v1"`, Modified: modified}
)

const (
	same   = "Sat, 21 Nov 2026 10:30:15 GMT"
	before = "Sat, 21 Nov 2026 10:30:14 GMT"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestEvaluate(t *testing.T) {
	for _, c := range []struct {
		says string
		h    http.Header
		want Outcome
	}{
		{"nothing asked", header(), Proceed},
		{"match", header("If-Match", `"v1"`), Proceed},
		{"match in a list", header("If-Match", `"v0", "v1"`), Proceed},
		{"match over two lines", header("If-Match", `"v0"`, "If-Match", `"v1"`), Proceed},
		{"match any", header("If-Match", `*`), Proceed},
		{"match another", header("If-Match", `"v0"`), Failed},
		{"match is strong", header("If-Match", `W/"v1"`), Failed},
		{"match nonsense", header("If-Match", `v1`), Failed},
		{"none-match same", header("If-None-Match", `"v1"`), NotModified},
		{"none-match weak", header("If-None-Match", `W/"v1"`), NotModified},
		{"none-match any", header("If-None-Match", `*`), NotModified},
		{"none-match other", header("If-None-Match", `"v0"`), Proceed},
		{"not modified since", header("If-Modified-Since", same), NotModified},
		{"modified since", header("If-Modified-Since", before), Proceed},
		{"a bad date is no condition", header("If-Modified-Since", "yesterday"), Proceed},
		{"unmodified since", header("If-Unmodified-Since", same), Proceed},
		{"modified after all", header("If-Unmodified-Since", before), Failed},
		{"none-match outranks since", header("If-None-Match", `"v0"`, "If-Modified-Since", same), Proceed},
		{"match outranks unmodified", header("If-Match", `"v1"`, "If-Unmodified-Since", before), Proceed},
		{"match comes before none-match", header("If-Match", `"v0"`, "If-None-Match", `"v1"`), Failed},
	} {
		if got := Evaluate(c.h, current); got != c.want {
			t.Errorf("%s: got %v, want %v", c.says, got, c.want)
		}
	}
}

func TestRangeHolds(t *testing.T) {
	later, soon := modified.Add(time.Minute), modified.Add(time.Second)
	for _, c := range []struct {
		says string
		h    http.Header
		now  time.Time
		want bool
	}{
		{"absent", header(), later, true},
		{"the tag", header("If-Range", `"v1"`), later, true},
		{"an old tag", header("If-Range", `"v0"`), later, false},
		{"a weak tag", header("If-Range", `W/"v1"`), later, false},
		{"two tags", header("If-Range", `"v1", "v1"`), later, false},
		{"two lines", header("If-Range", `"v1"`, "If-Range", `"v1"`), later, false},
		{"the date", header("If-Range", same), later, true},
		{"the date, too fresh to be strong", header("If-Range", same), soon, false},
		{"an earlier date", header("If-Range", before), later, false},
		{"nonsense", header("If-Range", "x"), later, false},
	} {
		if got := RangeHolds(c.h, current, c.now); got != c.want {
			t.Errorf("%s: got %v, want %v", c.says, got, c.want)
		}
	}
}
