package observe

import (
	"errors"
	"io"
	"net/http"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// nativeHistograms scrapes in Prometheus' binary format and returns which histograms have both kinds of buckets.
func nativeHistograms(t testing.TB, ops string) map[string]bool {
	t.Helper()
	req, err := http.NewRequest("GET", ops+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	format := expfmt.NewFormat(expfmt.TypeProtoDelim)
	req.Header.Set("Accept", string(format))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	both := map[string]bool{}
	decoder := expfmt.NewDecoder(res.Body, format)
	for {
		var family dto.MetricFamily
		err := decoder.Decode(&family)
		if errors.Is(err, io.EOF) {
			return both
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range family.GetMetric() {
			if h := m.GetHistogram(); len(h.GetPositiveSpan()) > 0 && len(h.GetBucket()) > 0 {
				both[family.GetName()] = true
			}
		}
	}
}
