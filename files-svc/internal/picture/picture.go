// Package picture makes thumbnails: small pictures of the images people keep.
//
// What a picture will cost is read from its header first: one with too many pixels, or too large for the memory there is, is
// refused before anything is decoded. The rest waits at a gate that is weighed by that memory. Then the bytes are read whole and
// compared with their digest, so that no picture is made of damaged ones, and decoded from memory: a decoder sees as many bytes
// as there are, whatever a header says, and stops when the caller is gone or its time is up. Only the first frame of a picture that
// moves is read. What comes out holds pixels and nothing else: no place, no camera, no name.
package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/gate"
)

// Fit says how a picture fills the square it is asked for.
type Fit string

// The fits.
const (
	Contain Fit = "contain" // all of it, within the square
	Cover   Fit = "cover"   // the square filled, its middle kept
)

// Want is the thumbnail that is wanted. Nothing is made larger than it is.
type Want struct {
	Edge int // of the square, in pixels
	Fit  Fit
}

// Thumbnail is a picture that was made.
type Thumbnail struct {
	ContentType   string // image/jpeg, or image/png when something can be seen through
	Width, Height int
	Bytes         []byte
}

// Options bounds what pictures cost. Zero values mean the defaults.
type Options struct {
	MaxPixels   int64         // of a picture; default 50 million
	MaxBytes    int64         // of its file; default 32 MiB
	MemoryBytes int64         // of all that are made at once; default 256 MiB
	Running     int           // made at once; default all cores but one
	Waiting     int           // callers in line; default 64
	MaxWait     time.Duration // longest time in line; default 10 s
	MaxTime     time.Duration // for one picture; default 20 s
}

// Version changes whenever the same bytes make another thumbnail than before: it is part of what caches know it by.
const Version = "1"

// Maker makes thumbnails. It is safe for concurrent use.
type Maker struct {
	opts    Options
	gate    *gate.Gate
	metrics *metrics
}

// New makes a Maker.
func New(opts Options, reg prometheus.Registerer) *Maker {
	opts = opts.withDefaults()
	m := newMetrics(reg)
	return &Maker{opts: opts, metrics: m, gate: gate.New(gate.Options{
		Capacity: opts.MemoryBytes, Running: opts.Running, Waiting: opts.Waiting, MaxWait: opts.MaxWait, Meter: &m.gate,
		Full: fault.Retry(fault.Overloaded, "too many thumbnails are being made, try again shortly", 2*time.Second),
	})}
}

func (o Options) withDefaults() Options {
	setDefault(&o.MaxPixels, 50_000_000)
	setDefault(&o.MaxBytes, 32<<20)
	setDefault(&o.MemoryBytes, 256<<20)
	setDefault(&o.Running, max(1, runtime.GOMAXPROCS(0)-1))
	setDefault(&o.Waiting, 64)
	setDefault(&o.MaxWait, 10*time.Second)
	setDefault(&o.MaxTime, 20*time.Second)
	return o
}

func setDefault[T int | int64 | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// Refusals of a content no thumbnail can be made of. Each is the same whatever a decoder has to say about it.
var (
	errNoPicture = fault.New(fault.UnsupportedMediaType, "no thumbnail can be made of a file of this type")
	errTooLarge  = fault.New(fault.UnsupportedMediaType, "the picture is too large for a thumbnail")
	errDamaged   = fault.New(fault.UnsupportedMediaType, "the picture is damaged, or not what its type says")
)

// Make makes a thumbnail of a content whose type is mediaType, which must be what its bytes look like. It returns
// fault.UnsupportedMediaType when none can be made of it, fault.Overloaded when too many are being made, and ctx's cause when ctx
// ends first. Bytes that are not what they were when they were stored are an internal error.
func (m *Maker) Make(ctx context.Context, c *files.Content, mediaType string, want Want) (t Thumbnail, err error) {
	defer func() { m.metrics.count(err) }()
	f, ok := formats[mediaType]
	if !ok {
		return Thumbnail{}, errNoPicture
	}
	size := c.File.Size
	if size > m.opts.MaxBytes {
		return Thumbnail{}, errTooLarge
	}
	p, err := m.plan(ctx, f, c.Body, size)
	if err != nil {
		return Thumbnail{}, err
	}
	weight := p.memory + size + scalingBytes(p, want)
	if weight > m.gate.Capacity() {
		return Thumbnail{}, errTooLarge
	}
	leave, err := m.gate.Enter(ctx, weight)
	if err != nil {
		return Thumbnail{}, err
	}
	defer leave()
	defer collect(weight)
	defer m.metrics.observe(ctx, time.Now())
	ctx, cancel := context.WithTimeoutCause(ctx, m.opts.MaxTime, errTooLarge)
	defer cancel()
	raw := make([]byte, size)
	if _, err := io.ReadFull(c.Verified(ctx), raw); err != nil {
		return Thumbnail{}, fmt.Errorf("read picture: %w", err)
	}
	return m.render(ctx, f, raw, p, want)
}

// largeBytes is from when on a picture's memory is collected before it is given to the next one.
const largeBytes = 32 << 20

// collect makes the gate's bound that of the process too: the collector would let the garbage of one large picture lie beside the
// next. It costs a few milliseconds where the picture took hundreds.
func collect(weight int64) {
	if weight >= largeBytes {
		runtime.GC()
	}
}

// plan reads what the header says. The bytes it is read from have not been compared with their digest yet.
func (m *Maker) plan(ctx context.Context, f format, src io.ReaderAt, size int64) (p plan, err error) {
	err = guard(func() (err error) {
		p, err = f.plan(&patient{ctx: ctx, src: src, size: size}, size)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return plan{}, context.Cause(ctx)
	case errors.As(err, new(unreadable)):
		return plan{}, fmt.Errorf("read the header of a picture: %w", err)
	case err != nil || p.width <= 0 || p.height <= 0:
		return plan{}, errDamaged
	case p.width > maxEdge || p.height > maxEdge || int64(p.width)*int64(p.height) > m.opts.MaxPixels:
		return plan{}, errTooLarge
	}
	return p, nil
}

// maxEdge bounds a side, whatever the other: lists that decoders make grow with it.
const maxEdge = 65535

// render decodes and draws. A decoder that panics has been shown a damaged picture.
func (m *Maker) render(ctx context.Context, f format, raw []byte, planned plan, want Want) (t Thumbnail, err error) {
	p, err := m.plan(ctx, f, bytes.NewReader(raw), int64(len(raw)))
	switch {
	case err != nil:
		return Thumbnail{}, err
	case p != planned:
		return Thumbnail{}, errors.New("the header of a picture changed while it was read")
	}
	err = guard(func() error {
		src := &patient{ctx: ctx, src: bytes.NewReader(raw), size: int64(len(raw))}
		img, err := f.decode(src)
		if err != nil {
			return err
		}
		canvas := image.Rect(0, 0, p.width, p.height)
		if !img.Bounds().In(canvas) {
			return errDamaged
		}
		small, err := draw(ctx, img, canvas, orientation(f.exif, raw), want)
		if err != nil {
			return err
		}
		t, err = encode(small)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return Thumbnail{}, context.Cause(ctx)
	case err != nil:
		return Thumbnail{}, errDamaged
	}
	return t, nil
}

var errPanic = errors.New("a decoder panicked")

// guard turns a panic of a decoder into an error: it was made by the bytes of one person and must not end the others' work.
func guard(work func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return work()
}
