package observe

import (
	"encoding/json"

	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"cloakroom.dev/tests/harness"
)

type rule struct {
	Record, Alert, Expr string
	Annotations         map[string]string
	Labels              map[string]string
}

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

func rules(t testing.TB) (all []rule) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(harness.Root(t), "k8s/alerts/cloakroom.rules.yaml"))
	var file ruleFile
	if err == nil {
		err = yaml.Unmarshal(raw, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 40 {
		t.Fatalf("%d rules", len(all))
	}
	return all
}

type panel struct{ where, expr string }

func panels(t testing.TB) (all []panel) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(harness.Root(t), "k8s/dashboards/*.json"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("dashboards: %q %v", paths, err)
	}
	for _, path := range paths {
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		raw, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(raw, &board)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, p := range board.Panels {
			for _, q := range p.Targets {
				all = append(all, panel{filepath.Base(path) + ": " + p.Title, concrete(q.Expr)})
			}
		}
	}
	return all
}

func TestWatching_LooksAtWhatTheRunningStackSays(t *testing.T) {
	s, config := startWatched(t)
	w := newWorld(t)
	scrape := func() {
		w.scrape(s.Ops)
		for _, r := range rules(t) {
			if r.Record != "" {
				w.record(r.Record, r.Expr)
			}
		}
	}
	scrape()
	carol := aDay(t, s)
	scrape()
	breakConfig(t, s, config)
	carol.Do("GET", "/v1/files", nil).Is(200) // a series that was not there before the last scrape has no rate yet
	carol.Do("GET", "/v1/users/me", nil).Is(200)
	scrape()
	scrape()

	m := newMissing(t, w)
	t.Run("panels", func(t *testing.T) {
		for _, p := range panels(t) {
			if !m.look(p.where, p.expr) {
				continue
			}
			if found, err := w.query(p.expr); err != nil || len(found) == 0 {
				t.Errorf("%s: shows nothing: %v\n%s", p.where, err, p.expr)
			}
		}
	})
	t.Run("alerts", func(t *testing.T) {
		for _, r := range rules(t) {
			m.look(r.Record+r.Alert, r.Expr)
			if _, err := w.query(r.Expr); err != nil {
				t.Errorf("%s%s: %v", r.Record, r.Alert, err)
			}
		}
	})
	m.done()
	t.Run("firing", func(t *testing.T) { firing(t, w) })
	t.Run("everything is shown", func(t *testing.T) { everythingIsShown(t, w, s) })
	t.Run("labels are bounded", func(t *testing.T) { bounded(t, s) })
	t.Run("exemplars and native histograms", func(t *testing.T) { forms(t, s) })
}

// breakConfig saves a file with an error, and waits until the stack has refused it.
func breakConfig(t *testing.T, s *harness.Stack, config string) {
	t.Helper()
	path := filepath.Join(config, "policies.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(raw), "window: 1m", "window: soon", 1)
	if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if strings.Contains(get(t, s.Ops+"/metrics", ""), "cloakroom_config_last_reload_success{service=\"stack\"} 0") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a broken configuration was not refused")
		}
	}
}

// firing proves that what was done to this stack would be heard of.
func firing(t *testing.T, w *world) {
	for _, r := range rules(t) {
		switch r.Alert {
		case "CloakroomBlobsDamaged", "CloakroomConfigNotAccepted", "CloakroomQuotaRefusals":
			if found, err := w.query(r.Expr); err != nil || len(found) == 0 {
				t.Errorf("%s is not over its threshold: %v", r.Alert, err)
			}
		case "CloakroomAbsent", "CloakroomVersionsDiffer", "CloakroomConfigDiffers", "CloakroomPanics":
			if found, err := w.query(r.Expr); err != nil || len(found) > 0 {
				t.Errorf("%s: %v %v", r.Alert, found, err)
			}
		}
	}
}

// everythingIsShown holds whoever adds a metric to putting it on a dashboard: what nobody sees is not there when it is needed.
func everythingIsShown(t *testing.T, w *world, s *harness.Stack) {
	shown := map[string]bool{}
	for _, p := range panels(t) {
		selectors, err := w.selectors(p.expr)
		if err != nil {
			t.Fatal(err)
		}
		for _, selector := range selectors {
			shown[regexp.MustCompile(`(_bucket|_count|_sum)?(\{.*)?$`).ReplaceAllString(selector, "")] = true
		}
	}
	for line := range strings.Lines(get(t, s.Ops+"/metrics", "")) {
		name, ok := strings.CutPrefix(line, "# TYPE cloakroom_")
		if !ok {
			continue
		}
		name = "cloakroom_" + strings.Fields(name)[0]
		if !shown[name] {
			t.Errorf("no dashboard shows %s", name)
		}
	}
}

// bounded looks for words of strangers and of people among the labels.
func bounded(t *testing.T, s *harness.Stack) {
	text := get(t, s.Ops+"/metrics", "")
	if strings.Contains(strings.ToLower(text), stranger) || strings.Contains(text, "person-") {
		t.Error("a label holds a word of a stranger")
	}
	for _, want := range []string{`route="unmatched"`, `method="_OTHER"`} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s: what is not known has no name of its own", want)
		}
	}
	const most = 6000
	if n := strings.Count(text, "\n"); n > most {
		t.Errorf("%d lines of metrics, more than %d", n, most)
	}
}

// forms asks for both richer forms of the metrics.
func forms(t *testing.T, s *harness.Stack) {
	open := get(t, s.Ops+"/metrics", "application/openmetrics-text; version=1.0.0")
	for _, name := range []string{
		"cloakroom_http_request_duration_seconds", "cloakroom_gateway_upstream_seconds", "cloakroom_files_upload_seconds",
		"cloakroom_sqlite_commit_seconds", "cloakroom_auth_hash_seconds", "cloakroom_auth_hash_wait_seconds",
	} { // those of PostgreSQL and of a bucket: tests/docs
		if !regexp.MustCompile(name + `_bucket\{.*\} \d+ # \{trace_id="[0-9a-f]{32}"\}`).MatchString(open) {
			t.Errorf("no bucket of %s has an exemplar", name)
		}
	}
	native := nativeHistograms(t, s.Ops)
	for _, name := range []string{
		"cloakroom_http_request_duration_seconds", "cloakroom_gateway_upstream_seconds", "cloakroom_files_upload_seconds",
		"cloakroom_sqlite_commit_seconds", "cloakroom_auth_hash_seconds", "cloakroom_auth_hash_wait_seconds", "cloakroom_auth_revocation_ack_seconds",
	} {
		if !native[name] {
			t.Errorf("%s has no native buckets beside the classic ones", name)
		}
	}
}

func get(t testing.TB, url, accept string) string {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, res.StatusCode, err)
	}
	return string(raw)
}
