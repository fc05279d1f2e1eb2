package embedded_test

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

// cpuSeconds is the processor time of this process until now.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkCreate is the durable upload of small files by many at once: each is synced, named and in the catalog before
// its Create returns.
func BenchmarkCreate(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("4KiB/clients=%d", clients), func(b *testing.B) {
			s := filestest.New(b, openFor(b), files.Options{Policy: func() files.Policy { return files.Policy{QuotaBytes: 1 << 40} }})
			content := make([]byte, 4096)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wait sync.WaitGroup
			cpu := cpuSeconds(b)
			b.ResetTimer()
			for n := range clients {
				owner := files.OwnerID(fmt.Sprint("owner-", n))
				wait.Go(func() {
					ctx := filestest.As(b.Context(), owner)
					for left.Add(-1) >= 0 {
						nf := files.NewFile{Name: "small.bin", Size: int64(len(content))}
						if _, err := s.Create(ctx, owner, nf, bytes.NewReader(content)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wait.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
			b.ReportMetric((cpuSeconds(b)-cpu)/float64(b.N)*1e6, "cpu-µs/file")
		})
	}
}

// zeros has n bytes, as a socket brings them.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.n, 64<<10)
	z.n -= n
	return int(n), nil
}

// BenchmarkStream is one large upload: hashed, reserved, synced.
func BenchmarkStream(b *testing.B) {
	const size = 256 << 20
	for name, declared := range map[string]int64{"declared": size, "undeclared": files.UnknownSize} {
		b.Run("256MiB/"+name, func(b *testing.B) {
			s := filestest.New(b, openFor(b), files.Options{RestoreHorizon: -1})
			ctx := filestest.As(b.Context(), "ann")
			cpu := cpuSeconds(b)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				f, err := s.Create(ctx, "ann", files.NewFile{Name: "large.bin", Size: declared}, &zeros{size})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Delete(ctx, "ann", f.ID, true); err != nil {
					b.Fatal(err)
				}
				if err := s.Reap(ctx); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric((cpuSeconds(b)-cpu)/float64(b.N)/(size/1e9), "cpu-s/GB")
		})
	}
}
