package gate

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/telemetry/metric"
)

// Metrics is a Meter of metrics, which its owner makes: their names and buckets say what passes the gate. All are needed.
type Metrics struct {
	Memory   prometheus.Gauge       // taken now, in bytes
	Line     prometheus.Gauge       // callers in it now
	Refusals *prometheus.CounterVec // by reason
	Waits    prometheus.Histogram   // of those who were admitted, in seconds
}

var _ Meter = (*Metrics)(nil)

// Used implements Meter.
func (m *Metrics) Used(bytes int64) { m.Memory.Set(float64(bytes)) }

// Queued implements Meter.
func (m *Metrics) Queued(callers int) { m.Line.Set(float64(callers)) }

// Refused implements Meter.
func (m *Metrics) Refused(reason string) { m.Refusals.WithLabelValues(reason).Inc() }

// Waited implements Meter.
func (m *Metrics) Waited(ctx context.Context, waited time.Duration) {
	metric.Observe(ctx, m.Waits, waited)
}
