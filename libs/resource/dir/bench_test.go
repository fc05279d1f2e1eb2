package dir

import (
	"runtime"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
)

// BenchmarkLoad is a cold start's share of configuration: every kind of the development folder read, compiled, judged.
// heap-MB is what stays afterwards, peak-MB what it took on the way if nothing was collected.
func BenchmarkLoad(b *testing.B) {
	for name, kinds := range map[string][]string{
		"all kinds":    nil,
		"auth service": {v1alpha1.KindAuthConfig, v1alpha1.KindSessionPolicy},
	} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			sources := make([]*Source, 0, b.N)
			for b.Loop() {
				s := New("../../../stack/config", Options{Kinds: kinds})
				if _, err := s.Load(b.Context()); err != nil {
					b.Fatal(err)
				}
				sources = append(sources, s)
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(len(sources))/1e6, "peak-MB")
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(sources))/1e6, "heap-MB")
			runtime.KeepAlive(sources)
		})
	}
}
