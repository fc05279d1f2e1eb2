package filessvc

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
)

// zeros is n bytes of nothing, without memory.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.left))
	clear(p[:n])
	z.left -= int64(n)
	return n, nil
}

// peakHeap runs fn and returns by how much the heap in use grew meanwhile, garbage included.
func peakHeap(fn func()) int64 {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := before.HeapInuse
	ctx, stop := context.WithCancel(context.Background())
	var sampling sync.WaitGroup
	sampling.Go(func() {
		for ctx.Err() == nil {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
			time.Sleep(5 * time.Millisecond)
		}
	})
	fn()
	stop()
	sampling.Wait()
	return int64(peak) - int64(before.HeapInuse)
}

// A transfer costs the same memory whatever its size and form; client and server are both in this process.
func TestMemory_IsBoundedPerTransfer(t *testing.T) {
	const size, bound = 256 << 20, 32 << 20
	w := newWorld(t)
	p := w.person()
	var f file
	for says, transfer := range map[string]func(){
		"raw":     func() { f = p.uploadSized(size) },
		"chunked": func() { f = p.upload("a", "text/plain", &zeros{size}) },
		"form": func() {
			const head, tail = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n", "\r\n--b--\r\n"
			body := io.MultiReader(reader(head), &zeros{size}, reader(tail))
			f = p.do(http.MethodPost, "/v1/files", body, "Content-Type", "multipart/form-data; boundary=b").file(t, 201)
		},
	} {
		if grown := peakHeap(transfer); grown > bound {
			t.Errorf("%s upload of %d MiB grew the heap by %d MiB", says, size>>20, grown>>20)
		}
		for _, way := range []string{"verified", "by the kernel"} {
			var n int64
			grown := peakHeap(func() {
				res, err := w.http.Do(p.request(http.MethodGet, f.content(), nil))
				if err != nil {
					t.Fatal(err)
				}
				n, err = io.Copy(io.Discard, res.Body)
				if err != nil {
					t.Error(err)
				}
				_ = res.Body.Close()
			})
			if n != size || grown > bound {
				t.Errorf("%s, download %s: %d bytes, heap grew by %d MiB", says, way, n, grown>>20)
			}
		}
		p.do(http.MethodDelete, "/v1/files/"+f.ID+"?permanent=1", nil)
	}
}

func (p *person) uploadSized(size int64) file {
	r := p.request(http.MethodPost, "/v1/files", &zeros{size}, "Content-Type", "text/plain", "Content-Disposition", "attachment; filename=a")
	r.ContentLength = size
	return p.send(r).file(p.w.t, http.StatusCreated)
}
