package filessvc

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/files-svc/internal/adapter/clamd"
	"cloakroom.dev/files-svc/internal/files"
)

// meterLoad shows how full the bounded things of the core are, asked for at each scrape.
func meterLoad(reg prometheus.Registerer, core *files.Service) {
	f := promauto.With(reg)
	gauge := func(name, help string, of func(files.Load) int) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "cloakroom_files_" + name, Help: help}, func() float64 { return float64(of(core.Load())) })
	}
	gauge("link_passwords_hashing", "Passwords of links being hashed; at most 2, others wait up to 2 s and then get 503.",
		func(l files.Load) int { return l.LinkPasswords })
	gauge("suspects_waiting", "Blobs a reader found damaged that wait to be looked at; at most 64, others are left to the scrub.",
		func(l files.Load) int { return l.Suspects })
	gauge("keyed_requests_in_flight", "Requests with an Idempotency-Key under way.", func(l files.Load) int { return l.KeyedRequests })
	f.NewCounterFunc(prometheus.CounterOpts{
		Name: "cloakroom_files_unlisted_rows_total", Help: "Rows of ended uploads that the reaper is not told of, because 4096 wait for it: they wait until this process has ended.",
	}, func() float64 { return float64(core.Load().UnlistedRows) })
	for copies, of := range map[string]func(files.Load) int{
		"upload":   func(l files.Load) int { return l.UploadBuffers },
		"download": func(l files.Load) int { return l.DownloadBuffers },
		"scrub":    func(l files.Load) int { return l.ScrubBuffers },
	} {
		f.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_files_big_buffers", Help: "Buffers of 256 KiB in use, by what is copied, of at most 64 each; copies beyond them use small ones.",
			ConstLabels: prometheus.Labels{"copies": copies},
		}, func() float64 { return float64(of(core.Load())) })
	}
	gauge("link_downloads_in_flight", "Downloads by link under way; each is cut when its link is revoked.", func(l files.Load) int { return l.LinkDownloads })
	gauge("resumable_requests_in_flight", "Requests that work on a resumable upload.", func(l files.Load) int { return l.WorkingUploads })
}

// meterScanner shows who waits for the scanner, where there is one.
func meterScanner(reg prometheus.Registerer, by files.Scanner) {
	scanner, ok := by.(*clamd.Scanner)
	if !ok {
		return
	}
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_files_scans_waiting", Help: "Questions that wait for one of the scanner's connections (scanner.clamd.connections).",
	}, func() float64 { return float64(scanner.Waiting()) })
}
