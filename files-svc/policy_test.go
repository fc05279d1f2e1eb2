package filessvc

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource/resourcetest"
)

func policyWith(spec string) string {
	return strings.Replace(policyYAML, "spec: {quota: 1Gi, maxObjectBytes: 512Mi}", "spec: "+spec, 1)
}

func TestPolicy_ChangesWhileRunning(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	p.upload("a", "text/plain", strings.NewReader("hello"))
	w.source.Set(resourcetest.Snapshot(t, configYAML, policyWith(`{quota: "8", maxObjectBytes: "4"}`)))
	send := func(n int) answer {
		return p.do(http.MethodPost, "/v1/files", strings.NewReader(strings.Repeat("x", n)), "Content-Disposition", "attachment; filename=a")
	}
	eventually(t, "in force", func() error {
		if a := send(5); a.status != 413 {
			return errors.New(string(a.body))
		}
		return nil
	})
	send(4).refused(t, "over the new quota", 413, "QUOTA_EXCEEDED")
	send(3).file(t, 201)

	w.source.Set(resourcetest.Snapshot(t, configYAML)) // the policy is gone: its last version serves on
	eventually(t, "reported", func() error {
		s, _ := w.source.Reported(v1alpha1.KindFilesConfig, "files")
		if len(s.Conditions) == 0 || !strings.Contains(s.Conditions[0].Message, "serves on") {
			return errors.New("not yet")
		}
		return nil
	})
	send(5).refused(t, "still over the limit", 413, "PAYLOAD_TOO_LARGE")
}

func TestPolicy_WithoutOneUploadsAreRefusedAndReadsGoOn(t *testing.T) {
	dir := t.TempDir()
	w := newWorldIn(t, dir, newIssuer(t), func(*Config) {})
	p := w.person()
	f := p.upload("a", "text/plain", strings.NewReader("hello"))
	w.service.policy.current.Store(nil) // as after a start without an accepted policy
	p.do(http.MethodPost, "/v1/files", strings.NewReader("x"), "Content-Disposition", "attachment; filename=a").
		refused(t, "without a policy", 503, "UNAVAILABLE")
	if a := p.get(f.content()); string(a.body) != "hello" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if w.service.Ready(t.Context()) == nil {
		t.Error("it calls itself ready")
	}
}

func TestPolicy_BootChangesWaitForTheNextStart(t *testing.T) {
	w := newWorld(t)
	changed := strings.Replace(configYAML, "verifier:", "storagePolicyRef: {name: default}\n  drain: {delay: 7s}\n  verifier:", 1)
	w.source.Set(resourcetest.Snapshot(t, changed, policyYAML))
	eventually(t, "reported", func() error {
		s, _ := w.source.Reported(v1alpha1.KindFilesConfig, "files")
		if len(s.Conditions) == 0 || s.Conditions[0].Reason != v1alpha1.ReasonRestartRequired {
			return errors.New("not yet")
		}
		return nil
	})
}

func TestPolicyOf(t *testing.T) {
	all := policyOf(v1alpha1.StoragePolicySpec{Quota: "1Ki", ContentTypes: []v1alpha1.MediaRange{"image/png", "*/*"}, TrashRetention: "1h"})
	if all.ContentTypes != nil || all.QuotaBytes != 1024 || all.TrashRetention.Hours() != 1 {
		t.Errorf("got %+v", all)
	}
}

func TestRestoreHorizon_ZeroIsNone(t *testing.T) {
	for text, want := range map[v1alpha1.Duration]time.Duration{"24h": 24 * time.Hour, "0s": -1, "1h30m": 90 * time.Minute} {
		if got := restoreHorizon(v1alpha1.FilesConfigSpec{RestoreHorizon: text}); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}
