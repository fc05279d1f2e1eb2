package httpapi

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

func TestSeats_AreBoundedForAllAndForEach(t *testing.T) {
	s := &seats{what: "archives", all: 5, each: 2, inUse: prometheus.NewGauge(prometheus.GaugeOpts{})}
	var leave []func()
	take := func(who files.OwnerID, want error) {
		t.Helper()
		l, err := s.take(who)
		if !errors.Is(err, want) {
			t.Fatalf("%s: %v, want %v", who, err, want)
		}
		if err == nil {
			leave = append(leave, l)
		}
	}
	for _, who := range []files.OwnerID{"ann", "ann", "bob", "bob"} {
		take(who, nil)
	}
	take("ann", fault.Of(fault.RateLimited))
	take("cid", nil)
	take("dan", fault.Of(fault.Overloaded))
	if got := testutil.ToFloat64(s.inUse); got != 5 {
		t.Errorf("%v are in use", got)
	}
	leave[0]()
	take("ann", nil)
	for _, l := range leave[1:] {
		l()
	}
	if s.taken != 0 || len(s.by) != 0 || testutil.ToFloat64(s.inUse) != 0 {
		t.Errorf("when all have left %d are taken, by %v", s.taken, s.by)
	}
}
