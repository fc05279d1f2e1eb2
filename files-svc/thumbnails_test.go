package filessvc

import (
	"bytes"
	"image"
	"image/color"
	stdpng "image/png"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/token"
)

func pictureOf(t *testing.T, w, h int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	img.Set(0, 0, color.Black)
	var b bytes.Buffer
	if err := stdpng.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (f file) thumbnail() string { return "/v1/files/" + f.ID + "/thumbnail" }

func TestThumbnail_IsSmallSafeAndAskedForOnce(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.png", "image/png", bytes.NewReader(pictureOf(t, 900, 600)))
	a := p.get(f.thumbnail() + "?size=128")
	img, _, err := image.Decode(bytes.NewReader(a.body))
	if a.status != 200 || err != nil || img.Bounds().Size() != image.Pt(128, 85) || a.header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("got %d %v, %v", a.status, a.header, err)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff", "Vary": "Authorization",
		"Cache-Control": "private, no-cache", "Cross-Origin-Resource-Policy": "same-origin", "Content-Disposition": "inline",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	tag := a.header.Get("ETag")
	if a := p.get(f.thumbnail()+"?size=128", "If-None-Match", tag); a.status != 304 || len(a.body) > 0 {
		t.Errorf("again: %d", a.status)
	}
	if n := w.metric("cloakroom_files_thumbnails_total", "result", "ok"); n != 1 {
		t.Errorf("%v were made, want one", n)
	}
	for _, query := range []string{"", "?size=256", "?size=128&fit=cover"} {
		if a := p.get(f.thumbnail()+query, "If-None-Match", tag); a.status != 200 || a.header.Get("ETag") == tag {
			t.Errorf("%s: %d, tag %s", query, a.status, a.header.Get("ETag"))
		}
	}
	p.do(http.MethodPut, f.content(), bytes.NewReader(pictureOf(t, 300, 300)), "Content-Type", "image/png").file(t, http.StatusOK)
	if a := p.get(f.thumbnail()+"?size=128", "If-None-Match", tag); a.status != 200 {
		t.Errorf("after a replace: %d", a.status)
	}
}

func TestThumbnail_Refusals(t *testing.T) {
	w := newWorld(t)
	p, other := w.person(), w.person()
	raw := pictureOf(t, 20, 20)
	f := p.upload("a.png", "image/png", bytes.NewReader(raw))
	for _, query := range []string{"?size=", "?size=64", "?size=1000000", "?size=-1", "?fit=fill", "?width=10", "?size=128&size=256"} {
		p.get(f.thumbnail()+query).refused(t, query, 400, "VALIDATION_ERROR")
	}
	for kind, content := range map[string][]byte{
		"text/plain": []byte("x"), "image/jpeg": raw, "image/svg+xml": []byte("<svg/>"), "application/octet-stream": raw, "image/png": []byte("<script>"),
	} {
		p.get(p.upload("b", kind, bytes.NewReader(content)).thumbnail()).refused(t, kind, 415, "UNSUPPORTED_MEDIA_TYPE")
	}
	other.get(f.thumbnail()).refused(t, "another's", 404, "NOT_FOUND")
	w.person("files:create:self").get(f.thumbnail()).refused(t, "without the right to read", 403, "FORBIDDEN")
	p.do(http.MethodDelete, "/v1/files/"+f.ID, nil)
	p.get(f.thumbnail()).refused(t, "in the trash", 404, "NOT_FOUND")
}

func TestThumbnail_NoneWhereTurnedOff(t *testing.T) {
	w := newWorldIn(t, t.TempDir(), newIssuer(t), func(c *Config) { c.Boot.Spec.Thumbnails.Enabled = false })
	p := w.person()
	f := p.upload("a.png", "image/png", bytes.NewReader(pictureOf(t, 20, 20)))
	p.get(f.thumbnail()).refused(t, "turned off", 403, "FORBIDDEN")
}

func TestThumbnail_OfWhatIsInQuarantine(t *testing.T) {
	var away atomic.Bool
	address := scannerDaemon(t, &away)
	w := newWorldIn(t, t.TempDir(), newIssuer(t), func(c *Config) {
		c.Boot.Spec.Scanner = &v1alpha1.FileScanner{
			Clamd: &v1alpha1.Clamd{Address: v1alpha1.ScannerAddress(address)}, OnUnavailable: v1alpha1.UnscannedRefuse,
		}
	})
	p := w.person()
	f := p.upload("a.png", "image/png", bytes.NewReader(append(pictureOf(t, 20, 20), "evil"...)))
	p.get(f.thumbnail()).refused(t, "infected", 403, "FORBIDDEN")
}

// No picture is made of bytes that have changed in the store.
func TestThumbnail_OfDamagedBytes(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.png", "image/png", bytes.NewReader(append(pictureOf(t, 20, 20), "behind its end"...)))
	flipBlob(t, w, []byte("behind its end")) // where no decoder looks
	p.get(f.thumbnail()).refused(t, "damaged", 500, "INTERNAL_ERROR")
}

func TestThumbnail_RevokedIsNotTold(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.png", "image/png", bytes.NewReader(pictureOf(t, 20, 20)))
	tag := p.get(f.thumbnail()).header.Get("ETag")
	w.issuer.Revoke(token.KindSession, p.session)
	eventually(t, "revoked", func() error {
		if a := p.get(f.thumbnail(), "If-None-Match", tag); a.status == 401 && !strings.Contains(string(a.body), "PNG") {
			return nil
		}
		return os.ErrDeadlineExceeded
	})
}
