package replicas_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/postgres"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/pgtest"
)

// BenchmarkCreate is the commit of small files on a PostgreSQL that syncs, bytes being in memory. One owner's uploads wait for
// each other's commit unless they share it.
func BenchmarkCreate(b *testing.B) {
	server := pgtest.NewServer(b)
	d := openDB(b, server.DSN())
	if err := d.Migrate(b.Context(), postgres.Migrations()); err != nil {
		b.Fatal(err)
	}
	for _, load := range []struct{ replicas, clients, owners int }{{1, 1, 1}, {1, 64, 1}, {1, 64, 64}, {2, 64, 1}, {2, 64, 64}} {
		b.Run(fmt.Sprintf("replicas=%d/clients=%d/owners=%d", load.replicas, load.clients, load.owners), func(b *testing.B) {
			blobs := filestest.NewBlobs()
			var all []*files.Service
			for range load.replicas {
				all = append(all, join(b, server.DSN()).serve(b, blobs, files.Options{}))
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			var wait sync.WaitGroup
			b.ResetTimer()
			for n := range load.clients {
				owner := files.OwnerID(fmt.Sprint("owner-", n%load.owners))
				wait.Go(func() {
					for left.Add(-1) >= 0 {
						if err := upload(all[n%len(all)], owner, make([]byte, 4096)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wait.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
		})
	}
}
