package hostile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func pngChunk(name string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// pngSaying is a PNG of a few bytes whose header says a size.
func pngSaying(width, height uint32) []byte {
	head := append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height), 8, 6, 0, 0, 0)
	return bytes.Join([][]byte{[]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", head), pngChunk("IDAT", []byte("x\x9c\x03\x00\x00\x00\x00\x01"))}, nil)
}

func photo(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func film(t *testing.T, frames int) []byte {
	t.Helper()
	all := &gif.GIF{}
	frame := image.NewPaletted(image.Rect(0, 0, 64, 64), color.Palette{color.Black, color.White})
	for range frames {
		all.Image, all.Delay = append(all.Image, frame), append(all.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, all); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Each is one refusal, however often it is asked for at once, and none of them takes the memory its header speaks of.
func TestThumbnail_PicturesThatLie(t *testing.T) {
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	whole := photo(t, 2000, 1500)
	webp := func(riff, chunk uint32) []byte {
		b := append(binary.LittleEndian.AppendUint32([]byte("RIFF"), riff), "WEBPVP8 "...)
		return append(binary.LittleEndian.AppendUint32(b, chunk), 0x10, 0, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0, 0, 0, 0, 0, 0, 0)
	}
	tiff := append([]byte("MM\x00*\x00\x00\x00\x08\xff\xff"), bytes.Repeat([]byte{0xff}, 200)...)
	for name, c := range map[string]struct {
		kind string
		raw  []byte
	}{
		"a PNG of 64k x 64k":                     {"image/png", pngSaying(65535, 65535)},
		"a PNG of 2^31 x 1":                      {"image/png", pngSaying(1<<31-1, 1)},
		"a PNG of 49 million pixels in 70 bytes": {"image/png", pngSaying(7000, 7000)},
		"a PNG without a width":                  {"image/png", pngSaying(0, 1)},
		"a GIF of 64k x 64k":                     {"image/gif", []byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff")},
		"a JPEG cut in two":                      {"image/jpeg", whole[:len(whole)/2]},
		"a JPEG cut in its header":               {"image/jpeg", whole[:20]},
		"a WebP that says it has 2 GiB":          {"image/webp", webp(1<<31, 1<<31-16)},
		"a WebP whose chunk goes beyond it":      {"image/webp", webp(36, 1<<31-16)},
		"a TIFF of 65535 entries in 200 bytes":   {"image/tiff", tiff},
		"a BMP of negative size":                 {"image/bmp", []byte("BM\x7a\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x18\x00" + strings.Repeat("\x00", 80))},
		"a PNG that says it is a JPEG":           {"image/jpeg", pngSaying(10, 10)},
		"a page that says it is a PNG":           {"image/png", []byte("<html><script>alert(1)</script>")},
		"an SVG that loads a file":               {"image/svg+xml", []byte(`<svg><image href="file:///etc/passwd"/></svg>`)},
		"a script for ImageMagick":               {"image/png", []byte("push graphic-context\nfill 'url(https://127.0.0.1/)'\npop graphic-context")},
	} {
		t.Run(name, func(t *testing.T) {
			f := ada.Upload("picture", c.raw, harness.Header("Content-Type", c.kind)).Is(201).File()
			got := parallel(8, func(int) int { return ada.Try("GET", "/v1/files/"+f.ID+"/thumbnail", nil).Status })
			if got[415] != 8 {
				t.Errorf("answers: %v, want 415 only", got)
			}
		})
	}
	if peak := stack.PeakRSS(); peak > 450<<20 {
		t.Errorf("the stack took %d MiB", peak>>20)
	}
}

func TestThumbnail_OfTenThousandFramesIsOfOne(t *testing.T) {
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	f := ada.Upload("film.gif", film(t, 10_000), harness.Header("Content-Type", "image/gif")).Is(201).File()
	before := stack.RSS()
	got := parallel(16, func(int) int { return ada.Try("GET", "/v1/files/"+f.ID+"/thumbnail", nil).Status })
	if got[200] != 16 {
		t.Errorf("answers: %v", got)
	}
	if grown := stack.PeakRSS() - before; grown > 64<<20 {
		t.Errorf("took %d MiB", grown>>20)
	}
}

// A hundred large pictures at once wait for each other, within the memory that is set aside for them, or are told to come back.
func TestThumbnail_FloodOfLargePictures(t *testing.T) {
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	f := ada.Upload("large.jpg", photo(t, 6000, 4000), harness.Header("Content-Type", "image/jpeg")).Is(201).File()
	got := parallel(100, func(int) int { return ada.Try("GET", "/v1/files/"+f.ID+"/thumbnail?size=128", nil).Status })
	if got[200] == 0 || got[200]+got[503]+got[429] != 100 {
		t.Errorf("answers: %v, want thumbnails and refusals that say when to come back", got)
	}
	if peak := stack.PeakRSS(); peak > 450<<20 {
		t.Errorf("the stack took %d MiB", peak>>20)
	}
	ada.Do("GET", "/v1/files/"+f.ID, nil).Is(200)
}

func TestThumbnail_TellsNothingOfTheCamera(t *testing.T) {
	ada := gateway(t).SignUp()
	raw := photo(t, 300, 200)
	segment := []byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00 GPS 52.5200N 13.4050E")
	head := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(segment)+2))...)
	f := ada.Upload("a.jpg", bytes.Join([][]byte{head, segment, raw[2:]}, nil), harness.Header("Content-Type", "image/jpeg")).Is(201).File()
	a := ada.Do("GET", "/v1/files/"+f.ID+"/thumbnail", nil).Is(200)
	img, err := jpeg.Decode(bytes.NewReader(a.Body))
	if err != nil || img.Bounds().Dx() >= img.Bounds().Dy() {
		t.Errorf("it does not lie as the camera noted: %v", err)
	}
	if bytes.Contains(a.Body, []byte("GPS")) || bytes.Contains(a.Body, []byte("Exif")) {
		t.Error("it tells where it was taken")
	}
}

func TestThumbnail_OfAnotherPersonsFile(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.Fresh().SignUp()
	f := ada.Upload("a.jpg", photo(t, 30, 20), harness.Header("Content-Type", "image/jpeg")).Is(201).File()
	path := "/v1/files/" + f.ID + "/thumbnail"
	tag := ada.Do("GET", path, nil).Is(200).Header.Get("ETag")
	eve.Do("GET", path, nil, harness.Header("If-None-Match", tag)).Refused(404, "NOT_FOUND")
	c.Fresh().Do("GET", path, nil, harness.Header("If-None-Match", tag)).Refused(401, "AUTH_ERROR")
	eve.Do("GET", "/v1/files/..%2f"+f.ID+"/thumbnail", nil).Refused(400, "VALIDATION_ERROR")
}

// A right that has ended ends at the thumbnail too, whatever the caller has cached.
func TestThumbnail_AfterLogOut(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("a.jpg", photo(t, 30, 20), harness.Header("Content-Type", "image/jpeg")).Is(201).File()
	path := "/v1/files/" + f.ID + "/thumbnail"
	a := ada.Do("GET", path, nil).Is(200)
	if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "private") || !strings.Contains(cc, "no-cache") {
		t.Errorf("Cache-Control is %q: a copy could be shown to the next person", cc)
	}
	ada.Do("POST", "/v1/auth/logout", nil)
	status := 0
	for began := time.Now(); status != 401 && time.Since(began) < soon; time.Sleep(5 * time.Millisecond) {
		status = ada.Do("GET", path, nil, harness.Header("If-None-Match", a.Header.Get("ETag"))).Status
	}
	if status != 401 {
		t.Errorf("long after the log-out: %d", status)
	}
}

func TestThumbnail_SizesThatAreNone(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("a.jpg", photo(t, 30, 20), harness.Header("Content-Type", "image/jpeg")).Is(201).File()
	path := "/v1/files/" + f.ID + "/thumbnail"
	for _, query := range []string{"size=0", "size=-1", "size=257", "size=100000", "size=128&size=1024", "fit=../..", "width=1&height=1", "size=%00", "size=128%3Bfit=cover"} {
		ada.Do("GET", path+"?"+query, nil).Is(http.StatusBadRequest)
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		ada.Do(method, path, nil).Refused(405, "METHOD_NOT_ALLOWED")
	}
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1)))
	one := ada.Do("POST", "/v1/files", io.Reader(&b), harness.Raw("one"), harness.Header("Content-Type", "image/png")).Is(201).File()
	ada.Do("GET", "/v1/files/"+one.ID+"/thumbnail?size=1024&fit=cover", nil).Is(200)
}
