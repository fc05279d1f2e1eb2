package observe

import (
	"regexp"
	"testing"
)

// absences are the series that the stack of these tests does not have, and why. What stands here and is there after all fails
// the test, as does what nobody asks for.
var absences = []struct{ selector, reason string }{
	{`^cloakroom_postgres_`, "this stack keeps its rows in SQLite; libs/postgres tests its metrics"},
	{`^cloakroom_files_commit_`, "writes are grouped so on PostgreSQL only"},
	{`^cloakroom_files_s3_`, "this stack keeps its files on disk; tests of the bucket look at its metrics"},
	{`^cloakroom_gateway_limiter_(store_|share_|replicas)`, "one gateway alone shares its limits with nobody"},
	{`^cloakroom_config_(cluster|status)_`, "this stack reads a folder; k8s/crdsource tests its metrics"},
	{`^cloakroom_files_scans_waiting`, "nobody scans here"},
	{`^certmanager_`, "cert-manager's own; here nobody makes certificates"},
	{`^cloakroom_auth_swept_total`, "nothing has expired yet"},
	{`code=~"[45]\.\.",listener="auth-internal"`, "no service misbehaves towards another here"},
}

// missing keeps what was not found, and says at the end which absences are none.
type missing struct {
	t     testing.TB
	w     *world
	asked map[string]bool // absences by selector
}

func newMissing(t testing.TB, w *world) *missing { return &missing{t, w, map[string]bool{}} }

// look returns whether every selector of the expression finds a series. One that does not, and for no reason, fails the test.
func (m *missing) look(where, expr string) bool {
	m.t.Helper()
	selectors, err := m.w.selectors(expr)
	if err != nil {
		m.t.Errorf("%s: %v\n%s", where, err, expr)
		return false
	}
	whole := true
	for _, s := range selectors {
		found, err := m.w.query(s)
		if err != nil {
			m.t.Errorf("%s: %s: %v", where, s, err)
		}
		reason := m.excused(s)
		switch {
		case len(found) == 0 && reason == "":
			m.t.Errorf("%s: nothing is found by %s", where, s)
		case len(found) > 0 && reason != "":
			m.t.Errorf("%s: %s finds %d series, and stands in the list of absences: %q", where, s, len(found), reason)
		}
		whole = whole && len(found) > 0
	}
	return whole
}

func (m *missing) excused(selector string) string {
	for _, a := range absences {
		if regexp.MustCompile(a.selector).MatchString(selector) {
			m.asked[a.selector] = true
			return a.reason
		}
	}
	return ""
}

func (m *missing) done() {
	m.t.Helper()
	for _, a := range absences {
		if !m.asked[a.selector] {
			m.t.Errorf("nobody asks for %s, which is said to be absent", a.selector)
		}
	}
}
