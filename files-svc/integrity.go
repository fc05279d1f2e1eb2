package filessvc

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/files-svc/internal/adapter/clamd"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/telemetry/metric"
)

// scrubPace is a boot object's scrub in the core's words.
func scrubPace(s v1alpha1.FilesConfigSpec) files.ScrubPace {
	if s.Scrub.Every.Std() <= 0 {
		return files.ScrubPace{}
	}
	return files.ScrubPace{Rate: s.Scrub.Rate.Bytes(), Every: s.Scrub.Every.Std()}
}

// scan is a boot object's scanner.
func scan(s v1alpha1.FilesConfigSpec) files.Scan {
	if s.Scanner == nil || s.Scanner.Clamd == nil {
		return files.Scan{}
	}
	c := s.Scanner.Clamd
	return files.Scan{
		Scanner: clamd.New(string(c.Address), clamd.Options{
			MaxBytes: c.MaxBytes.Bytes(), Timeout: c.Timeout.Std(), Connections: int(c.Connections),
		}),
		AllowUnavailable: s.Scanner.OnUnavailable == v1alpha1.UnscannedAllow,
		AllowOversize:    s.Scanner.OnOversize == v1alpha1.UnscannedAllow,
	}
}

// integrityMeter is the part of the meter that tells whether bytes are what they should be.
type integrityMeter struct {
	scrubbed *prometheus.CounterVec
	bytes    prometheus.Counter
	flawed   *prometheus.GaugeVec
	scans    *prometheus.CounterVec
	oldest   atomic.Int64 // Unix microseconds; 0: nothing is stored
}

func newIntegrityMeter(reg prometheus.Registerer) *integrityMeter {
	f := promauto.With(reg)
	m := &integrityMeter{
		scrubbed: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_scrubbed_blobs_total", Help: "Blobs the scrub has looked at, by result; any but verified is an alert.",
		}, []string{"result"}), "verified", "corrupt", "missing", "unreadable"),
		bytes: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_files_scrubbed_bytes_total", Help: "Bytes the scrub has read back.",
		}),
		flawed: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cloakroom_files_flawed_blobs", Help: "Blobs known to be corrupt, missing or infected.",
		}, []string{"flaw"}),
		scans: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_scans_total", Help: "Questions to the scanner, by how they ended.",
		}, []string{"result"}), "clean", "infected", "oversize", "unavailable"),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_files_oldest_verification_seconds", Help: "Time since the stored bytes verified longest ago were verified.",
	}, m.age)
	return m
}

func (m *integrityMeter) age() float64 {
	at := m.oldest.Load()
	if at == 0 {
		return 0
	}
	return time.Since(time.UnixMicro(at)).Seconds()
}

// Scrubbed implements files.Meter.
func (m *meter) Scrubbed(result string, bytes int64) {
	m.integrity.scrubbed.WithLabelValues(result).Inc()
	m.integrity.bytes.Add(float64(bytes))
}

// Soundness implements files.Meter. A flaw that is not in flawed has no blobs.
func (m *meter) Soundness(oldest time.Time, flawed map[files.Flaw]files.BlobStat) {
	at := int64(0)
	if !oldest.IsZero() {
		at = oldest.UnixMicro()
	}
	m.integrity.oldest.Store(at)
	for _, flaw := range []files.Flaw{files.FlawCorrupt, files.FlawMissing, files.FlawInfected} {
		m.integrity.flawed.WithLabelValues(string(flaw)).Set(float64(flawed[flaw].Blobs))
	}
}

// Scanned implements files.Meter.
func (m *meter) Scanned(result string) { m.integrity.scans.WithLabelValues(result).Inc() }
