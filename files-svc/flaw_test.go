package filessvc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/token/tokentest"
)

// flaws are what the file, the list and the answer of its upload say about it.
func (p *person) flaw(f file) (says []string) {
	p.w.t.Helper()
	type judged struct {
		ID   string  `json:"id"`
		Flaw *string `json:"flaw"`
	}
	var one judged
	var list struct{ Items []judged }
	if err := json.Unmarshal(p.get("/v1/files/"+f.ID).body, &one); err != nil {
		p.w.t.Fatal(err)
	}
	if err := json.Unmarshal(p.get("/v1/files").body, &list); err != nil {
		p.w.t.Fatal(err)
	}
	for _, j := range append(list.Items, one) {
		if j.ID != f.ID {
			continue
		}
		if j.Flaw == nil {
			says = append(says, "none")
		} else {
			says = append(says, *j.Flaw)
		}
	}
	return says
}

func TestFlaw_InfectedIsSaidWhereverTheFileIsShown(t *testing.T) {
	var away atomic.Bool
	address := scannerDaemon(t, &away)
	w := newWorldIn(t, t.TempDir(), newIssuer(t), func(c *Config) {
		c.Boot.Spec.Scanner = &v1alpha1.FileScanner{
			Clamd: &v1alpha1.Clamd{Address: v1alpha1.ScannerAddress(address)}, OnUnavailable: v1alpha1.UnscannedRefuse,
		}
	})
	p := w.person()
	good, bad := p.upload("good", "text/plain", reader("good")), p.upload("bad", "text/plain", reader("some evil"))
	if got := fmt.Sprint(p.flaw(good), p.flaw(bad)); got != "[none none] [infected infected]" {
		t.Errorf("got %s", got)
	}
	if a := p.do(http.MethodPut, good.content(), reader("now evil"), "Content-Type", "text/plain"); !strings.Contains(string(a.body), `"flaw":"infected"`) {
		t.Errorf("the answer of a replace: %s", a.body)
	}
	p.do(http.MethodPut, good.content(), reader("mended"), "Content-Type", "text/plain").file(t, http.StatusOK)
	if got := fmt.Sprint(p.flaw(good)); got != "[none none]" {
		t.Errorf("mended: %s", got)
	}
}

// A reader that meets damage is cut, and nobody else meets it: the file is in quarantine before the scrub comes by.
func TestFlaw_DamageFoundByAReaderIsQuarantinedAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a", "text/plain", bytes.NewReader(bytes.Repeat([]byte("x"), 2<<20)))
	if got := fmt.Sprint(p.flaw(f)); got != "[none none]" {
		t.Fatalf("before: %s", got)
	}
	flipBit(t, w.blobFiles()[0], 1<<20)
	if a := p.get(f.content()); a.err == nil && a.status == 200 {
		t.Fatalf("damaged bytes came whole")
	}
	eventually(t, "in quarantine", func() error {
		if got := fmt.Sprint(p.flaw(f)); got != "[corrupt corrupt]" {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
	p.get(f.content(), "Range", "bytes=0-9").refused(t, "a sound part of it", 500, "INTERNAL_ERROR")
	if n := w.metric("cloakroom_files_flawed_blobs", "flaw", "corrupt"); n != 1 {
		t.Errorf("%v corrupt blobs are told to the metrics", n)
	}
	if n := w.metric("cloakroom_files_corrupt_blobs_total"); n < 1 {
		t.Errorf("%v findings", n)
	}
}

func TestOpenUploads_AreMeasured(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	p.newTus(1000)
	p.newTus(500)
	if err := w.service.core.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, bytes := w.metric("cloakroom_files_open_uploads"), w.metric("cloakroom_files_open_upload_reserved_bytes"); n != 2 || bytes != 1500 {
		t.Errorf("%v uploads of %v bytes", n, bytes)
	}
}

func TestMetrics_TellHowMuchRoomTheDiskHasAtTheFloor(t *testing.T) {
	w := newWorldIn(t, t.TempDir(), tokentest.New(t), func(c *Config) { c.Boot.Spec.KeepFree = "4194304Ti" })
	p := w.person()
	p.do("POST", "/v1/files", reader("x"), "Content-Type", "text/plain", "Content-Disposition", "attachment; filename=a").refused(t, "below the floor", 507, "UNAVAILABLE")
	free, floor := w.metric("cloakroom_files_disk_free_bytes"), w.metric("cloakroom_files_disk_keep_free_bytes")
	if free < 1 || floor != 1<<62 || free >= floor {
		t.Errorf("%v bytes free and %v kept free", free, floor)
	}
}
