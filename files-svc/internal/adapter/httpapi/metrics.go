package httpapi

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/libs/telemetry/metric"
)

type metrics struct {
	uploading, downloading prometheus.Gauge
	archives, exports      prometheus.Gauge
	downloads              *prometheus.CounterVec
	downloadedBytes        prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	running := f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cloakroom_files_transfers_in_flight", Help: "Contents being received (up) and sent (down).",
	}, []string{"direction"})
	return &metrics{
		uploading: running.WithLabelValues("up"), downloading: running.WithLabelValues("down"),
		exports: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_files_exports_in_flight", Help: "Exports of everything held about a person being packed and sent; at most 4, beyond that 503.",
		}),
		archives: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_files_archives_in_flight", Help: "Archives being packed and sent; at most 16, beyond that 503.",
		}),
		downloads: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_downloads_total",
			Help: "Contents sent: whole or in ranges (ok), cut because the client or its session went (cut), or because reading failed (error); or left to the store by an address (direct).",
		}, []string{"result"}), "ok", "cut", "error", "direct"),
		downloadedBytes: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_files_download_bytes_total", Help: "Bytes of contents sent.",
		}),
	}
}
