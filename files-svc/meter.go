package filessvc

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/telemetry/metric"
)

// meter turns what the core says into metrics.
type meter struct {
	uploads       *prometheus.CounterVec
	uploadBytes   prometheus.Counter
	uploadSeconds prometheus.Histogram
	reaped        *prometheus.CounterVec
	passes        *prometheus.CounterVec
	passSeconds   prometheus.Histogram
	blobs         *prometheus.GaugeVec
	blobBytes     *prometheus.GaugeVec
	openUploads   prometheus.Gauge
	reserved      prometheus.Gauge
	corrupt       prometheus.Counter
	integrity     *integrityMeter
}

var _ files.Meter = (*meter)(nil)

func newMeter(reg prometheus.Registerer) *meter {
	f := promauto.With(reg)
	return &meter{
		integrity: newIntegrityMeter(reg),
		uploads: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_uploads_total", Help: "Creates and replaces that ended, by how; quota is a quota refusal.",
		}, []string{"result"}), "ok", "too_large", "quota", "digest", "precondition", "repeated", "invalid", "storage_full", "unavailable", "error"),
		uploadBytes: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_files_upload_bytes_total", Help: "Bytes of contents received, kept or not.",
		}),
		uploadSeconds: f.NewHistogram(metric.Native(prometheus.HistogramOpts{
			Name: "cloakroom_files_upload_seconds", Help: "Time of an upload that was kept, from its head to its durable commit.",
			// From a small file in a group commit to a large one over a slow line.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600},
		})),
		reaped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_reaped_total", Help: "What has been brought one step further towards its end, by step: by the reaper, but for receipt_early, answers to an Idempotency-Key forgotten within their day since their owner has too many.",
		}, []string{"step"}),
		passes: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_reaper_passes_total", Help: "Passes of the reaper, by result.",
		}, []string{"result"}), "ok", "error"),
		passSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_files_reaper_pass_seconds", Help: "Time of a pass of the reaper.",
			// An idle pass takes a few queries; one after a mass delete takes minutes.
			Buckets: []float64{.001, .01, .1, 1, 10, 60, 600},
		}),
		blobs: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cloakroom_files_blobs", Help: "Blobs by state, as of the last pass of the reaper.",
		}, []string{"state"}),
		blobBytes: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cloakroom_files_blob_bytes", Help: "Bytes of blobs by state, as of the last pass of the reaper.",
		}, []string{"state"}),
		openUploads: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_files_open_uploads", Help: "Resumable uploads that wait for more bytes, as of the last pass of the reaper.",
		}),
		reserved: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_files_open_upload_reserved_bytes", Help: "Quota that open uploads hold, as of the last pass of the reaper.",
		}),
		corrupt: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_files_corrupt_blobs_total", Help: "Blobs found missing or damaged. Anything above zero is an alert.",
		}),
	}
}

// Uploaded implements files.Meter.
func (m *meter) Uploaded(ctx context.Context, result string, bytes int64, took time.Duration) {
	m.uploads.WithLabelValues(result).Inc()
	m.uploadBytes.Add(float64(bytes))
	if result == "ok" {
		metric.Observe(ctx, m.uploadSeconds, took)
	}
}

// Reaped implements files.Meter.
func (m *meter) Reaped(step string, n int) { m.reaped.WithLabelValues(step).Add(float64(n)) }

// PassEnded implements files.Meter.
func (m *meter) PassEnded(took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.passes.WithLabelValues(result).Inc()
	m.passSeconds.Observe(took.Seconds())
}

// Blobs implements files.Meter. A state that is not in stats has no blobs.
func (m *meter) Blobs(stats map[files.BlobState]files.BlobStat) {
	for _, state := range []files.BlobState{
		files.BlobPending, files.BlobLive, files.BlobDead, files.BlobDeleting, files.BlobTombstone,
	} {
		s := stats[state]
		m.blobs.WithLabelValues(string(state)).Set(float64(s.Blobs))
		m.blobBytes.WithLabelValues(string(state)).Set(float64(s.Bytes))
	}
}

// OpenUploads implements files.Meter.
func (m *meter) OpenUploads(stats files.UploadStats) {
	m.openUploads.Set(float64(stats.Open))
	m.reserved.Set(float64(stats.Reserved))
}

// Corrupt implements files.Meter.
func (m *meter) Corrupt() { m.corrupt.Inc() }
