package sqlite

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/libs/telemetry/metric"
)

type metrics struct {
	factory   promauto.Factory
	group     prometheus.Histogram
	seconds   prometheus.Histogram
	repeated  prometheus.Counter
	walWrites prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, name string) *metrics {
	if reg != nil {
		observePages(reg)
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"db": name}, reg)
	}
	f := promauto.With(reg)
	return &metrics{
		factory: f,
		group: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_sqlite_commit_writes", Help: "Writes that shared one commit.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, maxGroup}, // powers of two up to the bound
		}),
		seconds: f.NewHistogram(metric.Native(prometheus.HistogramOpts{
			Name: "cloakroom_sqlite_commit_seconds", Help: "Time from begin to durable commit.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1}, // an fsync is 0.5 to 25 ms
		})),
		repeated: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_sqlite_repeated_commits_total", Help: "Groups of writes run again, each write apart, because one of them had failed.",
		}),
		walWrites: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_sqlite_wal_writes_total", Help: "Writes to the write-ahead log. A commit takes one for each 124 KiB; it holds 1 MiB at most.",
		}),
	}
}

// observePages tells of the pool of pages, which all databases of the process share: the first of them brings its metric.
func observePages(reg prometheus.Registerer) {
	err := reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_sqlite_pooled_pages", Help: fmt.Sprintf("Pages of the caches that are in the pool, of at most %d. Those beyond take twice the memory.", slotsAtMost),
	}, func() float64 { return float64(pages.used()) }))
	if !errors.As(err, new(prometheus.AlreadyRegisteredError)) && err != nil {
		panic(err) // as promauto does: another metric has this name
	}
}

func (m *metrics) observeQueue(length func() float64) {
	m.factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_sqlite_queued_writes", Help: "Writes that wait for the writer: 1024 in its queue, and those that wait to get into it.",
	}, length)
}

func (m *metrics) observeReads(waiting *atomic.Int64) {
	m.factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_sqlite_waiting_reads", Help: fmt.Sprintf("Reads that wait for one of the %d readers.", readers),
	}, func() float64 { return float64(waiting.Load()) })
}

func (m *metrics) committed(span trace.SpanContext, writes int, took time.Duration) {
	m.group.Observe(float64(writes))
	metric.ObserveOf(span, m.seconds, took)
}
