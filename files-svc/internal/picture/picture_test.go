package picture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// body is a content's bytes in memory.
type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

func contentOf(raw []byte) *files.Content {
	return &files.Content{File: files.File{Size: int64(len(raw)), SHA256: sha256.Sum256(raw)}, Body: body{bytes.NewReader(raw)}}
}

func newMaker(opts Options) *Maker { return New(opts, prometheus.NewRegistry()) }

func make256(t *testing.T, kind string, raw []byte) (Thumbnail, error) {
	t.Helper()
	return newMaker(Options{}).Make(t.Context(), contentOf(raw), kind, Want{256, Contain})
}

// quarters is red, green, blue and white, from the upper left on.
func quarters(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, [...]color.RGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}}[2*y/h*2+2*x/w])
		}
	}
	return img
}

func encoded(t *testing.T, kind string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	err := map[string]func() error{
		"image/jpeg": func() error { return jpeg.Encode(&b, img, &jpeg.Options{Quality: 100}) },
		"image/png":  func() error { return png.Encode(&b, img) },
		"image/gif":  func() error { return gif.Encode(&b, img, nil) },
		"image/bmp":  func() error { return bmp.Encode(&b, img) },
		"image/tiff": func() error { return tiff.Encode(&b, img, &tiff.Options{Compression: tiff.Deflate}) },
	}[kind]()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (th Thumbnail) image(t *testing.T) image.Image {
	t.Helper()
	img, kind, err := image.Decode(bytes.NewReader(th.Bytes))
	if err != nil || "image/"+kind != th.ContentType || img.Bounds().Size() != image.Pt(th.Width, th.Height) {
		t.Fatalf("thumbnail is %s, says %s of %dx%d: %v", kind, th.ContentType, th.Width, th.Height, err)
	}
	return img
}

// corners names the colours of the four quarters.
func corners(img image.Image) (names string) {
	b := img.Bounds()
	for _, at := range []image.Point{{1, 1}, {3, 1}, {1, 3}, {3, 3}} {
		r, g, b, _ := img.At(b.Dx()*at.X/4, b.Dy()*at.Y/4).RGBA()
		switch {
		case r > 0x8000 && g > 0x8000 && b > 0x8000:
			names += "w"
		case r > 0x8000:
			names += "r"
		case g > 0x8000:
			names += "g"
		case b > 0x8000:
			names += "b"
		default:
			names += "?"
		}
	}
	return names
}

func TestMake_EachFormat(t *testing.T) {
	for _, kind := range []string{"image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"} {
		for _, size := range []image.Point{{700, 300}, {300, 700}, {100, 80}, {257, 257}, {5000, 3}} {
			th, err := make256(t, kind, encoded(t, kind, quarters(size.X, size.Y)))
			if err != nil {
				t.Errorf("%s of %v: %v", kind, size, err)
				continue
			}
			img := th.image(t)
			if max(th.Width, th.Height) > 256 || th.Width > size.X || th.Height > size.Y {
				t.Errorf("%s of %v became %dx%d", kind, size, th.Width, th.Height)
			}
			if got := corners(img); got != "rgbw" && size.Y > 3 {
				t.Errorf("%s of %v shows %s", kind, size, got)
			}
		}
	}
}

func TestMake_WebP(t *testing.T) {
	th, err := make256(t, "image/webp", losslessWebP)
	if err != nil || th.Width != 1 || th.Height != 1 {
		t.Errorf("got %+v, %v", th, err)
	}
}

// losslessWebP is one pixel.
var losslessWebP = []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00")

func TestMake_CoverFillsTheSquare(t *testing.T) {
	raw := encoded(t, "image/png", quarters(900, 300))
	th, err := newMaker(Options{}).Make(t.Context(), contentOf(raw), "image/png", Want{128, Cover})
	if err != nil || th.Width != 128 || th.Height != 128 || corners(th.image(t)) != "rgbw" {
		t.Errorf("got %dx%d, %v", th.Width, th.Height, err)
	}
}

func TestMake_WhatCanBeSeenThroughStaysSo(t *testing.T) {
	th, err := make256(t, "image/png", encoded(t, "image/png", image.NewNRGBA(image.Rect(0, 0, 600, 600))))
	if err != nil || th.ContentType != "image/png" {
		t.Fatalf("got %s, %v", th.ContentType, err)
	}
	if _, _, _, alpha := th.image(t).At(100, 100).RGBA(); alpha != 0 {
		t.Errorf("alpha is %d", alpha)
	}
}

// exif is a block that tells how the picture lies, and a place.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order.String() == "BigEndian" {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, tagOrientation)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, orientation)
	return append(b, "\x00\x00\x00\x00\x00\x00SECRET PLACE"...)
}

func jpegWith(raw, block []byte) []byte {
	segment := append([]byte("Exif\x00\x00"), block...)
	head := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(segment)+2))...)
	return append(append(head, segment...), raw[2:]...)
}

func pngChunk(name string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// A camera that was turned says so; the thumbnail lies upright and tells nothing else of it.
func TestMake_LiesUprightAndTellsNothing(t *testing.T) {
	upright := map[uint16]string{1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb", 9: "rgbw", 0: "rgbw"}
	plainJPEG, plainPNG := encoded(t, "image/jpeg", quarters(400, 200)), encoded(t, "image/png", quarters(400, 200))
	for orientation, want := range upright {
		block := exif(binary.LittleEndian, orientation)
		if orientation%2 == 0 {
			block = exif(binary.BigEndian, orientation)
		}
		inPNG := bytes.Join([][]byte{plainPNG[:33], pngChunk("eXIf", block), plainPNG[33:]}, nil)
		for kind, raw := range map[string][]byte{"image/jpeg": jpegWith(plainJPEG, block), "image/png": inPNG} {
			th, err := make256(t, kind, raw)
			if err != nil {
				t.Fatal(err)
			}
			if got := corners(th.image(t)); got != want || (orientation >= 5 && orientation <= 8) != (th.Height > th.Width) {
				t.Errorf("%s, orientation %d: %dx%d shows %s, want %s", kind, orientation, th.Width, th.Height, got, want)
			}
			if bytes.Contains(th.Bytes, []byte("SECRET")) || bytes.Contains(th.Bytes, []byte("Exif")) {
				t.Errorf("%s: the thumbnail tells where it was taken", kind)
			}
		}
	}
}

// pngOf is a PNG whose header says a size, with a few bytes behind it.
func pngOf(width, height uint32) []byte {
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	head = append(head, 8, 6, 0, 0, 0)
	return append(append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", head)...), pngChunk("IDAT", []byte("x\x9c\x03\x00\x00\x00\x00\x01"))...)
}

func gifOf(width, height uint16) []byte {
	b := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16([]byte("GIF89a"), width), height)
	return append(b, 0x80, 0, 0, 0, 0, 0, 255, 255, 255, 0x2c, 0, 0, 0, 0)
}

func webpOf(riff, chunk uint32) []byte {
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, riff)...)
	b = append(append(b, "WEBPVP8 "...), binary.LittleEndian.AppendUint32(nil, chunk)...)
	return append(b, 0x10, 0, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0, 0, 0, 0, 0, 0, 0)
}

// Whatever is wrong, it is one refusal, and no memory is taken for what a header only says.
func TestMake_HostilePictures(t *testing.T) {
	whole := encoded(t, "image/jpeg", quarters(3000, 2000))
	tall := bytes.Clone(whole)
	at := bytes.Index(tall, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(tall[at+5:], 65535)
	binary.BigEndian.PutUint16(tall[at+7:], 700)
	panics := []byte("II*\x00\xff\xff\xff\xff")
	for name, c := range map[string]struct {
		kind string
		raw  []byte
	}{
		"PNG of 64k x 64k":                {"image/png", pngOf(65535, 65535)},
		"PNG of 2^31 x 2^31":              {"image/png", pngOf(1<<31-1, 1<<31-1)},
		"PNG of one row of 2^31":          {"image/png", pngOf(1<<31-1, 1)},
		"PNG of no width":                 {"image/png", pngOf(0, 10)},
		"PNG that says 7000 x 7000":       {"image/png", pngOf(7000, 7000)},
		"GIF of 64k x 64k":                {"image/gif", gifOf(65535, 65535)},
		"GIF without a frame":             {"image/gif", gifOf(100, 100)},
		"JPEG cut":                        {"image/jpeg", whole[:len(whole)/2]},
		"JPEG cut in its header":          {"image/jpeg", whole[:100]},
		"JPEG that says 700 x 65535":      {"image/jpeg", tall},
		"WebP that says 2 GiB":            {"image/webp", webpOf(1<<31, 1<<31-1)},
		"WebP whose chunk says 2 GiB":     {"image/webp", webpOf(40, 1<<31-1)},
		"WebP of nothing":                 {"image/webp", webpOf(28, 16)},
		"TIFF whose directory is nowhere": {"image/tiff", panics},
		"nothing":                         {"image/png", nil},
		"text":                            {"image/gif", []byte(strings.Repeat("GIF", 1000))},
		"a type that is not read":         {"image/svg+xml", []byte("<svg/>")},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := make256(t, c.kind, c.raw)
			runtime.ReadMemStats(&after)
			if fault.KindOf(err) != fault.UnsupportedMediaType {
				t.Errorf("got %v", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 256<<20 {
				t.Errorf("took %d MiB", took>>20)
			}
		})
	}
}

// Of ten thousand frames one is read.
func TestMake_ManyFrames(t *testing.T) {
	all := &gif.GIF{}
	frame := image.NewPaletted(image.Rect(0, 0, 32, 32), color.Palette{color.Black, color.White})
	for range 10_000 {
		all.Image, all.Delay = append(all.Image, frame), append(all.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, all); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := make256(t, "image/gif", b.Bytes())
	runtime.ReadMemStats(&after)
	if took := int(after.TotalAlloc-before.TotalAlloc) - b.Len(); err != nil || took > 16<<20 {
		t.Errorf("took %d bytes beside the file, %v", took, err)
	}
}

// What a plan sets aside is what the work takes, so that the gate's bound is true.
func TestPlan_CoversWhatIsTaken(t *testing.T) {
	big := quarters(2000, 1500)
	for _, kind := range []string{"image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"} {
		raw := encoded(t, kind, big)
		p, err := newMaker(Options{}).plan(t.Context(), formats[kind], bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(kind, err)
		}
		want := Want{1024, Contain}
		set := p.memory + int64(len(raw)) + scalingBytes(p, want)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := newMaker(Options{MaxTime: 5 * time.Minute}).Make(t.Context(), contentOf(raw), kind, want); err != nil {
			t.Fatal(kind, err)
		}
		runtime.ReadMemStats(&after)
		if took := int64(after.TotalAlloc - before.TotalAlloc); took > set && !underRace { // the detector takes memory of its own
			t.Errorf("%s: took %d KiB in all, %d were set aside", kind, took>>10, set>>10)
		}
	}
}

func TestMake_LargerThanTheGate(t *testing.T) {
	raw := encoded(t, "image/png", image.NewGray(image.Rect(0, 0, 3000, 2000)))
	m := newMaker(Options{MemoryBytes: 16 << 20})
	if _, err := m.Make(t.Context(), contentOf(raw), "image/png", Want{256, Contain}); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v", err)
	}
	m = newMaker(Options{MaxPixels: 3000*2000 - 1})
	if _, err := m.Make(t.Context(), contentOf(raw), "image/png", Want{256, Contain}); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v", err)
	}
	m = newMaker(Options{MaxBytes: int64(len(raw)) - 1})
	if _, err := m.Make(t.Context(), contentOf(raw), "image/png", Want{256, Contain}); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v", err)
	}
}

// Who waits is let in, refused, or gone; a caller whose right has ended hears why.
func TestMake_EndsWithItsCaller(t *testing.T) {
	raw := encoded(t, "image/jpeg", quarters(3000, 2000))
	ctx, cut := context.WithCancelCause(t.Context())
	revoked := fault.New(fault.InvalidToken, "revoked")
	cut(revoked)
	if _, err := newMaker(Options{}).Make(ctx, contentOf(raw), "image/jpeg", Want{256, Contain}); !errors.Is(err, revoked) {
		t.Errorf("got %v", err)
	}
	if _, err := newMaker(Options{MaxTime: time.Nanosecond}).Make(t.Context(), contentOf(raw), "image/jpeg", Want{256, Contain}); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v", err)
	}
}

func FuzzMake(f *testing.F) {
	for _, raw := range [][]byte{pngOf(10, 10), gifOf(10, 10), webpOf(28, 16), losslessWebP, jpegWith([]byte{0xff, 0xd8}, exif(binary.BigEndian, 6))} {
		f.Add(raw)
	}
	m := newMaker(Options{MaxPixels: 1 << 20})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for kind := range formats {
			th, err := m.Make(t.Context(), contentOf(raw), kind, Want{128, Cover})
			if err == nil {
				th.image(t)
			} else if fault.KindOf(err) != fault.UnsupportedMediaType {
				t.Errorf("%s: %v", kind, err)
			}
		}
	})
}
