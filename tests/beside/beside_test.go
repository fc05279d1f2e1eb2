// Package beside measures ours beside the servers of others, in one run, on one disk, in rounds that take turns. Ratios are what counts:
// absolute figures are the machine's. `make bench-beside` runs it.
package beside

import (
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	largeSize  = 256 << 20
	smallSize  = 4 << 10
	clients    = 64
	rounds     = 7
	smallRound = 2 * time.Second
	mostMemory = 64 << 20
	// forget is how long ext4 passes over the inodes of deleted files: a minute, and five more while their table is not written back.
	// Who makes a file for each upload pays for it with up to ten times the processor time; ours makes few, and would look better
	// than it is.
	forget = 6 * time.Minute
)

// round is what one contestant did in one turn.
type round struct {
	rate float64            // MiB/s, or files a second
	cpu  map[string]float64 // seconds for a GB, or for 1000 files, by process
	peak map[string]int64   // bytes of memory, by process
}

// results are the rounds by contestant.
type results map[string][]round

// BenchmarkUploads holds the embedded default to the marks: with SHA-256, fsync and a row in the catalogue at least twice as quick as
// PocketBase's form and two fifths of tusd, which neither hashes nor syncs; small files, durable, at 64 clients, at least 1.3 times
// tusd's, which are not; in 64 MiB of memory.
func BenchmarkUploads(b *testing.B) {
	all := contestants(b)
	rest()
	b.Run("256MiB", func(b *testing.B) {
		got := take(b, all, large)
		got.print(b, "MiB/s", "GB")
		got.atLeast(b, 2, theirBase)
		got.atLeast(b, 0.4, theirTusd)
		got.memory(b)
	})
	b.Run("4KiB/clients=64", func(b *testing.B) {
		got := take(b, all, small)
		got.print(b, "files/s", "1000 files")
		got.atLeast(b, 1.3, theirTusd)
		got.memory(b)
	})
}

// rest waits until what was deleted before, by a build or by the last run, weighs on nobody.
func rest() {
	fmt.Fprintf(os.Stderr, "resting for %s, until the filesystem has forgotten what was deleted before\n", forget)
	time.Sleep(forget)
}

// take lets the contestants take turns. The first round warms up and is not counted.
func take(b *testing.B, all []*contestant, turn func(*testing.B, *contestant) (rate, units float64)) results {
	b.Helper()
	got := results{}
	for n := range rounds + 1 {
		for _, c := range all {
			syscall.Sync() // nobody pays for what others have left unsynced
			before := map[string]harness.Usage{}
			for name, pid := range c.pids {
				harness.ForgetPeak(b, pid)
				before[name] = harness.UsageOf(b, pid)
			}
			rate, units := turn(b, c)
			r := round{rate: rate, cpu: map[string]float64{}, peak: map[string]int64{}}
			for name, pid := range c.pids {
				after := harness.UsageOf(b, pid)
				r.cpu[name] = (after.CPU - before[name].CPU).Seconds() / units
				r.peak[name] = after.PeakRSS
			}
			if n > 0 {
				got[c.name] = append(got[c.name], r)
			}
		}
	}
	return got
}

// block is what is sent, of no use to whoever would compress.
var block = func() []byte {
	b := make([]byte, 1<<20)
	_, _ = rand.Read(b)
	return b
}()

// large is one large file: MiB/s and GB.
func large(b *testing.B, c *contestant) (rate, units float64) {
	b.Helper()
	l := dial(b, c.base)
	defer l.conn.Close()
	began := time.Now()
	if err := l.large(c.request(largeSize, 0), block, largeSize); err != nil {
		b.Fatalf("%s: %v", c.name, err)
	}
	return largeSize / (1 << 20) / time.Since(began).Seconds(), largeSize / 1e9
}

// small is many clients with small files for a while: files a second, and thousands of files.
func small(b *testing.B, c *contestant) (rate, units float64) {
	b.Helper()
	var done atomic.Int64
	var wait sync.WaitGroup
	began := time.Now()
	for who := range clients {
		l := dial(b, c.base)
		r := c.request(smallSize, who)
		raw := slices.Concat([]byte(r.head), block[:smallSize], []byte(r.tail))
		wait.Go(func() {
			defer l.conn.Close()
			for time.Since(began) < smallRound {
				if err := l.small(raw, r.want); err != nil {
					b.Errorf("%s: %v", c.name, err)
					return
				}
				done.Add(1)
			}
		})
	}
	wait.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), float64(done.Load()) / 1000
}

// print shows medians, from the slowest round to the quickest, and what each process used.
func (r results) print(b *testing.B, rate, unit string) {
	b.Helper()
	lines := []string{fmt.Sprintf("%-28s %10s %19s   %s", "", rate, "(slowest–quickest)", "CPU s for "+unit+", peak memory of each process")}
	for _, name := range []string{oursStack, oursThree, oursDirect, theirTusd, theirBase} {
		rates := r.rates(name)
		var used []string
		for _, process := range slices.Sorted(maps.Keys(r[name][0].cpu)) {
			var cpu []float64
			var peak int64
			for _, round := range r[name] {
				cpu, peak = append(cpu, round.cpu[process]), max(peak, round.peak[process])
			}
			slices.Sort(cpu)
			used = append(used, fmt.Sprintf("%s %.2f, %d MiB", process, median(cpu), peak>>20))
		}
		spread := fmt.Sprintf("(%.0f–%.0f)", rates[0], rates[len(rates)-1])
		lines = append(lines, fmt.Sprintf("%-28s %10.0f %19s   %s", name, median(rates), spread, strings.Join(used, "; ")))
	}
	b.Logf("medians of %d rounds that took turns:\n%s", rounds, strings.Join(lines, "\n"))
	b.ReportMetric(0, "ns/op") // says nothing here
}

// atLeast holds our median to a share of another's. The ways in that are not the default are printed for comparison.
func (r results) atLeast(b *testing.B, mark float64, other string) {
	b.Helper()
	for _, way := range []string{oursStack, oursThree, oursDirect} {
		ratio := median(r.rates(way)) / median(r.rates(other))
		b.Logf("%-28s %.2f of %s", way, ratio, other)
		if way != oursStack {
			continue
		}
		b.ReportMetric(ratio, "of-"+strings.ToLower(other))
		if ratio < mark {
			b.Errorf("the mark is %.1f of %s, it was %.2f", mark, other, ratio)
		}
	}
}

// memory holds the peak of the stack, all three services in it.
func (r results) memory(b *testing.B) {
	b.Helper()
	var peak int64
	for _, round := range r[oursStack] {
		peak = max(peak, round.peak["stack"])
	}
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	if peak >= mostMemory {
		b.Errorf("the stack had up to %d MiB of memory, the mark is under %d", peak>>20, mostMemory>>20)
	}
}

// rates of a contestant, the slowest first.
func (r results) rates(name string) []float64 {
	rates := make([]float64, 0, len(r[name]))
	for _, round := range r[name] {
		rates = append(rates, round.rate)
	}
	slices.Sort(rates)
	return rates
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
