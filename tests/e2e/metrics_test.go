package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// What an operator looks at must be there after ordinary work, under the names that dashboards use.
func TestMetrics_TellWhatAnOperatorLooksAt(t *testing.T) {
	s := harness.Start(t)
	anyone := harness.NewClient(t, s.Public)
	ada := anyone.SignUp()
	anyone.LogIn(ada.User.Username, harness.Password)
	ada.Upload("a.txt", []byte("a")).Is(201)
	ada.Refresh().Is(200)
	ada.Do("GET", "/v1/files", nil).Is(200)
	ada.Do("POST", "/v1/auth/logout", nil).Is(204)
	text := scrape(t, s)
	for _, series := range []string{
		`cloakroom_http_request_duration_seconds_count{`, // rate, errors, duration
		`route="files.upload"`,                           // by route
		`service="gateway"`,                              // of each service
		`cloakroom_token_cache_hits_total{`,              // verified-token cache
		`cloakroom_revocation_`,                          // how fresh the view is
		`cloakroom_auth_hash_running_bytes{`,             // the hash gate
		`cloakroom_auth_logins_total{`,                   // logins by result
		`cloakroom_auth_refreshes_total{`,                // refreshes by result
		`cloakroom_files_blobs{`,                         // blobs by state
		`cloakroom_sqlite_commit_seconds_count{`,         // commits
		`cloakroom_config_last_reload_success{`,          // configuration
		`cloakroom_build_info{`,                          // what runs
		`go_goroutines`,                                  // the runtime
	} {
		if !strings.Contains(text, series) {
			t.Errorf("%s is missing", series)
		}
	}
	for _, secret := range []string{ada.Session.RefreshToken, ada.Session.AccessToken, ada.User.Username, harness.Password} {
		if strings.Contains(text, secret) || strings.Contains(s.Output(), secret) {
			t.Errorf("metrics or logs hold %.12s…", secret)
		}
	}
}

func scrape(t *testing.T, s *harness.Stack) string {
	t.Helper()
	res, err := http.Get(s.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	return string(raw)
}
