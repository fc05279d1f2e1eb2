package bucket_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/s3"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/s3test"
)

const ann files.OwnerID = "ann"

// lied is a service over a store that lies when it is told to.
type lied struct {
	*files.Service
	store  *s3test.Liar
	stores filestest.Stores
	clock  *filestest.Clock
	log    *bytes.Buffer
}

func overLiar(t *testing.T, bucket s3test.Bucket, change ...func(*s3.Options)) *lied {
	t.Helper()
	l := &lied{store: s3test.Lie(t, bucket), clock: filestest.NewClock(), log: new(bytes.Buffer)}
	l.stores = filestest.Stores{Catalog: filestest.NewCatalog(), Blobs: open(t, l.store.Bucket, func(o *s3.Options) {
		o.CallTimeout, o.IdleTimeout, o.Memory = 3*time.Second, 500*time.Millisecond, 10<<20
		o.Log = slog.New(slog.NewTextHandler(l.log, nil))
		for _, c := range change {
			c(o)
		}
	})}
	l.Service = filestest.New(t, l.stores, files.Options{Now: l.clock.Now})
	return l
}

func noise(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(content) // never fails
	return content
}

func (l *lied) create(content []byte) (files.File, error) {
	ctx := filestest.As(context.Background(), ann)
	return l.Create(ctx, ann, files.NewFile{Name: "f", Size: int64(len(content))}, bytes.NewReader(content))
}

func (l *lied) mustCreate(t *testing.T, content []byte) files.File {
	t.Helper()
	f, err := l.create(content)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (l *lied) read(f files.File) ([]byte, error) {
	ctx := filestest.As(context.Background(), ann)
	c, err := l.Open(ctx, ann, f.ID)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return io.ReadAll(c.Verified(ctx))
}

func (l *lied) mustRead(t *testing.T, f files.File, want []byte) {
	t.Helper()
	if got, err := l.read(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes read back, %v", len(got), len(want), err)
	}
}

// wantAway checks that clients are told to come again, and that nothing shows.
func (l *lied) wantAway(t *testing.T, err error) {
	t.Helper()
	var refusal *fault.Error
	if !errors.Is(err, fault.Of(fault.Unavailable)) || !errors.As(err, &refusal) || refusal.RetryAfter <= 0 {
		t.Errorf("got %v, want Unavailable with a time to come again", err)
	}
}

// bothSizes runs a test with a content that is one object and one that is parts.
func bothSizes(t *testing.T, run func(t *testing.T, content []byte)) {
	t.Run("object", func(t *testing.T) { run(t, noise(100_000)) })
	t.Run("parts", func(t *testing.T) { run(t, noise(11<<20)) })
}

func isPut(r *http.Request) bool  { return r.Method == http.MethodPut && isBlob(r) }
func isGet(r *http.Request) bool  { return r.Method == http.MethodGet && isBlob(r) }
func isBlob(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }
func isList(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Query().Has("list-type")
}
func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// The store takes whatever it is given under whatever checksum, says so again at HEAD, and has changed a bit on the way.
func TestLie_WrongChecksumsAreTaken(t *testing.T) {
	bothSizes(t, func(t *testing.T, content []byte) {
		l := overLiar(t, s3test.InProcess(t))
		l.store.Judge(func(r *http.Request) s3test.Fault {
			f := s3test.Fault{Flip: isPut(r), Forget: []string{"X-Amz-Checksum-Crc32c"}}
			if r.Method == http.MethodHead {
				f.Headers = http.Header{"X-Amz-Checksum-Crc32c": {"AAAAAA=="}, "X-Amz-Checksum-Type": {"FULL_OBJECT"}}
			}
			return f
		})
		_, err := l.create(content)
		l.wantAway(t, err)
		if !strings.Contains(l.log.String(), "prove nothing") {
			t.Error("nobody was told that the store's checksums prove nothing")
		}
		l.store.Judge(nil)
		l.mustRead(t, l.mustCreate(t, content), content)
		filestest.Settle(t, l.Service, l.clock)
		filestest.Audit(t, l.stores, ann)
	})
}

// The store is honest about checksums, and later a HEAD tells another: believed, since it refused wrong ones before.
func TestLie_HeadTellsAnotherChecksum(t *testing.T) {
	l := overLiar(t, s3test.Container(t))
	content := noise(1000)
	l.mustCreate(t, content)
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodHead && isBlob(r) {
			return s3test.Fault{Headers: http.Header{"X-Amz-Checksum-Crc32c": {"AAAAAA=="}}}
		}
		return s3test.Fault{}
	})
	_, err := l.create(content)
	l.wantAway(t, err)
}

// The store tells the checksum of its parts' checksums and does not say that it is that: what was written is read back.
func TestLie_ChecksumOfChecksumsUnderNoName(t *testing.T) {
	l := overLiar(t, s3test.Container(t))
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodHead && isBlob(r) {
			return s3test.Fault{Headers: http.Header{"X-Amz-Checksum-Crc32c": {"AAAAAA==-3"}, "X-Amz-Checksum-Type": {}}}
		}
		return s3test.Fault{}
	})
	content := noise(11 << 20)
	l.mustRead(t, l.mustCreate(t, content), content)
}

// The store takes parts under checksums, and no object under a checksum over the whole: it is found out before any upload.
func TestLie_NoChecksumOverTheWhole(t *testing.T) {
	l := overLiar(t, s3test.Container(t))
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if isComplete(r) && r.Header.Get("X-Amz-Checksum-Crc32c") != "" {
			return s3test.Fault{Status: http.StatusBadRequest, Code: "BadDigest"}
		}
		return s3test.Fault{}
	})
	content := noise(11 << 20)
	l.mustRead(t, l.mustCreate(t, content), content)
}

// rightSum is that of what the store is tried with.
var rightSum = base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil,
	crc32.Checksum([]byte("cloakroom probe"), crc32.MakeTable(crc32.Castagnoli))))

// A store that works refuses in words of its own: MinIO calls a wrong checksum otherwise than Amazon.
func TestLie_RefusalsInOtherWords(t *testing.T) {
	l := overLiar(t, s3test.Container(t))
	l.store.Judge(func(r *http.Request) s3test.Fault {
		sum := r.Header.Get("X-Amz-Checksum-Crc32c")
		if sum != "" && strings.Contains(r.URL.Path, "/probes/") && sum != rightSum {
			return s3test.Fault{Status: http.StatusBadRequest, Code: "XAmzContentChecksumMismatch"}
		}
		return s3test.Fault{}
	})
	for _, size := range []int{1000, 11 << 20} {
		content := noise(size)
		l.mustRead(t, l.mustCreate(t, content), content)
	}
}

// While a silent store is asked what it is worth, whoever waits for that can go.
func TestLie_NobodyIsHeldByAQuestionToTheStore(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	l.store.Judge(func(*http.Request) s3test.Fault { return s3test.Fault{Delay: time.Minute} })
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		_, err := l.create([]byte("first"))
		l.wantAway(t, err)
	}()
	time.Sleep(200 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	sink, err := l.stores.Blobs.Create(ctx, files.NewBlobID(filestest.EpochA, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Commit(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	<-asking
}

// The store has done it and the answer is lost, each time: there is one object, and it is a file.
func TestLie_AnswersAreLost(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		bothSizes(t, func(t *testing.T, content []byte) {
			l := overLiar(t, bucket(t))
			l.mustCreate(t, []byte("before"))
			var lost atomic.Int64
			l.store.Judge(func(r *http.Request) s3test.Fault {
				if isComplete(r) || isPut(r) && !r.URL.Query().Has("uploadId") {
					lost.Add(1)
					return s3test.Fault{Lost: true}
				}
				return s3test.Fault{}
			})
			f := l.mustCreate(t, content)
			if lost.Load() == 0 {
				t.Fatal("no answer was lost")
			}
			l.mustRead(t, f, content)
			if keys := filestest.Keys(t, l.stores.Blobs); len(keys) != 2 {
				t.Errorf("the store has %v", keys)
			}
			filestest.Audit(t, l.stores, ann)
		})
	})
}

func TestLie_SlowDown(t *testing.T) {
	for code, status := range map[string]int{"SlowDown": 503, "InternalError": 500, "ServiceUnavailable": 503} {
		t.Run(code, func(t *testing.T) {
			l := overLiar(t, s3test.InProcess(t))
			f := l.mustCreate(t, []byte("before"))
			var refused atomic.Int64
			l.store.Judge(func(r *http.Request) s3test.Fault {
				if isPut(r) && refused.Add(1) <= 2 {
					return s3test.Fault{Status: status, Code: code}
				}
				return s3test.Fault{}
			})
			l.mustCreate(t, []byte("at the third try"))
			l.store.Judge(func(*http.Request) s3test.Fault { return s3test.Fault{Status: status, Code: code} })
			_, err := l.create([]byte("never"))
			l.wantAway(t, err)
			if n := l.store.Asked(http.MethodPut); n > 4 {
				t.Errorf("the store was asked %d times", n)
			}
			_, err = l.read(f)
			l.wantAway(t, err)
			l.store.Judge(nil)
			l.mustRead(t, f, []byte("before"))
			filestest.Settle(t, l.Service, l.clock)
			filestest.Audit(t, l.stores, ann)
		})
	}
}

// A store that says nothing is given up in time, and another try may find it awake.
func TestLie_Silence(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	l.mustCreate(t, []byte("before"))
	var silent atomic.Int64
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if isPut(r) && silent.Add(1) == 1 {
			return s3test.Fault{Delay: time.Minute}
		}
		return s3test.Fault{}
	})
	l.mustCreate(t, []byte("at the second try"))
	l.store.Judge(func(*http.Request) s3test.Fault { return s3test.Fault{Delay: time.Minute} })
	began := time.Now()
	_, err := l.create([]byte("never"))
	l.wantAway(t, err)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to give up", took)
	}
}

func TestLie_DownloadsBreakOff(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		l := overLiar(t, bucket(t))
		content := noise(3 << 20)
		f := l.mustCreate(t, content)
		var unfenced atomic.Int64
		l.store.Judge(func(r *http.Request) s3test.Fault {
			if r.Header.Get("Range") != "" && r.Header.Get("If-Match") == "" {
				unfenced.Add(1)
			}
			return s3test.Fault{Cut: 700_000}
		})
		l.mustRead(t, f, content)
		if n := l.store.Asked(http.MethodGet); n < 4 || unfenced.Load() > 0 {
			t.Errorf("%d reads, %d of them without If-Match", n, unfenced.Load())
		}
	})
}

// What was replaced behind our back is not glued to what was read before.
func TestLie_AnotherObjectInTheMiddle(t *testing.T) {
	l := overLiar(t, s3test.Container(t))
	f := l.mustCreate(t, noise(3<<20))
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if r.Header.Get("Range") != "" {
			return s3test.Fault{Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"}
		}
		return s3test.Fault{Cut: 1 << 20}
	})
	if got, err := l.read(f); err == nil || len(got) >= 3<<20 {
		t.Errorf("%d bytes and %v", len(got), err)
	}
}

func TestLie_FewerBytes(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	f := l.mustCreate(t, noise(200_000))
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if isGet(r) {
			return s3test.Fault{Short: 10}
		}
		return s3test.Fault{}
	})
	if got, err := l.read(f); err == nil {
		t.Errorf("%d bytes pass for the whole", len(got))
	}
	_, err := l.create(noise(1000)) // read back, since this store's checksums prove nothing
	l.wantAway(t, err)
}

// Listings that show nothing, and listings from before: no file suffers from either.
func TestLie_StaleListings(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	f := l.mustCreate(t, noise(1000))
	var old []byte
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if isList(r) {
			return s3test.Fault{Answer: []byte(`<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)}
		}
		return s3test.Fault{}
	})
	filestest.Settle(t, l.Service, l.clock)
	l.mustRead(t, f, noise(1000))
	key := l.store.Keys(t)
	if len(key) != 0 {
		t.Fatalf("the listing shows %v", key)
	}
	l.store.Judge(nil)
	key = l.store.Keys(t)
	if err := l.Delete(filestest.As(t.Context(), ann), ann, f.ID, true); err != nil {
		t.Fatal(err)
	}
	g := l.mustCreate(t, noise(2000))
	old = []byte(`<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>` + key[0] + `</Key><Size>1000</Size></Contents></ListBucketResult>`)
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if isList(r) && !r.URL.Query().Has("delimiter") {
			return s3test.Fault{Answer: old}
		}
		return s3test.Fault{}
	})
	filestest.Settle(t, l.Service, l.clock)
	l.store.Judge(nil)
	l.mustRead(t, g, noise(2000))
	filestest.Settle(t, l.Service, l.clock)
	filestest.Audit(t, l.stores, ann)
}

func TestLie_ClockSkew(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	l.store.Judge(func(*http.Request) s3test.Fault {
		return s3test.Fault{Status: http.StatusForbidden, Code: "RequestTimeTooSkewed"}
	})
	_, err := l.create([]byte("x"))
	l.wantAway(t, err)
	if !strings.Contains(l.log.String(), "clock is wrong") {
		t.Errorf("the log does not say what is wrong: %s", l.log)
	}
}

func TestLie_FullStore(t *testing.T) {
	l := overLiar(t, s3test.InProcess(t))
	f := l.mustCreate(t, []byte("before"))
	l.store.Judge(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			return s3test.Fault{Status: http.StatusInsufficientStorage, Code: "XMinioStorageFull"}
		}
		return s3test.Fault{}
	})
	if _, err := l.create([]byte("x")); !errors.Is(err, fault.Of(fault.StorageFull)) {
		t.Errorf("got %v, want StorageFull", err)
	}
	l.mustRead(t, f, []byte("before"))
}
